"""What a server sends, however it is cut into pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.errors import ProtocolError

from benchwire.events.connection import Connection
from benchwire.events.parser import Heard, Parser

OURS, OTHERS = 7, 8


class Listening(Connection):
    """A connection to nobody, that notes what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[object, ...]] = []
        self.parser = Parser(self)
        self.parser.hears[OURS] = lambda one: self.handed.append((one.subject, one.reply, one.headers, one.data))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.handed.append((sid, subject, reply, data, headers))

    async def _process_pong(self) -> None:
        self.handed.append(("pong",))

    async def _process_err(self, err_msg: str) -> None:
        self.handed.append((err_msg,))


ID = b"NATS/1.0\r\nNats-Msg-Id: one\r\nBench-Caused-By: a: b\r\n\r\n"
STATUS = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n"
FOLDED = b"NATS/1.0\r\nNats-Msg-Id:one\r\n\r\n"
SENT = [
    (b"MSG a.b 7 5\r\nhello\r\n", ("a.b", "", None, b"hello")),
    (b"MSG a.b 7 r.1 0\r\n\r\n", ("a.b", "r.1", None, b"")),
    (b"PONG\r\n", ("pong",)),
    (b"HMSG a.b 7 r.1 %d %d\r\n%bx\r\n\r\n" % (len(ID), len(ID) + 3, ID),
     ("a.b", "r.1", {"Nats-Msg-Id": "one", "Bench-Caused-By": "a: b"}, b"x\r\n")),
    (b"HMSG a.b 7 %d %d\r\n%b\r\n" % (len(STATUS), len(STATUS), STATUS),
     ("a.b", "", {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "3"}, b"")),
    (b"HMSG a.b 7 %d %d\r\n%b\r\n" % (len(FOLDED), len(FOLDED), FOLDED), ("a.b", "", {"Nats-Msg-Id": "one"}, b"")),
    (b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n", ("'permissions violation for publish to \"x\"'",)),
    (b"MSG c  8  r.2  3\r\nPIN\r\n", (8, b"c", b"r.2", b"PIN", None)),
    (b"HMSG c 8 %d %d\r\n%bpay\r\n" % (len(ID), len(ID) + 3, ID), (8, b"c", b"", b"pay", ID)),
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SENT), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=40))
async def test_messages_are_the_same_however_they_are_cut(
    sent: list[tuple[bytes, tuple[object, ...]]], sizes: list[int]
) -> None:
    listening = Listening()
    left, turn = b"".join(said for said, _ in sent), 0
    while left:
        size = sizes[turn % len(sizes)]
        await listening.parser.parse(left[:size])
        left, turn = left[size:], turn + 1
    assert listening.handed == [handed for _, handed in sent]


async def test_what_was_left_of_a_connection_is_not_mixed_with_the_next_one() -> None:
    listening = Listening()
    await listening.parser.parse(b"MSG a 7 500\r\nhalf of it")
    listening.parser.reset()
    await listening.parser.parse(b"MSG a 7 2\r\nok\r\n")
    assert listening.handed == [("a", "", None, b"ok")]


async def test_a_reset_in_the_middle_of_what_came_leaves_nothing_of_it() -> None:
    listening = Listening()

    def reset(_: Heard) -> None:
        listening.parser.reset()

    listening.parser.hears[OTHERS] = reset
    await listening.parser.parse(b"MSG a 8 0\r\n\r\nMSG a 7 500\r\nhalf of it")
    await listening.parser.parse(b"MSG a 7 2\r\nok\r\n")
    assert listening.handed == [("a", "", None, b"ok")]


@pytest.mark.parametrize("sent", [b"MSG a 7 many\r\n", b"MSG a\r\n", b"HMSG a 7 x 3\r\n", b"HELLO\r\n", b"\r\n"])
async def test_what_no_server_says_ends_the_connection(sent: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Listening().parser.parse(sent)
