"""What the demo asks of the lab: one task, two boards side by side, and how it should go."""

from typing import Any

from msgspec import Struct

PROMPT = "Bring up both boards: say who you are, count to five, test yourself, and keep a heartbeat."
SIMULATION_TIMEOUT_S = 3.0


class Expected(Struct, frozen=True, kw_only=True):
    """How one node should go. ``retries`` are the stages at which its tries end before one passes; None when nobody can know."""

    node_id: str
    board: str
    line: str
    retries: tuple[str, ...] | None = None


# The scripted model's firmwares and these have to fit: scripted/demo.toml.
SCRIPTED = (
    Expected(node_id="stm32", board="stm32f405", line="SELFTEST PASS", retries=("compile", "assert")),
    Expected(node_id="esp", board="esp32c3", line="SELFTEST PASS", retries=("assert",)),
)
_DESCRIPTIONS = {
    "stm32": "Print 'BOOT ' and BOARD_NAME, then 'count 1' to 'count 5', one per line, and add them up. Print 'SELFTEST PASS' if the "
    "sum is 15, else 'SELFTEST FAIL'. Then print 'tick 0', 'tick 1' and so on, one each second.",
    "esp": "Print 'BOOT ' and BOARD_NAME, then 'count 1' to 'count 5', one per line. Write a pattern to 1 KiB of RAM and read it back: "
    "print 'SELFTEST PASS' if it is right, else 'SELFTEST FAIL'. Then print 'tick 0', 'tick 1' and so on, one each second.",
}


def expected(*, scripted: bool) -> tuple[Expected, ...]:
    """The nodes; how often a real model tries is its own affair."""
    if scripted:
        return SCRIPTED
    return tuple(Expected(node_id=one.node_id, board=one.board, line=one.line) for one in SCRIPTED)


def request(nodes: tuple[Expected, ...]) -> dict[str, Any]:
    """The body of ``POST /tasks``."""
    return {
        "kind": "firmware",
        "prompt": PROMPT,
        "nodes": [_node(one) for one in nodes],
        "max_iterations": 5,
        "simulation_timeout_s": SIMULATION_TIMEOUT_S,
    }


def _node(one: Expected) -> dict[str, Any]:
    patterns = {
        "boots": ("substring", f"BOOT {one.board}"),
        "counts": ("regex", "^count 5$"),
        "passes its own test": ("substring", one.line),
        "has no failure": ("absent", "SELFTEST FAIL"),
    }
    assertions = [
        {"name": name, "kind": kind, "pattern": pattern, "required": True} for name, (kind, pattern) in patterns.items()
    ]
    return {
        "node_id": one.node_id,
        "board": one.board,
        "description": _DESCRIPTIONS[one.node_id],
        "assertions": assertions,
        "deploy": True,
        "expect": one.line,
    }
