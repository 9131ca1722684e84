"""Flash jobs: the firmware found or stored, the board found or chosen, and the job written down for the board's host."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from benchwire.events.event import Artifact, token
from benchwire.events.flash import FlashRequested
from benchwire.observability import commands, errors, queries
from benchwire.observability.boards import finding, leasing
from benchwire.observability.commands import Image, Node
from benchwire.observability.lab import Lab
from benchwire.observability.lease import Wish
from benchwire.observability.queries import Row
from benchwire.observability.wire.flashing import StartFlash, address_of

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Uploaded(msgspec.Struct, frozen=True):
    """A file that came with the call: what it is, where its bytes are for now, and its address, if one was said."""

    artifact: Artifact
    file: Path
    address: int | None


async def started(
    lab: Lab,
    asked: StartFlash,
    uploads: Sequence[Uploaded] = (),
    *,
    job_id: str,
    images: Sequence[Image] = (),
    node: Node | None = None,
    only_idle: bool = False,
) -> Row:
    """The job as it was queued with the flash agent of its board's host. The same ``job_id`` again is the same job.

    Its firmware is what ``asked`` names, or the ``uploads``, or ``images`` that are known already.

    A board that was not named is chosen, one call after the other, so that each sees what the one before took; where several of this service
    run, two may take the same board, and their jobs wait for each other. Raises ``Unusable``, ``DeviceUnknown``, ``DeviceAmbiguous``,
    ``DeviceTaken``, ``NoBoardFree``, ``FirmwareUnknown`` and ``BlobMissing``.
    """
    if (before := await lab.read(lambda db: queries.job(db, job_id))) is not None:
        return before
    images = images or await _images(lab, asked, uploads)
    await _decided(lab, asked, images, job_id, node, only_idle=only_idle)  # before anything is stored for nothing
    stored = [
        (await lab.blobs.store(one.file, name=one.artifact.name, known=one.artifact), one.file) for one in uploads
    ]
    is_chosen = asked.device_id is None and asked.lease_id is None
    async with lab.choosing if is_chosen else nullcontext():
        event = await _decided(lab, asked, images, job_id, node, only_idle=only_idle)
        await lab.write(event, event_id=f"{job_id}-requested")
    for one, file in stored:
        await lab.blobs.reaffirm(one, file)  # somebody may have freed the same bytes just before the job named them
    return await known(lab, job_id)


async def known(lab: Lab, job_id: str) -> Row:
    """The flash job of that id. Raises ``JobUnknown``."""
    token(job_id, "job_id")
    return await lab.found(lambda db: queries.job(db, job_id), errors.JobUnknown(job_id))


async def _decided(
    lab: Lab, asked: StartFlash, images: Sequence[Image], job_id: str, node: Node | None, *, only_idle: bool
) -> FlashRequested:
    row = await _board(lab, asked, only_idle=only_idle)
    finding.mind_lease(lab, row, asked.lease_id, by=node.holder if node else None)
    return commands.request_flash(
        job_id=job_id, host=row["host"], device=row["device"], board=row["profile"], images=images, asked=asked, node=node, now=lab.now()
    )  # fmt: skip


async def _board(lab: Lab, asked: StartFlash, *, only_idle: bool) -> Row:
    if asked.device_id is not None:
        return await finding.named(lab, asked.device_id, asked.host)
    if asked.lease_id is not None:
        lease = await leasing.known(lab, asked.lease_id)
        if lease.state != queries.HELD:
            raise errors.LeaseOver(asked.lease_id)
        return await finding.named(lab, lease.row["device"], lease.row["host"])
    if asked.profile is None and not asked.labels:
        raise errors.Unusable("device_id: it is missing; name the board, or a profile or labels that it has to have")
    labels = commands.checked_labels(asked.labels)
    wish = Wish(host=asked.host, profile=commands.board_named(asked.profile), labels=labels)
    return await finding.free(lab, wish, only_idle=only_idle)


async def _images(lab: Lab, asked: StartFlash, uploads: Sequence[Uploaded]) -> list[Image]:
    named = bool(asked.artifact_id or asked.document_id)
    if named + bool(asked.parts) + bool(uploads) > 1:
        raise errors.Unusable("artifact_id: the firmware is said twice: give one file, one id, or parts")
    if uploads:
        return [(one.artifact, one.address) for one in uploads]
    if asked.parts:
        return [
            (await _image(lab, part.artifact_id, part.document_id), address_of(part.address, f"parts[{place}].address"))
            for place, part in enumerate(asked.parts)
        ]
    return [(await _image(lab, asked.artifact_id, asked.document_id), None)]


async def _image(lab: Lab, artifact_id: str | None, document_id: str | None) -> Artifact:
    digest, name = artifact_id, artifact_id
    if document_id is not None:
        unknown = errors.FirmwareUnknown(f"there is no document {document_id[:128]!r}")
        document = await lab.found(lambda db: queries.document(db, document_id), unknown)
        digest, name = document["digest"], document["filename"]
    if not digest or not name:
        raise errors.Unusable("artifact_id: give the digest of the firmware, or a document_id, or send a file")
    if not _DIGEST.fullmatch(digest):
        raise errors.Unusable("artifact_id: it must be a SHA-256 in lower-case hex")
    return Artifact(digest=digest, size_bytes=await lab.blobs.size_of(digest), name=name)
