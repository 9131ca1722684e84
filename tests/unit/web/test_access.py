from typing import Any

import pytest

from benchwire.events.settings import InvalidSettings, Secret
from benchwire.web.access import Guard, checked, is_loopback
from benchwire.web.callers import Callers
from benchwire.web.cors import cors
from benchwire.web.scopes import CALLER

TOKEN = "t0ken"
DASHBOARD = "http://localhost:5173"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_is_known_in_all_its_spellings(host: str) -> None:
    assert is_loopback(host)
    assert not checked(host, Callers()).needs_token


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "lab.example", "", "127.0.0.1.example"])
def test_elsewhere_is_served_with_a_token_only(host: str) -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_TOKEN"):
        checked(host, Callers())
    with pytest.raises(InvalidSettings):
        checked(host, Callers(token=Secret("")))
    assert checked(host, Callers(token=Secret("t"))).needs_token


class Inside:
    """What the guard lets pass: the scopes it was called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope)


async def call(token: str | None, inside: Inside | None = None, **scope: Any) -> list[Any]:
    """What a guard sends for a call; empty when it passes the call on."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(key.encode(), value.encode("latin-1")) for key, value in scope.pop("headers", {}).items()]
    full = {"type": "http", "method": "GET", "path": "/sessions", "query_string": b"", "headers": headers, **scope}
    guard = Guard(
        inside or Inside(),
        callers=Callers(token=Secret(token) if token else None),
        pages=cors([DASHBOARD, "https://*.lab.example"]),
        open_paths={"/", "/health", "/page/"},
    )
    await guard(full, receive, send)  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    "given", ["", "t0ken", "Basic t0ken", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0ken2", "Bearer \xff\xfe"]
)
async def test_a_wrong_token_is_401_and_a_page_may_read_why(given: str) -> None:
    start, _ = await call(TOKEN, headers={"authorization": given, "origin": DASHBOARD})
    assert start["status"] == 401
    headers = dict(start["headers"])
    assert headers[b"www-authenticate"] == b"Bearer"
    assert headers[b"access-control-allow-origin"] == DASHBOARD.encode()
    assert b"Retry-After" in headers[b"access-control-expose-headers"]
    assert headers[b"x-content-type-options"] == b"nosniff"


async def test_a_page_of_another_origin_may_not_read_why_it_was_refused() -> None:
    start, _ = await call(TOKEN, headers={"origin": "http://evil.example"})
    assert b"access-control-allow-origin" not in dict(start["headers"])


async def test_a_right_token_passes_in_any_case_of_the_scheme_and_its_name_is_known_inside() -> None:
    for given in ("Bearer t0ken", "bearer t0ken"):
        inside = Inside()
        assert await call(TOKEN, inside, headers={"authorization": given}) == []
        assert inside.calls[0]["state"][CALLER].name == "BENCHWIRE_TOKEN"


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/health", True), ("/", True), ("/page/app.js", True), ("/page", False), ("/pages", False), ("/sessions", False), ("/healthy", False),
        ("", False),
    ],
)  # fmt: skip
async def test_open_paths_are_open_and_no_others(path: str, *, is_open: bool) -> None:
    assert (await call(TOKEN, path=path) == []) is is_open


async def test_what_a_browser_asks_before_is_open() -> None:
    assert await call(TOKEN, method="OPTIONS", headers={"access-control-request-method": "POST"}) == []
    start, _ = await call(TOKEN, method="OPTIONS")
    assert start["status"] == 401


@pytest.mark.parametrize("query", [b"", b"token=", b"token=wrong", b"token=%ff", b"%%%"])
async def test_a_socket_with_a_wrong_token_is_accepted_and_closed_with_1008(query: bytes) -> None:
    accepted, closed = await call(TOKEN, type="websocket", query_string=query)
    assert (accepted["type"], closed["type"], closed["code"]) == ("websocket.accept", "websocket.close", 1008)
    assert "token" in closed["reason"]
    assert len(closed["reason"].encode()) <= 123


async def test_a_socket_opens_with_the_token_in_the_query_or_the_header() -> None:
    assert await call(TOKEN, type="websocket", query_string=b"a=b&token=t0ken") == []
    assert await call(TOKEN, type="websocket", headers={"authorization": "Bearer t0ken"}) == []


async def test_nothing_behind_the_guard_sees_the_token_of_a_url() -> None:
    """Whatever is behind it may write URLs into logs and traces."""
    inside = Inside()
    await call(TOKEN, inside, type="websocket", query_string=b"since=7&token=t0ken&session_id=%C3%BC+b&empty=")
    assert inside.calls[0]["query_string"] == b"since=7&session_id=%C3%BC+b&empty="


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"host": "localhost:8765", "origin": DASHBOARD}, True),
        ({"host": "127.0.0.1:8765", "origin": "http://127.0.0.1:8765"}, True),
        ({"host": "localhost:8765", "origin": "https://a.lab.example"}, True),
        ({"host": "[::1]:8765"}, True),
        ({"host": "localhost:8765", "origin": "http://evil.example"}, False),
        ({"host": "localhost:8765", "origin": "https://lab.example.evil"}, False),
        ({"host": "localhost:8765", "origin": "null"}, False),
        ({"host": "evil.example"}, False),
        ({"host": "localhost:8765", "origin": "http://["}, False),
    ],
)
async def test_without_a_token_only_pages_of_this_machine_reach_the_lab(
    headers: dict[str, str], *, passes: bool
) -> None:
    """A page of some website that a person visits could else post to the lab, or read it by pointing its own name at 127.0.0.1."""
    for kind in ("http", "websocket"):
        assert (await call(None, type=kind, headers=headers) == []) is passes
