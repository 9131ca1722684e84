"""Whether a model is configured, told without its SDK: that takes seconds of processor time to import, and a runner is there before that."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchwire.agent.errors import ModelFailed
from benchwire.agent.settings import Settings

if TYPE_CHECKING:
    from benchwire.agent.model.model import Model

NOT_CONFIGURED = (
    "no model is configured: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for another endpoint that speaks the Messages API "
    "(Ollama does), and start the agent runner again"
)
_SUFFICIENT = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")


class Endpoint:
    """The model endpoint of this runner; connected to when somebody first asks for the model."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.model
        self._settings = settings
        self._model: Model | None = None
        self._connecting = asyncio.Lock()

    async def model(self) -> "Model":
        """The model. Raises ``ModelFailed`` when the SDK finds no credentials after all."""
        async with self._connecting:
            if self._model is None:
                self._model = await asyncio.to_thread(_connected, self._settings)
            if self._model is None:
                raise ModelFailed(NOT_CONFIGURED)
            return self._model

    async def warm(self) -> None:
        """Loads the SDK, so that the first piece of work does not wait for that. Whoever asks for the model hears what is wrong with it."""
        with contextlib.suppress(ModelFailed):
            await self.model()

    async def close(self) -> None:
        """Closes what was opened."""
        if self._model is not None:
            await self._model.client.close()


async def configured(settings: Settings, environment: Mapping[str, str] | None = None) -> Endpoint | None:
    """The endpoint that the environment, or a profile of the SDK's, names; None when nothing does."""
    environment = os.environ if environment is None else environment
    endpoint = Endpoint(settings)
    if any(environment.get(name) for name in _SUFFICIENT):
        return endpoint
    if not await asyncio.to_thread(_has_profile, environment):
        return None
    return endpoint if await asyncio.to_thread(_connected, settings) is not None else None


def _has_profile(environment: Mapping[str, str]) -> bool:
    """Whether the SDK may find credentials by itself: in variables of its own, or in its folder."""
    of_the_sdk = any(name.startswith("ANTHROPIC_") and value for name, value in environment.items())
    return of_the_sdk or (Path.home() / ".config" / "anthropic").is_dir()


def _connected(settings: Settings) -> "Model | None":
    from benchwire.agent.model import model  # noqa: PLC0415 - not before it is needed: see above

    return model.configured(settings)
