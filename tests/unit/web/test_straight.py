"""A call gets the same answer whichever way it takes, and only the plain ones go straight."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Request, Response, post
from litestar.exceptions import ClientException
from litestar.params import FromPath
from litestar.testing import TestClient

from benchwire.events.event import IllegalToken
from benchwire.events.log import LogUnavailable
from benchwire.web import tokens
from benchwire.web.access import Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.room import SMALL_BYTES
from benchwire.web.settings import WebSettings
from benchwire.web.straight import STRAIGHT, Straight
from benchwire.web.tokens import Scope

DASHBOARD = "http://localhost:5173"
ERRORS: dict[bytes, type[Exception]] = {
    b"token": IllegalToken, b"log": LogUnavailable, b"client": ClientException, b"bug": RuntimeError,
}  # fmt: skip
AnyRequest = Request[Any, Any, Any]
Went = list[str]


def told(body: bytes, thing: str | None) -> bytes:
    if body in ERRORS:
        raise ERRORS[body]("it went wrong")
    return b'{"bytes":%d,"thing":"%b"}' % (len(body), str(thing).encode())


async def straight(went: Went, body: bytes, headers: Mapping[bytes, bytes], params: Mapping[str, Any]) -> bytes | None:
    if headers.get(b"content-type") == b"text/plain":
        return None
    went.append("straight")
    return told(body, params.get("thing"))


async def usual(request: AnyRequest, thing: str | None = None) -> Response[bytes]:
    request.app.state.went.append("usual")
    return Response(told(await request.body(), thing), media_type="application/json")


@post("/things", status_code=200, opt={STRAIGHT: straight})
async def things(request: AnyRequest) -> Response[bytes]:
    return await usual(request)


@post("/things/{thing:str}/parts", status_code=200, opt={STRAIGHT: straight})
async def parts(request: AnyRequest, thing: FromPath[str]) -> Response[bytes]:
    return await usual(request, thing)


@post("/others", status_code=200)
async def others(request: AnyRequest) -> Response[bytes]:
    return await usual(request)


class Served:
    """The same app twice: with its straight ways, and without."""

    def __init__(self, callers: Callers | None = None, **options: Any) -> None:
        self.went: Went = []
        app = made("test", [things, parts, others], **options)
        app.state.went = self.went
        self.with_ways, self.without = (
            TestClient(Guard(one, callers=callers or Callers()), base_url="http://127.0.0.1")
            for one in (Straight(app, self.went), app)
        )

    def went_straight(self, method: str = "POST", path: str = "/things", **call: Any) -> bool:
        """Whether that call did; its answer is what it would have been."""
        self.went.clear()
        answer, usual = (one.request(method, path, **call) for one in (self.with_ways, self.without))
        assert (answer.status_code, answer.headers, answer.content) == (usual.status_code, usual.headers, usual.content)
        return self.went[:1] == ["straight"]


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.mark.parametrize("path", ["/things", "/things?a=b", "/things/one/parts", "/things/%C3%BC%20x/parts"])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * SMALL_BYTES, *ERRORS])
def test_a_plain_call_goes_straight_and_gets_the_answer_that_it_would_have_got(
    served: Served, path: str, body: bytes
) -> None:
    assert served.went_straight(path=path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/things", {"headers": {"Origin": DASHBOARD}}),
        ("/things", {"headers": {"Host": "127.0.0.1?"}}),
        ("/things", {"headers": {"Content-Type": "text/plain"}}),
        ("/things", {"content": b"x" * (SMALL_BYTES + 1)}),
        ("/things/", {}),
        ("//things", {}),
        ("/things/a/b/parts", {}),
        ("/others", {}),
        ("/nothing", {}),
    ],
)
def test_every_other_call_takes_the_usual_way(served: Served, path: str, call: dict[str, Any]) -> None:
    assert not served.went_straight(path=path, **{"content": b"{}", **call})


def test_other_methods_and_bodies_of_unknown_length_take_the_usual_way(served: Served) -> None:
    def in_pieces() -> Iterator[bytes]:
        yield from (b"{", b"}")

    assert not served.went_straight("GET")
    assert not served.went_straight("OPTIONS")
    assert not served.went_straight("PUT", content=b"{}")
    for one in (served.with_ways, served.without):
        assert one.post("/things", content=in_pieces()).json()["bytes"] == 2
    assert "straight" not in served.went[:-2]


def test_a_limit_on_bodies_that_is_smaller_holds_on_both_ways() -> None:
    served = Served(body_limit_bytes=1000)
    assert served.went_straight(content=b"x" * 1000)
    assert not served.went_straight(content=b"x" * 1001)


def test_a_token_without_the_scope_leads_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    now = datetime(2026, 1, 17, 12, tzinfo=UTC)
    secrets = {one: tokens.create(file, one, [one], now=now) for one in Scope}
    served = Served(Callers.configured(WebSettings(tokens_file=file)))
    for scope, secret in secrets.items():
        went = served.went_straight(content=b"{}", headers={"Authorization": f"Bearer {secret}"})
        assert (went, bool(served.went)) == ((scope is Scope.WRITE,) * 2)


async def called(
    app: Any, *came: dict[str, Any], path: str = "/things", headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[dict[str, Any], list[Any]]:
    """The scope after the call, and what was sent."""
    coming, sent = iter(came), list[Any]()

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    all_headers = [(b"content-length", b"4"), (b"host", b"127.0.0.1"), *headers]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": all_headers}
    await app(scope, receive, send)
    return scope, sent


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_may_come_in_pieces_and_its_route_is_known_to_who_counts_calls() -> None:
    went: Went = []
    app = Straight(made("test", [parts]), went)
    scope, sent = await called(app, piece(b"ab", more=True), piece(b"cd"), path="/things/one/parts")
    assert (went, sent[1]["body"]) == (["straight"], b'{"bytes":4,"thing":"one"}')
    assert scope["path_template"] == "/things/{thing}/parts"


async def test_what_stands_in_the_head_twice_is_read_as_the_usual_way_reads_it() -> None:
    app = made("test", [parts])
    went: Went = []
    app.state.went = went
    twice = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    await called(Straight(app, went), piece(b"abcd"), path="/things/one/parts", headers=twice)
    assert went == ["usual"]


async def test_a_body_that_breaks_off_is_nobodys_event() -> None:
    went: Went = []
    _, sent = await called(Straight(made("test", [things]), went), piece(b"ab", more=True), {"type": "http.disconnect"})
    assert (went, sent[0]["status"]) == ([], 400)
