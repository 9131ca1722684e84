"""A large file into the document store."""

import asyncio
import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

from benchmarks.apart import result
from benchmarks.engine import objects
from benchmarks.lab import documents
from benchmarks.load.uploading import upload
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server

_MIB = 1 << 20


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    file = setting.place / "big.bin"
    await asyncio.to_thread(_write, file, setting.of(1024, 64))
    async with (
        nats_server.running(setting.place / "nats") as nats,
        documents(nats.url, setting.place / "data") as service,
    ):

        async def uploaded() -> Measured:
            await asyncio.to_thread(_change, file)  # what the store has already would cost next to nothing
            taken: Measured = await result(upload, port=service.port, file=str(file))
            there = (await service.http.get("/documents")).json()
            for one in there:
                (await service.http.delete(f"/documents/{one['id']}")).raise_for_status()
            return taken | {"resident_mb": service.resident_mb}

        yield {
            "nats-py, object store": partial(result, objects.put, url=nats.url, file=str(file)),
            "benchwire": uploaded,
        }


def _write(file: Path, mib: int) -> None:
    piece = os.urandom(_MIB)
    with file.open("wb") as out:
        for number in range(mib):
            out.write(number.to_bytes(8, "big") + piece[8:])


def _change(file: Path) -> None:
    with file.open("r+b") as out:
        out.write(os.urandom(8))


SCENE = Scene(
    name="upload",
    about="a file of 1 GiB, from the disk into the artifact store; ours comes as a form over HTTP, is hashed, and becomes a document",
    prepared=_prepared,
    most_rounds=3,
    goals=[
        Goal(
            what="upload of 1 GiB, against nats-py's object store alone",
            of="benchwire",
            metric="mb_per_s",
            against="nats-py, object store",
            at_least=0.7,
            because="they come over HTTP, in a form whose end has to be looked for, and are hashed, and named by their digest",
        ),
    ],
)
