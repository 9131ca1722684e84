"""Everything that a job needs, there and checked, before its device is touched."""

import asyncio
from pathlib import PurePath

import msgspec
import stamina
from nats.errors import Error as NatsError

from benchwire.boards.profile import Profile, Pyocd, Uf2
from benchwire.events.blobs import BlobMissing, Blobs, DigestMismatch
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashPart, FlashRequested, ImageFormat
from benchwire.events.log import LogUnavailable
from benchwire.flash_agent.errors import DeviceNotAttached, ImageMissing, ImageRefused
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.tools import drivers, formats, images, uf2_files
from benchwire.flash_agent.tools.pieces import Piece, in_sectors
from benchwire.flash_agent.tools.worker_protocol import AnyOrder

IMAGE_DEADLINE_S = 60.0
MAX_FLASH_BYTES = 128 << 20  # of a board of which nobody knows the size
MAX_READ_BYTES = 16 << 20  # of those, from a file that is read record by record
MAX_FILE_BYTES = 64 << 20  # of a file that holds more than the bytes for the flash: addresses, symbols
_CONTAINERS = {".elf", ".axf", ".out", ".hex", ".ihex", ".uf2"}

# What is read takes some times its size for a moment; several at once would be too much for a small host.
_converting = asyncio.Semaphore(1)


class Prepared(msgspec.Struct, frozen=True):
    """The board, what the tool is told, and the bytes of its segments, one after the other."""

    board: Board
    order: AnyOrder
    image: bytes


async def prepared(request: FlashRequested, inventory: Inventory, blobs: Blobs) -> Prepared:
    """What ``request`` needs. Raises the ``FlashError`` that says why it cannot be done."""
    board = await _board(request, inventory)
    profile = drivers.profile_of(board.device, request)
    # What cannot be flashed at all is refused before anything is fetched.
    drivers.order_for(board.device, profile, request, [])
    parts = request.parts or [FlashPart(image=request.image, address=request.address)]
    flash_bytes = MAX_FLASH_BYTES if profile is None else profile.flash.size_bytes
    files: list[bytes] = []
    left = max(MAX_FILE_BYTES, flash_bytes)  # of all of them, however many there are
    for part in parts:
        files.append(await _fetched(part.image, blobs, min(left, _limit_bytes(request, part.image, flash_bytes))))
        left -= len(files[-1])
    async with _converting:
        pieces = await asyncio.to_thread(_pieces, request, parts, files, profile)
    order = drivers.order_for(board.device, profile, request, pieces)
    return Prepared(board, order, b"".join(piece.data for piece in pieces))


async def _board(request: FlashRequested, inventory: Inventory) -> Board:
    board = inventory.board(request.device)
    if board is None:
        await inventory.scan()  # it may have been plugged in this moment
        board = inventory.board(request.device)
    if board is None:
        raise DeviceNotAttached(request.device, request.host)
    return board


def _limit_bytes(request: FlashRequested, image: Artifact, flash_bytes: int) -> int:
    """How large a file may be: a document of any size can be asked for."""
    may_be_container = request.format is None and PurePath(image.name).suffix.lower() in _CONTAINERS
    if may_be_container or request.format not in (None, "bin"):
        return max(MAX_FILE_BYTES, flash_bytes)
    return flash_bytes


async def _fetched(image: Artifact, blobs: Blobs, limit_bytes: int) -> bytes:
    try:
        async for attempt in stamina.retry_context(
            on=(NatsError, OSError, TimeoutError, LogUnavailable), attempts=None, timeout=IMAGE_DEADLINE_S, wait_max=1.0
        ):
            with attempt:
                size_bytes = await blobs.size_of(image.digest)
                if size_bytes > limit_bytes:
                    raise ImageRefused(f"{size_bytes} bytes do not fit into {limit_bytes} bytes of flash")
                return await blobs.get(image.digest)
    except (BlobMissing, DigestMismatch) as error:
        raise ImageMissing(f"the image {image.name} cannot be had: {error}") from error
    except (NatsError, OSError, TimeoutError, LogUnavailable) as error:
        raise ImageMissing(f"the artifact store did not answer for {IMAGE_DEADLINE_S:g} s") from error
    raise AssertionError("unreachable: retry_context returns or raises")


def _pieces(
    request: FlashRequested, parts: list[FlashPart], files: list[bytes], profile: Profile | None
) -> list[Piece]:
    """What goes where, checked against what the profile says. Raises ``ImageRefused``. Reads every byte; call it in a thread."""
    pieces: list[Piece] = []
    for number, (part, content) in enumerate(zip(parts, files, strict=True)):
        partition = request.partition if number == 0 else None
        form = request.format or formats.format_of(content)
        found = _of_file(content, form, part.address, profile)
        if partition is None:
            pieces += found
        elif form == "bin":
            pieces.append(Piece(0, content, partition))
        else:
            raise ImageRefused(
                f"a file in the format {form} says itself where its bytes belong, which need not be in {partition}"
            )
    if profile is not None:
        images.check(pieces, profile)
    return pieces


def _of_file(content: bytes, form: ImageFormat, address: int, profile: Profile | None) -> list[Piece]:
    flash_bytes = MAX_READ_BYTES if profile is None else profile.flash.size_bytes
    match None if profile is None else profile.driver:
        case Uf2() as driver if form == "uf2":
            return uf2_files.pieces_of(content, driver.family)
        case Uf2() | Pyocd():
            return formats.pieces_of(content, form, address=address, machine="EM_ARM", flash_bytes=flash_bytes)
    found = formats.pieces_of(content, form, address=address, machine=None, flash_bytes=flash_bytes)
    return in_sectors(found, images.ESP_SECTOR_BYTES) if form == "hex" else found
