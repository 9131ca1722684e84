"""One large file to the document store."""

import asyncio
import socket
import time
from pathlib import Path

from benchmarks.measuring import Measured

# As curl makes them. One of a few characters, as nobody sends it, takes four times as long to look for.
_BOUNDARY = b"------------------------d74496d66958873e"
_HEAD = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n' % _BOUNDARY
_TAIL = b"\r\n--%b--\r\n" % _BOUNDARY


async def upload(port: int, *, file: str) -> Measured:
    """The file as a form, from the disk to the socket without a detour, until it is answered."""
    return await asyncio.to_thread(_upload, port, Path(file))


def _upload(port: int, file: Path) -> Measured:
    size = file.stat().st_size
    with socket.create_connection(("127.0.0.1", port)) as plain, file.open("rb") as source:
        begun = time.perf_counter()
        plain.sendall(
            b"POST /documents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=%b\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (_BOUNDARY, len(_HEAD) + size + len(_TAIL), _HEAD)
        )
        plain.sendfile(source)
        plain.sendall(_TAIL)
        answer = b""
        while part := plain.recv(1 << 16):
            answer += part
        took = time.perf_counter() - begun
    if not answer.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(answer[:400].decode(errors="replace"))
    return {"mb_per_s": size / 1e6 / took}
