"""Everything that a job needs, there and checked, before its device is touched."""

import asyncio

import msgspec
import stamina
from nats.errors import Error as NatsError

from benchwire.events.blobs import BlobMissing, Blobs, DigestMismatch
from benchwire.events.flash import FlashRequested
from benchwire.events.log import LogUnavailable
from benchwire.flash_agent.errors import DeviceNotAttached, ImageMissing, ImageRefused
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.tools import drivers, images
from benchwire.flash_agent.tools.worker_protocol import AnyOrder

IMAGE_DEADLINE_S = 60.0
MAX_FLASH_BYTES = 128 << 20  # of a board of which nobody knows the size


class Prepared(msgspec.Struct, frozen=True):
    """The board, what the tool is told, and the bytes."""

    board: Board
    order: AnyOrder
    image: bytes


async def prepared(request: FlashRequested, inventory: Inventory, blobs: Blobs) -> Prepared:
    """What ``request`` needs. Raises the ``FlashError`` that says why it cannot be done."""
    board = await _board(request, inventory)
    profile = drivers.profile_of(board.device, request)
    order = drivers.order_for(board.device, profile, request)
    image = await _image(request, blobs, MAX_FLASH_BYTES if profile is None else profile.flash.size_bytes)
    if profile is not None:
        await asyncio.to_thread(images.check, image, profile, request.address)  # it adds up every byte
    return Prepared(board, msgspec.structs.replace(order, size_bytes=len(image)), image)


async def _board(request: FlashRequested, inventory: Inventory) -> Board:
    board = inventory.board(request.device)
    if board is None:
        await inventory.scan()  # it may have been plugged in this moment
        board = inventory.board(request.device)
    if board is None:
        raise DeviceNotAttached(request.device, request.host)
    return board


async def _image(request: FlashRequested, blobs: Blobs, limit_bytes: int) -> bytes:
    try:
        async for attempt in stamina.retry_context(
            on=(NatsError, OSError, TimeoutError, LogUnavailable), attempts=None, timeout=IMAGE_DEADLINE_S, wait_max=1.0
        ):
            with attempt:
                size_bytes = await blobs.size_of(request.image.digest)
                if size_bytes > limit_bytes:  # a document of any size can be asked for
                    raise ImageRefused(f"{size_bytes} bytes do not fit into {limit_bytes} bytes of flash")
                return await blobs.get(request.image.digest)
    except (BlobMissing, DigestMismatch) as error:
        raise ImageMissing(f"the image {request.image.name} cannot be had: {error}") from error
    except (NatsError, OSError, TimeoutError, LogUnavailable) as error:
        raise ImageMissing(f"the artifact store did not answer for {IMAGE_DEADLINE_S:g} s") from error
    raise AssertionError("unreachable: retry_context returns or raises")
