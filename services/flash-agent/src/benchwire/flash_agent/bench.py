"""The hand on a virtual board's reset line: its control socket, one JSON object per line each way."""

import asyncio
from typing import Any, Literal

import msgspec

from benchwire.flash_agent.errors import ResetFailed

ANSWER_TIMEOUT_S = 5.0


async def reset(control: str, mode: Literal["run", "download"]) -> None:
    """Resets the board behind ``control`` into its flash, or into its loader. Raises ``ResetFailed``."""
    command = {"do": "reset", "mode": mode}
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await _asked(control, command)
    except TimeoutError:
        raise ResetFailed(f"the board did not answer within {ANSWER_TIMEOUT_S:g} s when it was to be reset") from None
    except (OSError, msgspec.DecodeError) as error:
        raise ResetFailed(f"the board could not be reset: {error}") from error
    if not answer.get("ok"):
        raise ResetFailed(f"the board refused to be reset: {answer.get('error')}")


async def _asked(control: str, command: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(control)
    try:
        writer.write(msgspec.json.encode(command) + b"\n")
        await writer.drain()
        return msgspec.json.decode(await reader.readline(), type=dict[str, Any])
    finally:
        writer.close()
