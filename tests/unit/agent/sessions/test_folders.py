"""The directories of sessions do not grow for ever."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from benchwire.agent.sessions.folders import Folders
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import SessionDeleted, SessionRequested
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT, sample


def recorded(kind: type[Event], session_id: str) -> Recorded:
    return Recorded(sequence=1, id="1", event=sample(kind, session_id=session_id), received_at=AT)


def made(folders: Folders, name: str) -> Path:
    folder = folders.of(name)
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    return folder


@pytest.mark.parametrize("name", ["s-1", "one.two/../three", "ä" * 60])
async def test_the_directory_of_a_deleted_session_goes_when_nobody_works_in_it_any_more(
    tmp_path: Path, name: str
) -> None:
    folders, busy = Folders(tmp_path / "sessions"), {name}
    gone, kept = made(folders, name), made(folders, "another")
    assert gone.parent == kept.parent
    clearing = asyncio.create_task(folders.clear(lambda one: one in busy))
    folders.saw([recorded(SessionDeleted, name), recorded(SessionDeleted, "never-here")])
    await asyncio.sleep(0.05)
    assert gone.is_dir()
    busy.clear()
    await eventually(lambda: not gone.exists())
    assert kept.is_dir()
    clearing.cancel()
    with suppress(asyncio.CancelledError):
        await clearing


async def test_a_session_that_was_asked_for_again_keeps_its_directory(tmp_path: Path) -> None:
    """A projection that is rebuilt tells of deletions that are long over."""
    folders = Folders(tmp_path)
    kept, gone = made(folders, "s-1"), made(folders, "s-2")
    folders.saw([recorded(SessionDeleted, "s-1"), recorded(SessionRequested, "s-1"), recorded(SessionDeleted, "s-2")])
    clearing = asyncio.create_task(folders.clear(lambda _: False))
    await eventually(lambda: not gone.exists())
    assert kept.is_dir()
    clearing.cancel()
    with suppress(asyncio.CancelledError):
        await clearing
