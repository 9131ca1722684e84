"""What is loaded when a runner starts, and whether it then knows that it has a model."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchwire.agent.errors import ModelFailed
from benchwire.agent.model.endpoint import configured
from benchwire.agent.settings import Settings
from benchwire.events import child


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("benchwire.agent.main", "anthropic"),
        ("benchwire.deploy.app", "litestar"),
        ("benchwire.deploy.app", "anthropic"),
    ],
)
def test_a_process_starts_without_loading_what_it_may_never_need(module: str, heavy: str) -> None:
    """The SDK took two and a half seconds of processor time of each start of a runner."""
    code = f"import sys, {module}; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run(child.dying_with_owner([sys.executable, "-c", code]), check=False).returncode == 0


async def test_nothing_that_names_a_model_is_no_model() -> None:
    assert await configured(Settings(), {}) is None


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"])
async def test_a_key_or_an_address_is_enough(name: str) -> None:
    endpoint = await configured(Settings(model="m"), {name: "http://127.0.0.1:9"})
    assert endpoint is not None
    assert endpoint.name == "m"
    await endpoint.close()


async def test_a_folder_of_the_sdk_is_looked_into_by_the_sdk(home: Path) -> None:
    (home / ".config" / "anthropic").mkdir(parents=True)
    assert await configured(Settings(), {}) is None


async def test_a_model_is_made_once_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    endpoint = await configured(Settings(model="m"))
    assert endpoint is not None
    model = await endpoint.model()
    assert await endpoint.model() is model
    await endpoint.close()
    assert model.client.is_closed()


async def test_a_key_that_went_away_is_a_sentence() -> None:
    endpoint = await configured(Settings(), {"ANTHROPIC_API_KEY": "k"})
    assert endpoint is not None
    with pytest.raises(ModelFailed, match="ANTHROPIC_API_KEY"):
        await endpoint.model()
