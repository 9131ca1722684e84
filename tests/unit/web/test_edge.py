"""What the edge of a service adds to whatever its routes answer: scopes, limits, headers, HEAD, CORS."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Request, Response, WebSocket, delete, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream
from litestar.testing import TestClient

from benchwire.events.settings import InvalidSettings, Secret, load
from benchwire.web import tokens
from benchwire.web.access import Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.cors import cors
from benchwire.web.headers import ALWAYS
from benchwire.web.origins import page_origins
from benchwire.web.rate import MOST, limit
from benchwire.web.scopes import may
from benchwire.web.settings import WebSettings
from benchwire.web.tokens import Scope

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
DASHBOARD = "http://localhost:5173"

AnyRequest = Request[Any, Any, Any]
Socket = WebSocket[Any, Any, Any]


@get("/things", sync_to_thread=False)
def things() -> list[str]:
    return ["a", "b"]


@get("/kept", sync_to_thread=False)
def kept() -> Response[bytes]:
    return Response(b"x" * 100, headers={"ETag": '"x"', "Content-Security-Policy": "sandbox"})


@get("/health", sync_to_thread=False)
def health() -> str:
    return "fine"


@post("/things", status_code=200)
async def make(request: AnyRequest) -> int:
    return len(await request.body())


@post("/things/stop", status_code=200, opt={"scope": Scope.CONTROL}, sync_to_thread=False)
def stop() -> str:
    return "stopped"


@delete("/things", status_code=200, opt={"scope": "control"}, sync_to_thread=False)
def remove() -> None:
    return None


@get("/failing", sync_to_thread=False)
def failing() -> None:
    raise RuntimeError("secret")


class Endless:
    """A stream without end, that knows whether somebody closed it."""

    def __init__(self) -> None:
        self.is_closed = asyncio.Event()

    async def told(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"and so on"
                await asyncio.sleep(0.01)
        finally:
            self.is_closed.set()


@get("/stream", sync_to_thread=False)
def stream(request: AnyRequest) -> Stream:
    endless = Endless()
    request.app.state.endless = endless
    return Stream(endless.told())


@websocket("/ws")
async def echo(socket: Socket) -> None:
    await socket.accept()
    await socket.send_json({"may_control": may(socket, Scope.CONTROL)})
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await socket.receive_text())


@websocket("/ws/steer", opt={"scope": Scope.CONTROL})
async def steer(socket: Socket) -> None:
    await socket.accept()


ROUTES = [things, kept, health, make, stop, remove, failing, stream, echo, steer]


def client(
    *, callers: Callers | None = None, origins: tuple[str, ...] = (DASHBOARD,), **options: Any
) -> TestClient[Any]:
    app = made("test", ROUTES, origins=origins, **options)
    guard = Guard(app, callers=callers or Callers(), pages=cors(origins))
    return TestClient(guard, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """A token of each scope, by the scope's name."""
    file = tmp_path / "tokens.json"
    return {one: tokens.create(file, one, [one], now=NOW) for one in Scope}


@pytest.fixture
def guarded(secrets: dict[str, str], tmp_path: Path) -> Iterator[TestClient[Any]]:
    with client(callers=Callers.configured(WebSettings(tokens_file=tmp_path / "tokens.json"))) as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Scopes


@pytest.mark.parametrize(
    ("method", "path", "passes"),
    [
        ("GET", "/things", {"read", "write", "control"}),
        ("HEAD", "/things", {"read", "write", "control"}),
        ("POST", "/things", {"write"}),
        ("POST", "/things/stop", {"control"}),
        ("DELETE", "/things", {"control"}),
        ("GET", "/schema/openapi.json", {"read", "write", "control"}),
    ],
)
def test_a_token_may_do_what_its_scopes_say(
    guarded: TestClient[Any], secrets: dict[str, str], method: str, path: str, passes: set[str]
) -> None:
    for scope, token in secrets.items():
        answer = guarded.request(method, path, headers={**bearer(token), "Origin": DASHBOARD})
        if scope in passes:
            assert answer.status_code == 200, (scope, answer.text)
            continue
        (needed,) = passes
        assert answer.status_code == 403
        assert answer.json()["status_code"] == 403
        assert f"scope {needed}" in answer.json()["detail"]
        assert answer.headers["access-control-allow-origin"] == DASHBOARD


def test_without_a_token_nothing_is_told_but_what_is_open(guarded: TestClient[Any]) -> None:
    for path in ("/things", "/nothing", "/schema/openapi.json", "/schema/openapi.yaml"):
        assert guarded.get(path).status_code == 401, path
    for path in ("/health", "/schema", "/schema/ui/explorer.js", "/schema/ui/swagger-ui-bundle.js"):
        assert guarded.get(path).status_code == 200, path


def closed(opened: TestClient[Any], path: str, token: str) -> tuple[int, str]:
    with opened.websocket_connect(path, headers=bearer(token)) as socket, pytest.raises(WebSocketDisconnect) as end:
        socket.receive_text()
    return end.value.code, str(end.value.detail)


def test_a_socket_that_needs_more_than_the_token_has_is_closed_with_the_reason(
    guarded: TestClient[Any], secrets: dict[str, str]
) -> None:
    for scope in ("read", "write"):
        code, reason = closed(guarded, "/ws/steer", secrets[scope])
        assert code == 1008
        assert "scope control" in reason


def test_what_is_asked_on_an_open_socket_can_be_refused_too(guarded: TestClient[Any], secrets: dict[str, str]) -> None:
    for scope, allowed in (("read", False), ("control", True)):
        with guarded.websocket_connect(f"/ws?token={secrets[scope]}") as socket:
            assert socket.receive_json() == {"may_control": allowed}


# How often


def test_a_caller_who_calls_too_often_is_told_when_to_come_again() -> None:
    with client(rate_limit="2/hour") as opened:
        answers = [opened.get("/things", headers={"Origin": DASHBOARD}) for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-remaining"] == "1"
        told = answers[2]
        assert told.json()["status_code"] == 429
        assert "2" in told.json()["detail"]
        assert 1 <= int(told.headers["retry-after"]) <= 3600
        assert told.headers["ratelimit-limit"] == "2"
        assert told.headers["access-control-allow-origin"] == DASHBOARD
        assert opened.get("/health").status_code == 200


def test_each_token_is_counted_by_itself_and_sockets_count_too(secrets: dict[str, str], tmp_path: Path) -> None:
    callers = Callers.configured(WebSettings(tokens_file=tmp_path / "tokens.json"))
    with client(callers=callers, rate_limit="2/hour") as opened:
        assert opened.get("/things", headers=bearer(secrets["read"])).status_code == 200
        with opened.websocket_connect("/ws", headers=bearer(secrets["read"])) as socket:
            socket.receive_json()
        assert opened.get("/things", headers=bearer(secrets["read"])).status_code == 429
        assert closed(opened, "/ws", secrets["read"])[0] == 1013
        assert opened.get("/things", headers=bearer(secrets["write"])).status_code == 200


def test_nobody_is_limited_unless_it_is_set() -> None:
    assert limit("") is None
    with client() as opened:
        assert "ratelimit-limit" not in opened.get("/things").headers


@pytest.mark.parametrize("text", ["many", "10", "10/week", "0/second", f"{MOST + 1}/second", "-1/second", "1.5/second"])
def test_a_limit_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_RATE_LIMIT"):
        load(WebSettings, {"BENCHWIRE_RATE_LIMIT": text})


# Headers


@pytest.mark.parametrize(
    ("path", "status"),
    [("/things", 200), ("/nothing", 404), ("/failing", 500), ("/schema", 200), ("/schema/ui/explorer.js", 200), ("/kept", 200)],
)  # fmt: skip
def test_every_answer_has_the_headers_that_keep_pages_apart(path: str, status: int) -> None:
    with client() as opened:
        answer = opened.get(path)
        assert answer.status_code == status
        for name, value in ALWAYS:
            said = answer.headers.get_list(name.decode())
            assert said == ["sandbox" if path == "/kept" and name == b"content-security-policy" else value.decode()], (
                name
            )


def test_the_refusals_of_the_guard_have_them_too() -> None:
    with client(callers=Callers(token=Secret("t"))) as opened:
        headers = opened.get("/things").headers
        assert all(headers[name.decode()] == value.decode() for name, value in ALWAYS)
        assert headers["cache-control"] == "no-store"


def test_what_does_not_say_how_it_may_be_kept_is_not() -> None:
    with client() as opened:
        assert opened.get("/things").headers["cache-control"] == "no-store"
        assert "cache-control" not in opened.get("/kept").headers
        assert "cache-control" not in opened.get("/schema/ui/explorer.js").headers


def test_nothing_on_the_page_of_the_schema_is_against_its_policy() -> None:
    with client() as opened:
        page = opened.get("/schema").text
        assert "http://" not in page
        assert "https://" not in page
        assert "<style" not in page
        assert page.count("<script") == page.count('<script src="/schema/ui/')


# Bodies


def test_a_body_over_the_limit_is_refused_however_it_comes() -> None:
    def pieces() -> Iterator[bytes]:
        yield from [b"x" * 600] * 2

    with client(body_limit_bytes=1000) as opened:
        assert opened.post("/things", content=b"x" * 1000).json() == 1000
        for body in (b"x" * 1001, pieces()):
            answer = opened.post("/things", content=body, headers={"Origin": DASHBOARD})
            assert answer.status_code == 413
            assert answer.json()["status_code"] == 413
            assert answer.headers["access-control-allow-origin"] == DASHBOARD


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read() -> None:
    app = made("test", ROUTES, body_limit_bytes=1000)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("nobody needs to read that")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"1001"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": "/things", "query_string": b"", "headers": headers}
    await Guard(app, callers=Callers())(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 413


# Other origins


def test_a_page_of_an_allowed_origin_may_send_a_token_and_read_what_it_needs() -> None:
    asked = {
        "Origin": DASHBOARD,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization,content-type,last-event-id",
    }
    with client(callers=Callers(token=Secret("t"))) as opened:
        before = opened.options("/things", headers=asked)
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == DASHBOARD
        assert "DELETE" in before.headers["access-control-allow-methods"]
        answer = opened.get("/nothing", headers={"Origin": DASHBOARD, **bearer("t")})
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == DASHBOARD
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        other = opened.get("/things", headers={"Origin": "http://evil.example", **bearer("t")})
        assert "access-control-allow-origin" not in other.headers
        assert opened.options("/things", headers={**asked, "Origin": "http://evil.example"}).status_code == 400


def test_a_star_lets_every_page_in() -> None:
    with client(callers=Callers(token=Secret("t")), origins=("*",)) as opened:
        for headers in ({}, bearer("t")):
            answer = opened.get("/things", headers={"Origin": "https://any.example", **headers})
            assert answer.headers["access-control-allow-origin"] == "*"


def test_the_page_of_the_lab_is_known_by_every_name_of_its_machine() -> None:
    assert page_origins("127.0.0.1", 8765) == ["http://127.0.0.1:8765", "http://localhost:8765"]
    assert page_origins("0.0.0.0", 80)[-1] == "http://localhost:80"
    assert page_origins("::1", 80)[-1] == "http://[::1]:80"
    assert page_origins("lab.example", 80)[-1] == "http://lab.example:80"


# HEAD


def test_head_is_answered_where_get_is_with_the_same_headers_and_no_body() -> None:
    with client() as opened:
        for path in ("/things", "/kept", "/nothing"):
            head, whole = opened.head(path), opened.get(path)
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert dict(head.headers) == dict(whole.headers)
        assert opened.head("/things/stop").status_code == 405


async def test_the_head_of_a_stream_without_end_ends_the_stream() -> None:
    app = made("test", ROUTES)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("who asks for a head sends nothing more")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "HEAD", "path": "/stream", "query_string": b"", "headers": headers}
    async with asyncio.timeout(10):
        await Guard(app, callers=Callers())(scope, receive, send)  # type: ignore[arg-type]
        await app.state.endless.is_closed.wait()
    assert [one["type"] for one in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["body"] == b""
