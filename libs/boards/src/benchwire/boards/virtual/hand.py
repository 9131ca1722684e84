"""A hand on a virtual board, from outside of its process: one command through its control socket. Blocking."""

import socket
from typing import Any

import msgspec

from benchwire.boards.virtual.board import BoardError

ANSWER_WITHIN_S = 10.0


def told(control: str, **command: Any) -> dict[str, Any]:
    """What the board behind the socket ``control`` answers (see ``control.py``). Raises ``BoardError`` with the board's own sentence.

    A board that does not answer, or is not there any more, is a ``BoardError`` too.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_WITHIN_S)
            connection.connect(control)
            connection.sendall(msgspec.json.encode(command) + b"\n")
            with connection.makefile("rb") as lines:
                answer = msgspec.json.decode(lines.readline(), type=dict[str, Any])
    except TimeoutError as error:
        raise BoardError(f"the board does not answer within {ANSWER_WITHIN_S:g} s") from error
    except (OSError, msgspec.DecodeError) as error:
        raise BoardError(f"the board does not answer: {error}") from error
    if not answer.pop("ok", False):
        raise BoardError(str(answer.get("error", "the board refused, and gave no reason")))
    return answer
