"""Request and reply: only what may be forgotten. What must happen is a fact in the log."""

from typing import Literal, NamedTuple

import msgspec

from benchwire.events.catalog import AGENT, DOCUMENTS, FLASH_AGENT, OBSERVABILITY
from benchwire.events.event import Artifact
from benchwire.events.task import NodeSpec, UartLink


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", tag_field="answer"):
    """A reply that says no: ``code`` for programs, ``detail`` for people."""

    code: str
    detail: str


class ScanHost(msgspec.Struct, frozen=True, kw_only=True):
    """Asks a host's flash agent to look for boards now. Subject ``ask.host.{host}.scan``."""

    host: str


class HostScanned(msgspec.Struct, frozen=True, kw_only=True, tag="host_scanned", tag_field="answer"):
    """What is plugged in at this moment."""

    host: str
    devices: list[str]


class IdentifyDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the chip of a board to be asked what it is, which resets the board. Subject ``ask.host.{host}.identify``."""

    host: str
    device: str
    lease_id: str | None = None


class Identified(msgspec.Struct, frozen=True, kw_only=True, tag="identified", tag_field="answer"):
    """What the chip said, or the ``problem``."""

    chip: str | None = None
    profile: str | None = None
    problem: str | None = None


Do = Literal["reset", "download", "power_on", "power_off"]  # what a hand on a board can do


class HandleDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a hand on a board's reset line or supply. Subject ``ask.host.{host}.handle``."""

    host: str
    device: str
    do: Do
    lease_id: str | None = None
    by: str | None = None


class Handled(msgspec.Struct, frozen=True, kw_only=True, tag="handled", tag_field="answer"):
    """It was done."""

    device: str


class WriteSerial(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for ``data`` to be sent to a board. Subject ``ask.host.{host}.write_serial``."""

    host: str
    device: str
    data: bytes
    lease_id: str | None = None
    by: str | None = None


class SerialAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="serial_accepted", tag_field="answer"):
    """So many bytes were handed to the port."""

    written: int


class DesignSystem(msgspec.Struct, frozen=True, kw_only=True):
    """Asks an agent runner to plan a system from plain words; nothing is built. Subject ``ask.agent.design``, answered by one runner of all.

    ``board`` is a profile's name, when all nodes are for it.
    """

    prompt: str
    board: str | None = None
    answers: list[str] = []


class SystemDesigned(msgspec.Struct, frozen=True, kw_only=True, tag="system_designed", tag_field="answer"):
    """What would be built: nodes with their boards and assertions, and whose UARTs are joined."""

    nodes: list[NodeSpec]
    links: list[UartLink] = []
    summary: str = ""
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_s: float = 0.0


class ListBoards(msgspec.Struct, frozen=True, kw_only=True):
    """Asks an agent runner for which boards it can make firmware. Subject ``ask.agent.boards``, answered by one runner of all."""


class BoardAbility(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner's host can do for one board profile; ``missing`` has a sentence for each thing that it lacks, naming the package."""

    name: str
    title: str
    aliases: list[str]
    architecture: str
    can_build: bool
    can_simulate: bool
    can_flash: bool
    missing: list[str] = []


class BoardsListed(msgspec.Struct, frozen=True, kw_only=True, tag="boards_listed", tag_field="answer"):
    """All board profiles, as the host of ``runner`` can serve them."""

    runner: str
    boards: list[BoardAbility]


class PushDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a document whose bytes are in the artifact store already. Subject ``ask.documents.push``. The same id again is the same document."""

    document_id: str
    name: str
    artifact: Artifact
    tags: list[str] = []
    session_id: str | None = None


class DocumentPushed(msgspec.Struct, frozen=True, kw_only=True, tag="document_pushed", tag_field="answer"):
    """The document is in the log."""

    document_id: str


class SearchDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for documents, best match first. Subject ``ask.documents.search``.

    They have the words of ``query`` in their text, name or description, and all of ``tags``.
    """

    query: str = ""
    tags: list[str] = []
    limit: int = 20


class DocumentFound(msgspec.Struct, frozen=True, kw_only=True):
    """One document; ``excerpt`` shows where the words stand."""

    document_id: str
    name: str
    size_bytes: int
    content_type: str
    tags: list[str]
    created_at: str
    excerpt: str = ""


class DocumentsFound(msgspec.Struct, frozen=True, kw_only=True, tag="documents_found", tag_field="answer"):
    """What matches, at most ``limit`` of them."""

    documents: list[DocumentFound]


class GetDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Asks what is known of one document. Its bytes are in the artifact store. Subject ``ask.documents.get``."""

    document_id: str


class DocumentTold(msgspec.Struct, frozen=True, kw_only=True, tag="document_told", tag_field="answer"):
    """One document, and where its bytes are."""

    document: DocumentFound
    artifact: Artifact


def replies_of(inbox: str, subject: str) -> str:
    """Where the answers to ``subject`` come, for whoever has that ``inbox``: ``_REPLY.agent.lab-1.host.lab-2.scan`` and a token of each."""
    return f"{inbox.replace('_INBOX', '_REPLY', 1)}.{subject.removeprefix('ask.')}"


class Ask(NamedTuple):
    """What a service can be asked: the subject, the request, its answer when it is not ``Refused``, who asks and who answers."""

    subject: str
    request: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    askers: tuple[str, ...]
    answerer: str


ASKS = (
    Ask("ask.host.{host}.scan", ScanHost, HostScanned, (OBSERVABILITY,), FLASH_AGENT),
    Ask("ask.host.{host}.identify", IdentifyDevice, Identified, (OBSERVABILITY,), FLASH_AGENT),
    Ask("ask.host.{host}.handle", HandleDevice, Handled, (OBSERVABILITY,), FLASH_AGENT),
    Ask("ask.host.{host}.write_serial", WriteSerial, SerialAccepted, (OBSERVABILITY, AGENT), FLASH_AGENT),
    Ask("ask.agent.design", DesignSystem, SystemDesigned, (OBSERVABILITY,), AGENT),
    Ask("ask.agent.boards", ListBoards, BoardsListed, (OBSERVABILITY,), AGENT),
    Ask("ask.documents.push", PushDocument, DocumentPushed, (AGENT,), DOCUMENTS),
    Ask("ask.documents.search", SearchDocuments, DocumentsFound, (AGENT,), DOCUMENTS),
    Ask("ask.documents.get", GetDocument, DocumentTold, (AGENT,), DOCUMENTS),
)
