from typing import Any

import pytest

from benchwire.events.settings import InvalidSettings, Secret
from benchwire.web.access import Guard, checked, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_is_known_in_all_its_spellings(host: str) -> None:
    assert is_loopback(host)
    assert checked(host, None) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "lab.example", "", "127.0.0.1.example"])
def test_elsewhere_is_served_with_a_token_only(host: str) -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_TOKEN"):
        checked(host, None)
    with pytest.raises(InvalidSettings):
        checked(host, Secret(""))
    assert checked(host, Secret("t")) == "t"


async def call(guard: Guard, **scope: Any) -> list[Any]:
    """What ``guard`` sends for a call; empty when it passes the call on."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(key.encode(), value.encode("latin-1")) for key, value in scope.pop("headers", {}).items()]
    full = {"type": "http", "method": "GET", "path": "/sessions", "query_string": b"", "headers": headers, **scope}
    await guard(full, receive, send)  # type: ignore[arg-type]
    return sent


async def passed(scope: Any, receive: Any, send: Any) -> None:
    return


def guard(token: str | None) -> Guard:
    return Guard(passed, token=token)


@pytest.mark.parametrize(
    "given", ["", "t0ken", "Basic t0ken", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0ken2", "Bearer \xff\xfe"]
)
async def test_a_wrong_token_is_401_and_says_what_is_needed(given: str) -> None:
    start, _ = await call(guard("t0ken"), headers={"authorization": given, "origin": "http://localhost:5173"})
    assert start["status"] == 401
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    assert (b"access-control-allow-origin", b"http://localhost:5173") in start["headers"]


async def test_a_right_token_passes_in_any_case_of_the_scheme() -> None:
    for given in ("Bearer t0ken", "bearer t0ken"):
        assert await call(guard("t0ken"), headers={"authorization": given}) == []


async def test_health_and_what_a_browser_asks_before_are_open() -> None:
    assert await call(guard("t0ken"), path="/health") == []
    assert await call(guard("t0ken"), method="OPTIONS", headers={"access-control-request-method": "POST"}) == []
    start, _ = await call(guard("t0ken"), method="OPTIONS")
    assert start["status"] == 401


@pytest.mark.parametrize("query", [b"", b"token=", b"token=wrong", b"token=%ff", b"%%%"])
async def test_a_socket_with_a_wrong_token_is_accepted_and_closed_with_1008(query: bytes) -> None:
    accepted, closed = await call(guard("t0ken"), type="websocket", query_string=query)
    assert (accepted["type"], closed["type"], closed["code"]) == ("websocket.accept", "websocket.close", 1008)


async def test_a_socket_opens_with_the_token_in_the_query_or_the_header() -> None:
    assert await call(guard("t0ken"), type="websocket", query_string=b"a=b&token=t0ken") == []
    assert await call(guard("t0ken"), type="websocket", headers={"authorization": "Bearer t0ken"}) == []


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"host": "localhost:8765", "origin": "http://localhost:5173"}, True),
        ({"host": "127.0.0.1:8765", "origin": "http://127.0.0.1:8765"}, True),
        ({"host": "[::1]:8765"}, True),
        ({"host": "localhost:8765", "origin": "http://evil.example"}, False),
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
        assert (await call(guard(None), type=kind, headers=headers) == []) is passes
