"""Who counts as one, whose tokens are guessed, and by what names a service without a token is known."""

import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchwire.events.settings import InvalidSettings, Secret, load
from benchwire.web import tokens
from benchwire.web.access import Guard
from benchwire.web.callers import Caller, Callers
from benchwire.web.gate import Gate
from benchwire.web.guesses import WINDOW_S, Guesses
from benchwire.web.peers import peer_of
from benchwire.web.refusal import Refused
from benchwire.web.settings import WebSettings
from benchwire.web.tokens import EVERYTHING, Scope

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
SHORT = Caller("short", EVERYTHING, is_guessable=True)
LONG = Caller("long", EVERYTHING)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True), ("192.0.2.1", "192.0.2.2", False), ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True), ("2001:db8::1", "2001:db8:0:1::1", False), ("fe80::1%eth0", "fe80::2", True),
        ("nobody", "nobody", True),
    ],
)  # fmt: skip
def test_an_address_is_one_peer_and_so_is_a_network_that_one_machine_has(one: str, other: str, *, same: bool) -> None:
    assert (peer_of(one) == peer_of(other)) is same


def test_who_guesses_is_not_told_any_more_and_who_was_right_before_goes_on() -> None:
    now = 0.0
    guesses = Guesses(3, lambda: now)
    assert not guesses.are_too_many("friend", SHORT)
    for peer in ("a", "friend"):
        assert [guesses.are_too_many(peer, None) for _ in range(5)] == [False] * 3 + [True] * 2
    assert guesses.are_too_many("a", SHORT)
    assert not guesses.are_too_many("friend", SHORT)
    assert not guesses.are_too_many("b", SHORT)
    assert not guesses.are_too_many("a", LONG)
    now += WINDOW_S
    assert not guesses.are_too_many("a", SHORT)
    assert not Guesses(0).are_too_many("a", None)


def test_guesses_from_everywhere_fill_no_memory() -> None:
    guesses = Guesses(1, lambda: 0.0)
    for number in range(20_000):
        guesses.are_too_many(f"peer-{number}", None)
    assert len(guesses._wrong) <= 10_000


async def answered(guard: Guard, kind: str = "http", **headers: str) -> Any:
    """The status, or the code, with which ``guard`` refuses; None when it passes the call on."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {
        "type": kind, "method": "POST", "path": "/things", "query_string": b"", "client": ("192.0.2.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await guard(scope, receive, send)  # type: ignore[arg-type]
    return sent[-1].get("code") or sent[0].get("status") if sent else None


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """What the guard lets pass ends here."""


async def test_a_token_that_a_person_thought_up_cannot_be_tried_out(tmp_path: Path) -> None:
    tokens.create(tmp_path / "tokens.json", "long", [Scope.READ], now=NOW)
    made = tokens.create(tmp_path / "tokens.json", "other", [Scope.READ], now=NOW)
    callers = Callers.configured(WebSettings(token=Secret("secret"), tokens_file=tmp_path / "tokens.json"))
    guard = Guard(nothing, callers=callers, wrong_tokens_per_minute=20)
    told = [await answered(guard, authorization=f"Bearer {number}") for number in range(25)]
    assert told == [401] * 20 + [429] * 5
    assert await answered(guard, authorization="Bearer secret") == 429
    assert await answered(guard, "websocket", authorization="Bearer secret") == 1013
    assert await answered(guard, authorization=f"Bearer {made}") is None
    assert await answered(guard) == 401


async def test_a_proxy_on_this_machine_may_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(
        nothing,
        callers=Callers(),
        served_as=load(WebSettings, {"BENCHWIRE_SERVED_AS": "Lab.example, b.example"}).served_as,
    )
    for kind in ("http", "websocket"):
        assert await answered(guard, kind, host="lab.example") is None
        assert await answered(guard, kind, host="B.example:8443", origin="https://lab.example") is None
        assert await answered(guard, kind, host="localhost:1", origin="https://lab.example") is None
        assert await answered(guard, kind, host="lab.example", origin="https://evil.example") in (403, 1008)
        assert await answered(guard, kind, host="evil.lab.example") in (403, 1008)
    assert await answered(Guard(nothing, callers=Callers()), host="lab.example") == 403


def test_there_are_never_more_connections_than_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    soft = 300

    def has(_: int) -> tuple[int, int]:
        return soft, 1000

    def changed(_: int, limits: tuple[int, int]) -> None:
        nonlocal soft
        soft = limits[0]

    monkeypatch.setattr(resource, "getrlimit", has)
    monkeypatch.setattr(resource, "setrlimit", changed)
    Gate(WebSettings(connections=100))
    assert (soft, caplog.text) == (356, "")
    Gate(WebSettings(connections=0))
    assert (soft, caplog.text) == (1000, "")
    Gate(WebSettings(connections=4096))
    assert "744 connections, not the 4096" in caplog.text


def test_a_refusal_is_an_answer_as_all_others() -> None:
    told = Refused(429, "later", "connections").written()
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n")
    assert b"content-length: %d\r\n" % len(body) in head
    assert b"retry-after: 2" in head
    assert b"x-content-type-options: nosniff" in head
    assert body == b'{"detail":"later","status_code":429}'


@pytest.mark.parametrize("text", ["-1", "0", "many"])
def test_a_limit_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_HEAD_WITHIN_S"):
        load(WebSettings, {"BENCHWIRE_HEAD_WITHIN_S": text})
