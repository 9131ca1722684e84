"""Lines are collected beside the test, waited for in order, and heard again after a break; against a real WebSocket server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from websockets.sync.server import ServerConnection, serve

from benchwire.client import Listener, NoLab, NotHeard

Talk = Callable[[ServerConnection], None]


@contextmanager
def board(talk: Talk) -> Iterator[str]:
    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws/serial/b"
        finally:
            server.shutdown()
            thread.join()


def line(text: str, number: int = 1) -> str:
    return msgspec.json.encode({"type": "serial_line", "line": text, "number": number, "deviceId": "b"}).decode()


def says(*lines: str) -> Talk:
    def talk(socket: ServerConnection) -> None:
        for number, text in enumerate(lines):
            socket.send(line(text, number))
        socket.send('{"type": "pong"}')
        for _ in socket:  # until the other side leaves
            pass

    return talk


def test_what_is_expected_is_found_in_order_and_once() -> None:
    with board(says("boot v1.2", "ready", "ready")) as address, Listener(address, {}) as serial:
        assert serial.expect(r"boot v(\d)\.(\d)").groups() == ("1", "2")
        serial.expect("ready")
        serial.expect("ready")
        with pytest.raises(NotHeard, match="'ready'"):
            serial.expect("ready", timeout_s=0.05)
        assert serial.lines == ["boot v1.2", "ready", "ready"]


def test_what_was_heard_instead_is_in_the_error() -> None:
    with board(says("panic: 7")) as address, Listener(address, {}) as serial:
        serial.expect("panic")
        with pytest.raises(NotHeard, match=r"within 0\.05 s; the board printed:\n  panic: 7"):
            serial.expect("ready", timeout_s=0.05)


def test_silence_is_said() -> None:
    with board(says()) as address, Listener(address, {}) as serial, pytest.raises(NotHeard, match="printed nothing"):
        serial.expect("ready", timeout_s=0.05)


def test_what_was_forgotten_is_not_expected() -> None:
    with board(says("ready", "again")) as address, Listener(address, {}) as serial:
        serial.expect("again")
        serial.forget()
        with pytest.raises(NotHeard):
            serial.expect("ready", timeout_s=0.05)


def test_a_connection_that_breaks_is_made_again() -> None:
    visits = []

    def talk(socket: ServerConnection) -> None:
        visits.append(1)
        socket.send(line(f"visit {len(visits)}"))
        if len(visits) > 1:
            for _ in socket:
                pass

    with board(talk) as address, Listener(address, {}) as serial:
        serial.expect("visit 2")
        assert serial.lines[:2] == ["visit 1", "visit 2"]


def test_lines_come_one_by_one_until_the_time_is_over() -> None:
    with board(says("a", "b")) as address, Listener(address, {}) as serial:
        assert [one.line for one in serial.heard(timeout_s=1.0)] == ["a", "b"]


def test_nobody_there_is_said() -> None:
    with board(says()) as address:
        pass
    with pytest.raises(NoLab, match="cannot be listened to"), Listener(address, {}):
        pass
