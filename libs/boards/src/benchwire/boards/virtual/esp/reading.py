"""Reading flash through the stub."""

from benchwire.boards.virtual.esp.nor import Nor


class FlashRead:
    """A read by the stub: a block per frame, each sent after the host told how much it has, then the MD5 of all.

    The host allows many blocks under way; one at a time never overfills the line's buffer.
    """

    def __init__(self, nor: Nor, address: int, size_bytes: int, block_bytes: int) -> None:
        self._nor = nor
        self._address = address
        self._size_bytes = size_bytes
        self._block_bytes = block_bytes
        self._sent_bytes = 0

    def after(self, got_bytes: int) -> tuple[bytes | None, bool]:
        """The frame to send now that the host has `got_bytes`, and whether the read is over."""
        if got_bytes != self._sent_bytes:
            return None, True
        if self._sent_bytes == self._size_bytes:
            return self._nor.md5(self._address, self._size_bytes), True
        size_bytes = min(self._block_bytes, self._size_bytes - self._sent_bytes)
        block = self._nor.read(self._address + self._sent_bytes, size_bytes)
        self._sent_bytes += size_bytes
        return block, False
