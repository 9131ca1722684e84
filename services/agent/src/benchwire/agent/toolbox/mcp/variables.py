"""``${NAME}`` in a recipe: a variable of this runner's environment, when the operator allows it; what it holds is shown to nobody."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote, quote_plus

from benchwire.agent.errors import GivenUp

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NEVER = ("ANTHROPIC_", "BENCHWIRE_", "NATS_")  # the model's key, the lab's own tokens and credentials
_MODEL_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_HIDDEN_CHARS = 4  # what is shorter is no secret, and hiding it would spoil every text


class Variables:
    """Looks references up in ``environment``; only ``allowed`` names are there. Remembers what to hide."""

    def __init__(self, allowed: Collection[str], environment: Mapping[str, str]) -> None:
        self._allowed = allowed
        self._environment = environment
        self._used: dict[str, str] = {}

    def filled(self, text: str, where: str) -> str:
        """``text`` with what its references stand for. Raises ``GivenUp``, naming the variable and never what it holds."""
        return _REFERENCE.sub(lambda match: self._value(match.group(1), where), text)

    def hidden(self, text: str) -> str:
        """``text`` without what any variable held that was looked up here: a server may repeat it in whatever it says, or an address hold it."""
        for name, value in sorted(self._used.items(), key=lambda one: -len(one[1])):
            for form in (value, quote(value), quote(value, safe=""), quote_plus(value)):
                text = text.replace(form, f"${{{name}}}")
        return text

    def _value(self, name: str, where: str) -> str:
        if name.startswith(_NEVER):
            raise GivenUp(f"{where}: ${{{name}}} is the agent runner's own, and is given to no MCP server", "agent")
        if name not in self._allowed:
            raise GivenUp(
                f"{where}: ${{{name}}} may not be used; whoever operates the agent runner allows it with BENCHWIRE_MCP_VARIABLES={name}",
                "agent",
            )
        value = self._environment.get(name)
        if not value:
            raise GivenUp(f"{where}: ${{{name}}} is not set in the environment of the agent runner", "agent")
        if value in (self._environment.get(key) for key in _MODEL_KEYS):
            raise GivenUp(f"{where}: ${{{name}}} holds the model's key, which is given to no MCP server", "agent")
        if len(value) >= _HIDDEN_CHARS:
            self._used[name] = value
        return value
