"""Bodies that can be sent as they stand here; the OpenAPI document shows them, and a contract test sends them."""

import json
from typing import Any

from benchwire.observability.wire.flashing import StartFlash
from benchwire.observability.wire.sessions import Hook
from benchwire.web.described import JSON, Body
from benchwire.web.forms import MULTIPART

NDJSON = "application/x-ndjson"
AT = "2026-01-17T12:00:00Z"

HOOK: dict[str, Any] = {
    "event_type": "session_start",
    "session_id": "fix-uart",
    "session_name": "Fix the UART",
    "timestamp": AT,
    "project_dir": "/home/ada/uart",
}
SAID: dict[str, Any] = {
    "event_type": "message",
    "session_id": "fix-uart",
    "timestamp": AT,
    "role": "assistant",
    "content": [{"type": "text", "text": "The divisor was off by one."}],
}
ONE_OF_A_SESSION: dict[str, Any] = {name: value for name, value in HOOK.items() if name != "session_id"}
_OF_A_SESSION = {"type": "object", "description": "As for POST /events; session_id may be left out"}
EVENTS = {
    JSON: Body(Hook | list[Hook], HOOK),
    NDJSON: Body({"type": "string"}, f"{json.dumps(HOOK)}\n{json.dumps(SAID)}\n"),
}
EVENTS_OF_A_SESSION = {
    JSON: Body({"oneOf": [_OF_A_SESSION, {"type": "array", "items": _OF_A_SESSION}]}, ONE_OF_A_SESSION),
    NDJSON: Body({"type": "string"}, f"{json.dumps(ONE_OF_A_SESSION)}\n"),
}
SESSION: dict[str, Any] = {
    "session_id": "blink",
    "session_name": "Blink",
    "prompt": "Make the LED blink twice a second.",
    "budget": {"max_tokens": 200000, "max_wall_s": 1800},
    "ask_before": ["flash_device"],
}
SAY: dict[str, Any] = {"text": "Use the second timer, please.", "by": "ada"}
DECISION: dict[str, Any] = {"approve": False, "reason": "That board is in use.", "by": "ada"}
NAMES: dict[str, Any] = {"session_name": "Blink, but slower"}
TASK: dict[str, Any] = {
    "prompt": "Print a count every second.",
    "nodes": [
        {
            "node_id": "counter",
            "board": "stm32f405",
            "description": "prints count 1, count 2, … on its console",
            "assertions": [{"name": "counts", "pattern": "count 2"}],
            "expect": "count 1",
        }
    ],
}
GUIDANCE: dict[str, Any] = {"guidance": "Use the second timer.", "node_id": "counter"}
FLASH: dict[str, Any] = {"device_id": "lab-1/stm32f405-1", "document_id": "doc_0123456789abcdef0123456789abcdef"}
FIRMWARE: dict[str, Any] = {
    "type": "object",
    "description": "One or more files, and the fields of the JSON body as text",
    "properties": {"file": {"type": "string", "format": "binary"}, "device_id": {"type": "string"}},
    "required": ["file"],
}
FLASHES = {
    JSON: Body(StartFlash, FLASH),
    MULTIPART: Body(FIRMWARE, {"file": "firmware", "device_id": "lab-1/stm32f405-1", "priority": "1"}),
}
THROTTLE: dict[str, Any] = {"max_bytes_per_s": 20_000}
DESIGN: dict[str, Any] = {"prompt": "A board that prints a count every second.", "board_id": "stm32f405"}
BUILD: dict[str, Any] = {
    "description": "Print a count every second.",
    "board_id": "stm32f405",
    "nodes": [
        {
            "node_id": "counter",
            "description": "prints count 1, count 2, … on its console",
            "assertions": [{"name": "counts", "pattern": "count 2", "required": True}],
        }
    ],
    "settings": {"max_iterations": 3, "simulation_timeout_seconds": 5},
}
SIMULATE: dict[str, Any] = {"session_id": "build-0123456789abcdef", "node_id": "counter", "timeout_seconds": 5}
ASSIGN: dict[str, Any] = {"node_id": "counter"}
DEPLOY: dict[str, Any] = {"task_id": "task-0123456789abcdef", "node_id": "counter", "port": "/dev/ttyUSB0"}
DEPLOY_ALL: dict[str, Any] = {"task_id": "task-0123456789abcdef"}
LEASE: dict[str, Any] = {"holder": "ada", "profile": "stm32f405", "labels": {"rack": "2"}, "for_s": 600, "wait_s": 1}
RENEWAL: dict[str, Any] = {"for_s": 600}
RESET: dict[str, Any] = {"mode": "run"}
POWER: dict[str, Any] = {"on": True}
IDENTIFY: dict[str, Any] = {}
SERIAL: dict[str, Any] = {"text": "version", "end": "\r\n", "until": "v(\\d+)\\.(\\d+)", "timeout_s": 2}
CAPTURE: dict[str, Any] = {"for_s": 30, "until": "TEST (PASS|FAIL)", "tags": ["boot"]}
AGENT: dict[str, Any] = {
    "name": "board-bringer",
    "description": "Brings up a new board",
    "system_prompt": "You bring up boards, one peripheral at a time.",
    "tags": ["bring-up"],
}
AGENT_CHANGE: dict[str, Any] = {"tags": ["bring-up", "stm32"]}
AGENT_STATUS: dict[str, Any] = {"status": "inactive"}
FORK: dict[str, Any] = {"session_name": "Blink, another way", "prompt": "Use the hardware timer instead."}
IMPORT = {
    NDJSON: Body(
        {"type": "string"},
        '{"format":"benchwire-session","version":1,"events":0,"session":{"session_id":"blink"}}\n',
    )
}
