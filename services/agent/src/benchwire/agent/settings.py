"""What a runner is told by the environment."""

import socket
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from benchwire.events.event import token
from benchwire.events.settings import NatsSettings

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


def _name_of_this_machine() -> str:
    return socket.gethostname().split(".", 1)[0] or "runner"


class Settings(NatsSettings, frozen=True, kw_only=True):
    """``runner`` names this runner in claims and presence: no two runners may share it. Times in seconds.

    The model endpoint and its key are read by the Anthropic SDK: ``ANTHROPIC_API_KEY``, ``ANTHROPIC_AUTH_TOKEN``, ``ANTHROPIC_BASE_URL``.
    Without a key, ``ANTHROPIC_BASE_URL`` alone is enough for endpoints that ask for none. ``model_patience_s`` is for how long an endpoint may
    ask to be left alone. ``prices_file`` says what tokens cost, as for observability; budgets in dollars need it.

    ``sandbox_ids`` are those that a runner that is root gives to what it runs in the sandbox: nobody else's, first to last.

    Agents may name MCP servers. Programs among them are run only if ``mcp_commands`` has their command, and read, beside ``/usr`` and their
    session's directory, what is below ``mcp_readable``; ``mcp_variables`` are the variables of the environment that any server may be
    given. Servers at addresses are reached where these are public; any others are named in ``mcp_hosts``, by host or host:port. ``skills`` is
    the directory of the skills that agents may have.
    """

    data: Path = Path("data")
    runner: str = _name_of_this_machine()
    model: str = "claude-sonnet-5-5"
    model_max_tokens: Count = 16_000
    model_timeout_s: Seconds = 120.0
    model_retries: Annotated[int, Meta(ge=0)] = 4
    model_patience_s: Annotated[float, Meta(ge=0)] = 60.0
    prices_file: Path | None = None
    sandbox: str = "auto"
    sandbox_ids: str = "61000-61127"
    max_sessions: Count = 16
    max_tasks: Count = 12
    ack_wait_s: Seconds = 10.0
    shell_timeout_s: Seconds = 120.0
    tool_timeout_s: Seconds = 900.0
    compile_timeout_s: Seconds = 60.0
    test_timeout_s: Seconds = 60.0
    mcp_commands: tuple[str, ...] = ()
    mcp_readable: tuple[Path, ...] = ()
    mcp_variables: tuple[str, ...] = ()
    mcp_hosts: tuple[str, ...] = ()
    mcp_start_s: Seconds = 30.0
    mcp_timeout_s: Seconds = 120.0
    skills: Path | None = None
    board_wait_s: Seconds = 15.0
    flash_wait_s: Seconds = 180.0
    line_wait_s: Seconds = 15.0

    def __post_init__(self) -> None:
        token(self.runner, "BENCHWIRE_RUNNER")

    @property
    def home(self) -> Path:
        """Where this service keeps its own files."""
        return self.data / "agent"
