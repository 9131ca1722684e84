"""The AsyncAPI document of the whole lab: ``python -m benchwire.deploy.asyncapi FILE...``.

Put together here because no service knows another. Observability serves the file that lies in its package.
"""

import sys
from pathlib import Path

import msgspec

from benchwire.agent import main as agent
from benchwire.agent.projection import SCHEMA as OF_AGENT
from benchwire.documents import captures
from benchwire.documents import faces as documents
from benchwire.documents.projection import SCHEMA as OF_DOCUMENTS
from benchwire.events import asyncapi
from benchwire.events.asyncapi import Reader, Server
from benchwire.events.catalog import AGENT, DOCUMENTS, FLASH_AGENT, OBSERVABILITY, filter_of, filters_of
from benchwire.events.flash import FlashRequested
from benchwire.events.live import FlashProgress, SerialLine, TaskLog
from benchwire.events.serial import CaptureFinished, CaptureRequested, CaptureStopRequested
from benchwire.events.service import version_of
from benchwire.events.session import SessionRequested
from benchwire.events.task import TaskRequested
from benchwire.flash_agent.projection import schema as of_flash_agent
from benchwire.observability.projection import SCHEMA as OF_OBSERVABILITY
from benchwire.observability.wire import faces as observability

SERVERS = (
    Server(service=OBSERVABILITY, host="127.0.0.1:8765"),
    Server(service=DOCUMENTS, host="127.0.0.1:8766"),
)
READERS = (
    Reader(OBSERVABILITY, "projection", tuple(OF_OBSERVABILITY.filters)),
    Reader(OBSERVABILITY, "live frames", tuple(filters_of([FlashProgress, SerialLine, TaskLog]))),
    Reader(DOCUMENTS, "projection", tuple(OF_DOCUMENTS.filters)),
    Reader(DOCUMENTS, f"queue {captures.QUEUE}", (filter_of(CaptureFinished),)),
    Reader(AGENT, "projection", tuple(OF_AGENT.filters)),
    Reader(AGENT, f"queue {agent.SESSIONS}", (filter_of(SessionRequested),)),
    Reader(AGENT, f"queue {agent.TASKS}", (filter_of(TaskRequested),)),
    Reader(AGENT, "serial lines", (filter_of(SerialLine),)),
    Reader(AGENT, "progress of its flash jobs", (filter_of(FlashProgress),)),
    Reader(FLASH_AGENT, "projection", tuple(of_flash_agent("{host}").filters)),
    Reader(FLASH_AGENT, "queue flash-{host}", (filter_of(FlashRequested),)),
    Reader(FLASH_AGENT, "queue capture-{host}", (filter_of(CaptureRequested),)),
    Reader(FLASH_AGENT, "stops of captures", (filter_of(CaptureStopRequested),)),
)


def text() -> str:
    """The document as JSON."""
    made = asyncapi.document(
        version_of("benchwire"),
        servers=SERVERS,
        readers=READERS,
        faces=[*observability.FACES, *documents.FACES],
    )
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def main() -> None:
    """Writes the files that are named."""
    for name in sys.argv[1:]:
        Path(name).write_text(text())


if __name__ == "__main__":
    main()
