"""Lists of sessions and events out of very many."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.apart import result
from benchmarks.lab import WAL_NORMAL, Service, observability, plain, searching
from benchmarks.load import filling
from benchmarks.load.reading import read
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server

_PAGE = 200


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    events, sessions = setting.of(1_000_000, 20_000), setting.of(10_000, 1_000)
    file = setting.place / "plain.sqlite"
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server.running(setting.place / "nats"))
        await result(filling.log, url=nats.url, events=events, sessions=sessions)
        await result(filling.plain_file, file=str(file), events=events, sessions=sessions)
        ours = await stack.enter_async_context(observability(nats.url, setting.place / "data"))
        theirs = await stack.enter_async_context(plain(setting.place, WAL_NORMAL, file=file))
        await searching(ours)
        # The last page there is of the session that has half of all events; a reader of ours goes on from the page before it.
        path = f"/sessions/{filling.LARGE}/events"
        page = (await ours.http.get(path, params={"limit": _PAGE, "before": 1 << 53})).json()["events"]
        kept = _kept(setting.place, events)

        async def here() -> Measured:
            return await _read(ours, sessions, f"{path}?limit={_PAGE}&after={page[0]['id'] - 1}") | kept

        async def there() -> Measured:
            return await _read(theirs, sessions, f"/events/{filling.LARGE}?limit={_PAGE}&offset={events // 2 - _PAGE}")

        yield {"plain": there, "benchwire": here}


async def _read(service: Service, sessions: int, page: str) -> Measured:
    listed = await result(read, port=service.port, path="/sessions", least_bytes=100 * sessions)
    paged = await result(read, port=service.port, path=page, least_bytes=100 * _PAGE)
    return {"sessions_ms": listed["ms"], "page_ms": paged["ms"], "resident_mb": service.resident_mb}


def _kept(place: Path, events: int) -> Measured:
    """Bytes on the disk for each event: in the log, in the rows, and in the words of the search."""
    store = sum(one.stat().st_size for one in (place / "nats").rglob("*") if one.is_file())
    rows, words = (_size(place / "data" / "observability" / f"{name}.sqlite") for name in ("projection", "search"))
    return {"log_bytes": store / events, "rows_bytes": rows / events, "search_bytes": words / events}


def _size(file: Path) -> int:
    """With what has not been written into it yet."""
    return sum(one.stat().st_size for one in (file, file.with_name(file.name + "-wal")) if one.exists())


SCENE = Scene(
    name="lists",
    about="GET /sessions with 10,000 sessions, and the last 200 events of a session that has half of 1,000,000; the median of 15 calls",
    prepared=_prepared,
    goals=[
        Goal(
            what="GET /sessions, 10,000 of them: time, against the plain design",
            of="benchwire",
            metric="sessions_ms",
            against="plain",
            at_most=0.1,
        ),
        Goal(
            what="a page of events out of 1,000,000: time, against the plain design",
            of="benchwire",
            metric="page_ms",
            against="plain",
            at_most=0.1,
        ),
    ],
)
