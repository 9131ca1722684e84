"""`benchwire doc` against a document store, as a person would use it."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchwire.deploy.doc.app import app
from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server


class Shell:
    """Runs the command in a directory, beside the loop that serves."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def run(self, *words: str, code: int = 0, stdin: bytes = b"") -> Result:
        """What the command did, which is expected to end with ``code``."""
        command, *rest = words
        asked = [command, "--url", self._url, *rest]
        done = await asyncio.to_thread(CliRunner().invoke, app, asked, input=stdin)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done

    async def told(self, *words: str, stdin: bytes = b"") -> str:
        """What the command wrote to stdout."""
        return (await self.run(*words, stdin=stdin)).stdout.strip()


@pytest.fixture
async def service(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(nats.url, tmp_path / "data") as service:
        yield service


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory the commands run in."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def shell(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("BENCHWIRE_DATA", str(tmp_path / "no-lab"))
    return Shell(service.url)


async def test_what_is_pushed_can_be_found_and_pulled(shell: Shell, here: Path) -> None:
    data = os.urandom(700_000)
    (here / "firmware.bin").write_bytes(data)
    pushed = await shell.told("push", "firmware.bin", "--tag", "esp32", "--tag", "release", "--meta", "built-by=me")
    note = await shell.told("push", "-", "--name", "notes.md", "--tag", "esp32", stdin="wörds of the lab".encode())
    listed = json.loads(await shell.told("query", "--json", "--tag", "release"))
    assert (listed["id"], listed["metadata"], listed["tags"]) == (pushed, {"built-by": "me"}, ["esp32", "release"])
    assert (await shell.told("query", "--tag", "esp32")).splitlines()[0].startswith(note)
    assert "notes.md" in await shell.told("query", "--name", "NOTES")
    assert hashlib.sha256(data).hexdigest() in await shell.told("info", pushed)
    assert json.loads(await shell.told("info", pushed, "--json"))["size_bytes"] == len(data)
    assert await shell.told("read", note, "--offset", "1", "--limit", "4") == "örds"

    (here / "out").mkdir()
    assert await shell.told("pull", pushed, "-o", "out") == "out/firmware.bin"
    assert (here / "out/firmware.bin").read_bytes() == data
    assert "--force" in (await shell.run("pull", pushed, code=2)).stderr
    assert (await shell.run("pull", pushed, "-o", "-")).stdout_bytes == data


async def test_a_pull_goes_on_where_it_broke_off_and_checks_what_arrived(shell: Shell, here: Path) -> None:
    data = os.urandom(700_000)
    (here / "a.bin").write_bytes(data)
    pushed = await shell.told("push", "a.bin")
    draft = here / f".{hashlib.sha256(data).hexdigest()[:16]}.part"
    draft.write_bytes(data[:300_000])
    await shell.run("pull", pushed, "-o", "b.bin")
    assert (here / "b.bin").read_bytes() == data
    assert not draft.exists()
    draft.write_bytes(b"?" * 300_000)
    assert "damaged" in (await shell.run("pull", pushed, "-o", "c.bin", code=1)).stderr
    assert not (here / "c.bin").exists()
    await shell.run("pull", pushed, "-o", "c.bin")
    assert (here / "c.bin").read_bytes() == data


async def test_tags_are_added_and_taken_away_and_documents_removed(shell: Shell, here: Path) -> None:
    (here / "a").write_bytes(b"a")
    first, second = await shell.told("push", "a", "--tag", "old"), await shell.told("push", "a")
    assert await shell.told("tag", first, "+new", "-old", "+other", "-nobody") == "new other"
    assert "+TAG" in (await shell.run("tag", first, "x", code=2)).stderr
    assert "cannot be a tag" in (await shell.run("tag", first, "+no!", code=2)).stderr
    removed = await shell.run("rm", first, "doc_none", second, code=1)
    assert "doc_none" in removed.stderr
    assert await shell.told("query") == ""
    assert "no document" in (await shell.run("info", first, code=1)).stderr


async def test_what_cannot_be_done_is_said_in_a_sentence(shell: Shell, here: Path) -> None:
    assert "--name" in (await shell.run("push", "-", code=2)).stderr
    assert "missing" in (await shell.run("push", "missing", code=1)).stderr
    (here / "a").write_bytes(b"a")
    assert "K=V" in (await shell.run("push", "a", "--meta", "x", code=2)).stderr.replace("KEY=VALUE", "K=V")
    assert "expires_at" in (await shell.run("push", "a", "--expires", "soon", code=2)).stderr
    nowhere = Shell("http://127.0.0.1:1")
    assert "does not answer" in (await nowhere.run("query", code=1)).stderr
