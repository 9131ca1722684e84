"""The lab as its clients see it: tasks over HTTP and a WebSocket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ENDED = ("completed", "failed", "cancelled")
_LAST_FRAMES = ("TASK_COMPLETE", "TASK_FAILED", "TASK_CANCELLED")
_TIMEOUT_S = 10.0
_AGAIN_S = 0.5


class NoLab(Exception):
    """Nothing that answers as a lab is at this address."""


class Refused(Exception):
    """The lab says no; the sentence is its own. ``status_code`` is HTTP's."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code


class Client:
    """One lab. ``url`` is observability's."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
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
        return await self._call("GET", f"/tasks/{task_id}")

    async def results(self, task_id: str) -> dict[str, Any]:
        """What a task made. Raises ``NoLab`` and ``Refused``."""
        return await self._call("GET", f"/tasks/{task_id}/results")

    async def cancel(self, task_id: str) -> None:
        """Ends a task. Raises ``NoLab`` and ``Refused``."""
        await self._call("POST", f"/tasks/{task_id}/cancel")

    async def frames(self, task_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """What happens to a task from its beginning to its end, each frame once; a connection that breaks is made again."""
        told: set[tuple[Any, Any]] = set()  # one fact may be told in several frames, each of another type
        while True:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                # The token goes as a header: an address with it could end up in a log.
                address = f"{_ws(self.url)}/ws/{task_id}"
                async with connect(address, additional_headers=self._headers, proxy=None) as socket:
                    async for text in socket:
                        frame = msgspec.json.decode(text, type=dict[str, Any])
                        place = (frame.get("seq"), frame.get("type"))
                        if place not in told:
                            told.add(place)
                            yield frame
                        if frame.get("type") in _LAST_FRAMES:
                            return
            if (await self.task(task_id))["status"] in ENDED:
                return
            await asyncio.sleep(_AGAIN_S)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, f"{self.url}{path}", json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoLab(f"no lab answers at {self.url}; `benchwire up` starts one here") from error
        if answer.is_success:
            return _object(answer) or {}
        told = _object(answer)
        if told is None or "detail" not in told:
            raise NoLab(f"what answers at {self.url} is no lab: {method} {path} gave {answer.status_code}")
        raise Refused(answer.status_code, str(told["detail"]))


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _ws(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()
