"""What a service says of itself on stderr: lines for people, or one JSON object a line (``BENCHWIRE_LOG_FORMAT=json``) for machines.

Every line of a piece of work has the ids of that work (``task_id``, ``trace_id``, …; see ``tracing``). What looks like a secret is blotted
out of each line, whoever wrote it.
"""

import logging
import re
import socket
import sys
from collections.abc import Mapping
from typing import Any

from pythonjsonlogger.msgspec import MsgspecFormatter

from benchwire.events import tracing
from benchwire.events.settings import InvalidSettings

_FIELDS = {"levelname": "level", "name": "logger", "message": "message"}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# In URLs: what follows ?token= and the like, and user:password@; elsewhere what follows Bearer.
_SECRETS = re.compile(
    r"""(?P<query>[?&](?:token|access_token|api_key|key|password|secret)=)[^&\s"'\\]+"""
    r"""|(?P<user>\w://)[^\s/"'\\@]+@"""
    r"""|(?P<scheme>\bBearer\s+)[^\s"'\\]+""",
    re.IGNORECASE,
)


def blotted(text: str) -> str:
    """``text`` without the secrets that stand in it: a query's ``token=``, a URL's ``user:password@``, a ``Bearer`` token."""
    return _SECRETS.sub(_blot, text)


def _blot(found: re.Match[str]) -> str:
    kept = found["query"] or found["user"] or found["scheme"]
    return f"{kept}…@" if found["user"] else f"{kept}…"


def begun(service: str, environment: Mapping[str, str]) -> None:
    """Sets logging of this process up, as the environment says. Raises ``InvalidSettings``."""
    level = environment.get("BENCHWIRE_LOG_LEVEL", "INFO").upper()
    if level not in _LEVELS:
        raise InvalidSettings(f"BENCHWIRE_LOG_LEVEL: it must be one of {', '.join(_LEVELS)}, not {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(service, environment))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)  # noqa: FBT003 - or they would stand between the lines in a form of their own
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # its errors reach us through error_cb
    # A retry is ordinary; whoever gives up, or waits long, says so.
    logging.getLogger("stamina").setLevel(logging.ERROR)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)


def _formatter(service: str, environment: Mapping[str, str]) -> logging.Formatter:
    wanted = environment.get("BENCHWIRE_LOG_FORMAT", "").lower()
    match wanted:
        case "" | "text":
            return _Lines(f"%(asctime)s {service} %(levelname)s %(message)s")
        case "json":
            return _Objects(service, environment.get("BENCHWIRE_HOST") or socket.gethostname())
        case _:
            raise InvalidSettings(f"BENCHWIRE_LOG_FORMAT: it must be text or json, not {wanted!r}")


class _Lines(logging.Formatter):
    """A line for each record; what belongs to it, such as a traceback, is set in below. No text makes a line that is another's."""

    def format(self, record: logging.LogRecord) -> str:
        return blotted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as above
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


def printable(line: str) -> str:
    """``line`` with its control characters escaped: they could begin another line, or drive the terminal of whoever reads it. Tabs stay."""
    if line.isprintable():
        return line
    return "".join(
        one if one.isprintable() or one == "\t" else one.encode("unicode_escape", "backslashreplace").decode()
        for one in line
    )


class _Objects(MsgspecFormatter):
    """One JSON object a line, the time in UTC."""

    def __init__(self, service: str, host: str) -> None:
        super().__init__(
            list(_FIELDS),
            rename_fields={**_FIELDS, "exc_info": "exception", "stack_info": "stack"},
            static_fields={"service": service, "host": host},
            timestamp=True,
        )

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Time first; then what is known of the work, where the line does not say it itself."""
        return {"timestamp": log_data.pop("timestamp"), **log_data, **_not_in(log_data, tracing.known())}

    def format(self, record: logging.LogRecord) -> str:
        return blotted(super().format(record))


def _not_in(said: Mapping[str, object], known: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in known.items() if name not in said}
