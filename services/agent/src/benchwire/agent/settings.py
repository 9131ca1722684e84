"""What a runner is told by the environment."""

import socket
from pathlib import Path

from benchwire.events.event import token
from benchwire.events.settings import NatsSettings


def _name_of_this_machine() -> str:
    return socket.gethostname().split(".", 1)[0] or "runner"


class Settings(NatsSettings, frozen=True, kw_only=True):
    """``runner`` names this runner in claims and presence: no two runners may share it. Times in seconds.

    The model endpoint and its key are read by the Anthropic SDK: ``ANTHROPIC_API_KEY``, ``ANTHROPIC_AUTH_TOKEN``, ``ANTHROPIC_BASE_URL``.
    Without a key, ``ANTHROPIC_BASE_URL`` alone is enough for endpoints that ask for none.
    """

    data: Path = Path("data")
    runner: str = _name_of_this_machine()
    model: str = "claude-sonnet-5-5"
    model_max_tokens: int = 16_000
    model_timeout_s: float = 120.0
    model_retries: int = 2
    sandbox: str = "auto"
    max_sessions: int = 8
    max_tasks: int = 4
    ack_wait_s: float = 10.0
    shell_timeout_s: float = 120.0
    compile_timeout_s: float = 60.0
    board_wait_s: float = 15.0
    flash_wait_s: float = 180.0
    line_wait_s: float = 15.0

    def __post_init__(self) -> None:
        token(self.runner, "BENCHWIRE_RUNNER")

    @property
    def home(self) -> Path:
        """Where this service keeps its own files."""
        return self.data / "agent"
