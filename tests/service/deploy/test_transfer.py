"""`benchwire export` and `benchwire import`, as commands, between two labs' doors."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.client.errors import NoLab
from benchwire.deploy.client import Client
from benchwire.events import child, nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

HOOKS: list[dict[str, Any]] = [
    {"event_type": "session_start", "project_dir": "/p"},
    {"event_type": "message", "role": "assistant", "content": [{"type": "text", "text": "all done"}]},
    {"event_type": "session_stop", "exit_code": 0},
]


@pytest.fixture
async def labs(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The addresses of two labs."""
    async with nats_server.running(tmp_path / "n1") as one, nats_server.running(tmp_path / "n2") as two:
        first = Settings(nats_url=one.url, data=tmp_path / "d1", observability_port=0)
        second = Settings(nats_url=two.url, data=tmp_path / "d2", observability_port=0)
        async with (
            running(lambda ready: observe(first, on_ready=ready)) as here,
            running(lambda ready: observe(second, on_ready=ready)) as there,
        ):
            yield f"http://127.0.0.1:{here}", f"http://127.0.0.1:{there}"


def files(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if "ndjson" in one.name]


async def benchwire(*arguments: str, given: bytes | None = None) -> tuple[int, bytes, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("BENCHWIRE_", "NATS_"))}
    process = await asyncio.create_subprocess_exec(
        *child.dying_with_owner([sys.executable, "-m", "benchwire.deploy", *arguments]), env=own,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(given), 60)
    return process.returncode or 0, out, err.decode()


async def test_a_session_goes_through_a_file_and_through_a_pipe(labs: tuple[str, str], tmp_path: Path) -> None:
    here, there = labs
    file = tmp_path / "s.ndjson"
    async with httpx.AsyncClient(timeout=20.0) as http:
        for hook in HOOKS:
            body = {"session_id": "s", "session_name": "S", "timestamp": "2026-01-17T12:00:00", **hook}
            (await http.post(f"{here}/events", json=body)).raise_for_status()
        code, out, err = await benchwire("export", "s", "--output", str(file), "--url", here)
        assert (code, out) == (0, b""), err
        assert "3 events of s" in err
        assert json.loads(file.read_bytes().splitlines()[0])["events"] == 3
        code, out, err = await benchwire("import", str(file), "--url", there)
        assert (code, out) == (0, b"s: 3 new events\n"), err
        code, piped, err = await benchwire("export", "s", "--url", here)
        assert (code, piped) == (0, file.read_bytes()), err
        code, out, err = await benchwire("import", "-", "--url", there, given=piped)
        assert (code, out) == (0, b"s: 0 new events\n3 were here already\n"), err
        for path in ("/sessions/s", "/sessions/s/result"):
            assert (await http.get(there + path)).json() == (await http.get(here + path)).json()
    assert files(tmp_path) == ["s.ndjson"]


async def test_what_does_not_work_is_said_in_a_sentence(labs: tuple[str, str], tmp_path: Path) -> None:
    here, _ = labs
    file = tmp_path / "nobody.ndjson"
    code, _, err = await benchwire("export", "nobody", "-o", str(file), "--url", here)
    assert (code, err) == (1, "benchwire export: there is no session 'nobody'\n")
    assert not file.exists()
    code, _, err = await benchwire("import", "-", "--url", here, given=b"{}\n")
    assert (code, "nothing was imported" in err) == (1, True)
    assert "Traceback" not in err


async def test_a_lab_that_is_not_there_is_named() -> None:
    async with Client("http://127.0.0.1:9") as nobody:
        with pytest.raises(NoLab, match=r"http://127\.0\.0\.1:9 "):
            await anext(nobody.exported("s"))
