"""Calls of a lab, and what their answers mean."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from benchwire.client.errors import NoLab, Refused

CONNECT_S = 10.0
SILENCE_S = 60.0


class Http:
    """The HTTP side of the lab at ``url``. Every call raises ``NoLab`` and ``Refused``."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self.headers = bearer(token)
        self._client = connections(token)

    def close(self) -> None:
        """Lets go of its connections."""
        self._client.close()

    @property
    def ws_url(self) -> str:
        """Where its WebSockets are."""
        return ws_url(self.url)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """A GET; what is None in ``query`` is left out."""
        return self._asked("GET", path, params=_told(query))

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, **query: Any
    ) -> dict[str, Any]:
        """A POST of JSON; what is None in ``body`` is left out. Repeated with the same ``key`` it is the same call."""
        return self._asked("POST", path, json=_told(body or {}), params=_told(query), headers=_keyed(key))

    def post_exactly(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A POST of JSON in which None is sent as null."""
        return self._asked("POST", path, json=dict(body))

    def delete(self, path: str) -> dict[str, Any]:
        """A DELETE."""
        return self._asked("DELETE", path)

    def upload(
        self, path: str, files: list[tuple[str, Any]], fields: Mapping[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """A POST of files, read piece by piece, and of fields; a list is a field that comes several times, a dict is sent as JSON."""
        data = {name: _field(value) for name, value in _told(fields).items()}
        return self._asked("POST", path, files=files, data=data, headers=_keyed(key))

    def _asked(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        with self._reaching():
            answer = self._client.request(method, f"{self.url}{path}", **what)
        return object_of(answer, self.url)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise NoLab(f"no lab answers at {self.url} ({why}); `benchwire up` starts one here") from error


def bearer(token: str) -> dict[str, str]:
    """The headers that say who calls; none without a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def connections(token: str) -> httpx.Client:
    """Connections to a service of the lab."""
    # The environment may name a proxy, and that one has no way to this machine's loopback.
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    return httpx.Client(headers=bearer(token), timeout=timeout, trust_env=False, verify=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust. To read that takes longer than most calls, so it is done once."""
    return httpx.create_ssl_context(trust_env=False)


def ws_url(url: str) -> str:
    """Where the WebSockets of the service at ``url`` are."""
    parts = urlsplit(url)
    return parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()


def object_of(answer: httpx.Response, url: str) -> dict[str, Any]:
    """The JSON object of an answer. Raises ``Refused`` with the lab's own sentence, and ``NoLab`` when it is not a lab's answer."""
    if answer.is_success:
        return _object(answer) or {}
    raise refusal(answer, url)


def refusal(answer: httpx.Response, url: str, what: str = "lab") -> NoLab | Refused:
    """What an answer means that is not what was asked for: the service's own sentence, or that it is no ``what`` that answers there."""
    told = _object(answer)
    if told is None or "detail" not in told:
        asked = f"{answer.request.method} {answer.request.url.path}"
        return NoLab(f"what answers at {url} is no {what}: {asked} gave {answer.status_code}")
    return Refused(answer.status_code, str(told["detail"]))


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _field(value: Any) -> str | list[str]:
    match value:
        case list():
            return [str(one) for one in value]
        case dict():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)
