"""What the prepared model answers: a module, a firmware, and sessions that call tools."""

from collections.abc import Mapping
from typing import Any

FIRMWARE = '#include "board.h"\nint main(void) { board_init(); uart_puts("READY\\r\\n"); for (;;) { delay_ms(50); } }\n'
MODULE = '"""Doubles."""\n\n\ndef double(x: int) -> int:\n    """Twice as much."""\n    return 2 * x\n'
TESTS = "from double import double\n\n\ndef test_double() -> None:\n    assert double(2) == 4\n"
CODE_TASK = {
    "kind": "code",
    "prompt": "doubles",
    "nodes": [{"node_id": "double.py", "description": "double(x: int) -> int"}],
}
FIRMWARE_TASK = {
    "kind": "firmware",
    "prompt": "say that you are ready",
    "deploy": False,
    "simulation_timeout_s": 3,
    "nodes": [{"node_id": "node", "board": "stm32f405", "assertions": [{"name": "ready", "pattern": "READY"}]}],
}


def fenced(language: str, text: str) -> str:
    """``text`` as a model writes a file."""
    return f"```{language}\n{text}```"


def conversation(fits: Mapping[str, str], *turns: Mapping[str, Any], delay_s: float = 0.4) -> dict[str, Any]:
    """Answers in their order to whatever fits; each takes ``delay_s``."""
    return {"name": str(fits), **fits, "turn": [{"delay_s": delay_s, **one} for one in turns]}


def bash(text: str, command: str) -> dict[str, Any]:
    """A turn that says ``text`` and runs a command."""
    return {"text": text, "tool": {"name": "bash", "input": {"command": command}}}


def cassette(*sessions: dict[str, Any], delay_s: float = 0.4) -> dict[str, Any]:
    """These conversations, and the tasks' above: a module and a firmware fail their first try."""
    code = [
        f"{fenced('python double.py', one)}\n\n{fenced('python test_double.py', TESTS)}"
        for one in (MODULE.replace("2 *", "3 *"), MODULE)
    ]
    firmware = [fenced("c", one) for one in (FIRMWARE.replace("READY", "HELLO"), FIRMWARE)]
    return {
        "cassette": 1,
        "conversation": [
            conversation({"contains": "Write double.py:"}, *({"text": one} for one in code), delay_s=delay_s),
            conversation(
                {"contains": "Board profile: stm32f405"}, *({"text": one} for one in firmware), delay_s=delay_s
            ),
            *sessions,
        ],
    }
