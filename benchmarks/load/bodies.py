"""What is posted: events as hooks report them, of about 560 bytes, each with the time at which it was made in its text."""

import json
import time

SESSIONS = 50
MARK = b"posted="
_OUTPUT = "compiled sensors.c, 0 warnings; " * 9
_HEAD = json.dumps({
    "event_type": "post_tool", "session_id": "SESSION", "session_name": "night build of the SESSION",
    "timestamp": "2026-01-17T10:20:30.123456Z", "tool_name": "bash", "tool_use_id": "toolu_01A09q90qw90lq917835lq9",
    "tool_input": {"command": "make -C firmware BOARD=stm32f405", "timeout": 120}, "tool_output": "posted=TIME " + _OUTPUT,
}, separators=(",", ":"))  # fmt: skip
_EVENTS = [_HEAD.replace("SESSION", f"s{number}").encode().partition(b"TIME") for number in range(SESSIONS)]


def event(number: int) -> bytes:
    """An event of one of fifty sessions; ``posted=`` in it is this machine's monotonic clock, in ns."""
    before, _, after = _EVENTS[number % SESSIONS]
    return b"%b%d%b" % (before, time.monotonic_ns(), after)


def starts() -> bytes:
    """The sessions begin: one event a line."""
    begun = (
        {
            "event_type": "session_start", "session_id": f"s{number}", "session_name": f"night build of the s{number}",
            "timestamp": "2026-01-17T10:20:00Z", "project_dir": "/home/lab/firmware", "agent_name": "builder",
        }
        for number in range(SESSIONS)
    )  # fmt: skip
    return b"".join(json.dumps(one).encode() + b"\n" for one in begun)
