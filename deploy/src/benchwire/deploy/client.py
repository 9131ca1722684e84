"""The lab as its clients see it: tasks and sessions over HTTP and a WebSocket."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import msgspec
import typer
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchwire.client.errors import NoLab, Refused
from benchwire.client.http import bearer, object_of, ws_url
from benchwire.deploy import lab_file
from benchwire.deploy.settings import Settings
from benchwire.events.settings import load

DEFAULT_URL = "http://127.0.0.1:8765"
ENDED = ("completed", "failed", "cancelled")
_LAST_FRAMES = ("TASK_COMPLETE", "TASK_FAILED", "TASK_CANCELLED")
_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 30.0
_TRANSFER_TIMEOUT = httpx.Timeout(None, connect=_TIMEOUT_S)  # as long as the log takes
AGAIN_S = 0.5
AWAY_S = 60.0
_FRAME_BYTES = 64 * 1024 * 1024  # a frame holds a whole event, with the sources or the output in it
_PAGE_EVENTS = 1000
_NEVER = 2**53  # behind every event
_DATA = "data: "


UrlOption = Annotated[
    str | None, typer.Option(help=f"The lab's address; that of the lab that runs here, else {DEFAULT_URL}.")
]


class Client:
    """One lab. ``url`` is observability's."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = bearer(token)
        # The environment may name a proxy, and that one has no way to this machine's loopback.
        self._http = httpx.AsyncClient(headers=self._headers, timeout=_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> "Client":
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def start(self, task: dict[str, Any]) -> str:
        """Asks for a task; its id. Raises ``NoLab`` and ``Refused``."""
        return str((await self._call("POST", "/tasks", task))["task_id"])

    async def task(self, task_id: str) -> dict[str, Any]:
        """How a task stands. Raises ``NoLab`` and ``Refused``."""
        return await self._call("GET", f"/tasks/{_quoted(task_id)}")

    async def results(self, task_id: str) -> dict[str, Any]:
        """What a task made. Raises ``NoLab`` and ``Refused``."""
        return await self._call("GET", f"/tasks/{_quoted(task_id)}/results")

    async def tasks(self) -> list[dict[str, Any]]:
        """The newest tasks. Raises ``NoLab`` and ``Refused``."""
        return list((await self._call("GET", "/tasks"))["tasks"])

    async def cancel(self, task_id: str) -> dict[str, Any]:
        """Ends a task; what came of that. Raises ``NoLab`` and ``Refused``."""
        return await self._call("POST", f"/tasks/{_quoted(task_id)}/cancel", timeout_s=_STOP_TIMEOUT_S)

    async def guide(self, task_id: str, guidance: str, node_id: str | None) -> None:
        """Tells what the next generation has to heed. Raises ``NoLab`` and ``Refused``."""
        body = {"guidance": guidance, **({"node_id": node_id} if node_id else {})}
        await self._call("POST", f"/tasks/{_quoted(task_id)}/intervene", body)

    async def log(self, task_id: str) -> AsyncGenerator[str, None]:
        """The log of a task, line by line, until the task ends. Raises ``NoLab``, also when it breaks off, and ``Refused``."""
        address = f"{self.url}/tasks/{_quoted(task_id)}/logs/stream"
        try:
            async with self._http.stream("GET", address, timeout=_TRANSFER_TIMEOUT) as answer:
                if not answer.is_success:
                    await answer.aread()
                    object_of(answer, self.url)
                async for line in answer.aiter_lines():
                    if line.startswith(_DATA):
                        yield line.removeprefix(_DATA)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoLab(f"the lab at {self.url} does not answer, or broke off: {error}") from error

    async def frames(self, task_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """What happens to a task from its beginning to its end, each frame once; a connection that breaks is made again.

        Raises ``Refused``, and ``NoLab`` when the lab is away for ``AWAY_S``.
        """
        told: set[tuple[Any, Any]] = set()  # one fact may be told in several frames, each of another type
        loop = asyncio.get_running_loop()
        away_at: float | None = None
        while True:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                # The token goes as a header: an address with it could end up in a log.
                address = f"{ws_url(self.url)}/ws/{_quoted(task_id)}"
                async with connect(
                    address, additional_headers=self._headers, proxy=None, max_size=_FRAME_BYTES
                ) as socket:
                    async for text in socket:
                        frame = msgspec.json.decode(text, type=dict[str, Any])
                        place = (frame.get("seq"), frame.get("type"))
                        if place not in told:
                            told.add(place)
                            yield frame
                        if frame.get("type") in _LAST_FRAMES:
                            return
            try:  # a lab that is started anew goes on with its tasks
                if (await self.task(task_id))["status"] in ENDED:
                    return
                away_at = None
            except NoLab:
                away_at = away_at or loop.time()
                if loop.time() - away_at > AWAY_S:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def sessions(self, **query: str) -> list[dict[str, Any]]:
        """Sessions, newest first; ``query`` as in ``GET /sessions``. Raises ``NoLab`` and ``Refused``."""
        listed = (await self._call("GET", f"/sessions?{httpx.QueryParams(query)}"))["sessions"]
        return list(listed)

    async def session(self, session_id: str) -> dict[str, Any] | None:
        """A session; None when there is none of that id. Raises ``NoLab`` and ``Refused``."""
        try:
            return dict((await self._call("GET", _of_session(session_id)))["session"])
        except Refused as error:
            if error.status_code in (400, 404):  # what cannot be an id is none
                return None
            raise

    async def start_session(self, body: dict[str, Any]) -> dict[str, Any]:
        """Makes a session known; with a prompt an agent runner takes it. The session. Raises ``NoLab`` and ``Refused``."""
        return dict((await self._call("POST", "/sessions", body))["session"])

    async def message(self, session_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Says something to a session, running or ended; whether it is ``queued`` or ``resumed``. Raises ``NoLab`` and ``Refused``."""
        return await self._call("POST", f"{_of_session(session_id)}/messages", body)

    async def events(self, session_id: str, *, after: int | None = 0) -> AsyncGenerator[dict[str, Any], None]:
        """What happened in a session after the event ``after``, oldest first. Raises ``NoLab`` and ``Refused``."""
        while after is not None:
            page = await self._call("GET", f"{_of_session(session_id)}/events?after={after}&limit={_PAGE_EVENTS}")
            for event in page["events"]:
                yield event
            after = page.get("next_after")

    async def last_event(self, session_id: str) -> int:
        """The id of the newest event of a session; 0 when there is none. Raises ``NoLab`` and ``Refused``."""
        page = await self._call("GET", f"{_of_session(session_id)}/events?before={_NEVER}&limit=1")
        return int(page["events"][-1]["id"]) if page["events"] else 0

    async def approvals(self, session_id: str | None = None, *, state: str | None = None) -> list[dict[str, Any]]:
        """Calls of tools that wait, or waited, for a person; of one session or all. Raises ``NoLab`` and ``Refused``."""
        place = "" if session_id is None else _of_session(session_id)
        query = f"?state={state}" if state else ""
        return list((await self._call("GET", f"{place}/approvals{query}"))["approvals"])

    async def decide(self, session_id: str, tool_use_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Says whether a call may run; the approval as it is then. Raises ``NoLab`` and ``Refused``."""
        path = f"{_of_session(session_id)}/approvals/{_quoted(tool_use_id)}"
        return dict((await self._call("POST", path, body))["approval"])

    async def agent(self, name: str) -> dict[str, Any] | None:
        """A recipe for agents; None when there is none of that name. Raises ``NoLab`` and ``Refused``."""
        try:
            return await self._call("GET", f"/agents/{_quoted(name)}")
        except Refused as error:
            if error.status_code == httpx.codes.NOT_FOUND:
                return None
            raise

    async def make_agent(self, body: dict[str, Any]) -> None:
        """Makes a recipe for agents. Raises ``NoLab`` and ``Refused``."""
        await self._call("POST", "/agents", body)

    async def session_status(self, session_id: str) -> str:
        """``running``, ``finished``, ``stopped`` or ``not_existent``. Raises ``NoLab`` and ``Refused``."""
        return str((await self._call("GET", f"{_of_session(session_id)}/status"))["status"])

    async def stop_session(self, session_id: str) -> dict[str, Any]:
        """Stops a session and what runs below it; what came of that. Raises ``NoLab`` and ``Refused``."""
        return await self._call("POST", f"{_of_session(session_id)}/stop", timeout_s=_STOP_TIMEOUT_S)

    async def say(self, event: dict[str, Any], key: str) -> None:
        """Reports an event of a session; said again with the same ``key`` it lands once. Raises ``NoLab`` and ``Refused``."""
        await self._call("POST", "/events", event, headers={"Idempotency-Key": key})

    async def session_frames(self, session_id: str, *, deltas: bool = False) -> AsyncGenerator[dict[str, Any], None]:
        """How a session stands and what happens to it, until the connection breaks; with ``deltas`` also what the model is about to say.

        Raises ``WebSocketException`` and ``OSError``.
        """
        query = {"session_id": session_id, **({"deltas": "true"} if deltas else {})}
        address = f"{ws_url(self.url)}/ws?{httpx.QueryParams(query)}"
        async with connect(address, additional_headers=self._headers, proxy=None, max_size=_FRAME_BYTES) as socket:
            async for text in socket:
                yield msgspec.json.decode(text, type=dict[str, Any])

    async def exported(self, session_id: str) -> AsyncGenerator[bytes, None]:
        """A session as a file, piece by piece. Raises ``NoLab``, also when it breaks off, and ``Refused``."""
        address = f"{self.url}{_of_session(session_id)}/export"
        try:
            async with self._http.stream("GET", address, timeout=_TRANSFER_TIMEOUT) as answer:
                if not answer.is_success:
                    await answer.aread()
                    object_of(answer, self.url)
                async for chunk in answer.aiter_bytes():
                    yield chunk
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoLab(f"the lab at {self.url} does not answer, or broke off: {error}") from error

    async def import_sessions(
        self, chunks: AsyncIterable[bytes], *, session_id: str | None, prefix: str | None
    ) -> dict[str, Any]:
        """Takes a file of sessions in; how it went, once all of it is there. Raises ``NoLab`` and ``Refused``."""
        query = {name: value for name, value in (("session_id", session_id), ("prefix", prefix)) if value}
        headers = {"Content-Type": "application/x-ndjson"}
        address = f"{self.url}/sessions/import"
        try:
            answer = await self._http.post(
                address, params=query, content=chunks, headers=headers, timeout=_TRANSFER_TIMEOUT
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoLab(f"the lab at {self.url} does not answer, or broke off: {error}") from error
        return object_of(answer, self.url)

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> dict[str, Any]:
        try:
            answer = await self._http.request(
                method, f"{self.url}{path}", json=body, headers=headers, timeout=timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoLab(f"no lab answers at {self.url}; `benchwire up` starts one here") from error
        return object_of(answer, self.url)


def found(url: str | None) -> Client:
    """The lab at ``url``, else the one that runs on the data directory here, else the one at ``DEFAULT_URL``. Raises ``InvalidSettings``."""
    lab = lab_file.read(load(Settings).data)
    address = url or (lab.observability_url if lab else DEFAULT_URL)
    return Client(address, os.environ.get("BENCHWIRE_TOKEN", ""))


def _of_session(session_id: str) -> str:
    return f"/sessions/{_quoted(session_id)}"


def _quoted(name: str) -> str:
    return quote(name, safe="")
