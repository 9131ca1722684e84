"""UF2 files on their way to a board: what is in them, and would it run there? Knows no tool."""

from collections.abc import Sequence

from benchwire.boards import rp2040, uf2
from benchwire.boards.profile import Uf2
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools.pieces import Piece

_TOLD = 3  # families of a file for many
_FAMILIES = {rp2040.FAMILY: "the RP2040"}


def pieces_of(content: bytes, family: int) -> list[Piece]:
    """What a UF2 file holds for chips of ``family``, in order of the addresses. Blocks for other chips are left out, as a loader does.

    Raises ``ImageRefused`` for a file that is damaged, or has nothing for this chip.
    """
    try:
        every = uf2.blocks_of(content)
        blocks = [block for block in every if block.is_for_flash and block.family == family]
        if not blocks:
            raise ImageRefused(f"the UF2 file is made for {_made_for(every)}, and this board has {_chip(family)}")
        uf2.whole(blocks)
    except uf2.Uf2Error as error:
        raise ImageRefused(str(error)) from error
    return _joined(sorted(blocks, key=lambda block: block.address))


def bootable(pieces: Sequence[Piece], driver: Uf2) -> None:
    """Has a second stage, if it lies where the RP2040 looks for one. Raises ``ImageRefused``."""
    first = next((piece for piece in pieces if piece.address == driver.address), None)
    if driver.family == rp2040.FAMILY and first is not None and not rp2040.has_second_stage(first.data):
        raise ImageRefused(
            "the image would not boot: its first 256 bytes are no second stage with the checksum that the RP2040's boot ROM asks for"
        )


def _joined(blocks: list[uf2.Block]) -> list[Piece]:
    """Blocks that lie behind each other as one piece."""
    stretches: list[list[uf2.Block]] = []
    end = -1
    for block in blocks:
        if block.address != end:
            stretches.append([])
        stretches[-1].append(block)
        end = block.address + len(block.data)
    return [Piece(stretch[0].address, b"".join(block.data for block in stretch)) for stretch in stretches]


def _made_for(blocks: list[uf2.Block]) -> str:
    families = {block.family for block in blocks if block.family is not None}
    named = [_chip(family) for family in sorted(families)[:_TOLD]]
    more = [f"{len(families) - _TOLD} more"] if len(families) > _TOLD else []
    return ", ".join([*named, *more]) or "no chip that it names"


def _chip(family: int) -> str:
    return _FAMILIES.get(family, f"chips of the family {family:#010x}")
