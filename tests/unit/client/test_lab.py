"""A lab that restarts, and a person who has no patience; against a real HTTP server that behaves like one."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from benchwire.client import Image, Lab, NoBoard, NoLab, Refused
from benchwire.client.keeping import kept

Answer = tuple[int, dict[str, Any]]
Say = Callable[[str, str, "Call"], Answer | None]
JOB = {"jobId": "job_1", "deviceId": "b", "host": "h", "status": "queued"}
WAITING = {"lease": {"lease_id": "lease_1", "holder": "me", "state": "waiting"}}
HELD = {"lease": {"lease_id": "lease_1", "holder": "me", "state": "held", "device_id": "b", "host": "h"}}
BEHIND: Answer = (503, {"detail": "the rows are not there yet", "status_code": 503})


class Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    say: Say
    calls: list[tuple[str, str]]

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.calls.append((self.command, path))
        said = type(self).say(self.command, path, self)
        self.close_connection = True
        if said is None:  # it went away in the middle
            return
        content = json.dumps(said[1]).encode()
        self.send_response(said[0])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of the library

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def lab(say: Say) -> Iterator[tuple[Lab, list[tuple[str, str]]]]:
    calls: list[tuple[str, str]] = []
    handler = type("Handler", (Call,), {"say": staticmethod(say), "calls": calls})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with Lab(f"http://127.0.0.1:{server.server_port}", token="") as there:
                yield there, calls
        finally:
            server.shutdown()
            thread.join()


def test_who_waits_for_a_board_keeps_its_place_when_the_lab_restarts() -> None:
    gets: list[Answer | None] = [None, BEHIND, (200, HELD)]

    def say(method: str, _path: str, _call: Call) -> Answer | None:
        return gets.pop(0) if method == "GET" else (202, WAITING)

    with lab(say) as (there, calls):
        assert there.lease("me", device="b", patience_s=60.0).state == "held"
    assert [method for method, _ in calls] == ["POST", "GET", "GET", "GET"]


def test_a_request_that_was_not_granted_in_time_has_left_the_queue() -> None:
    with lab(lambda *_: (200, WAITING)) as (there, calls), pytest.raises(NoBoard, match=r"0\.05 s"):
        there.lease("me", device="b", patience_s=0.05)
    assert calls[-1] == ("DELETE", "/api/leases/lease_1")


def test_a_lease_is_renewed_again_after_a_lab_that_could_not_answer_and_not_after_a_no() -> None:
    asked = threading.Semaphore(0)
    answers: list[Exception] = [Refused(503, "not now"), Refused(409, "it is over")]

    def renew() -> None:
        asked.release()
        raise answers.pop(0)

    with kept(renew, every_s=0.01):
        assert asked.acquire(timeout=10)
        assert asked.acquire(timeout=10)
        assert not asked.acquire(timeout=0.1)


def test_what_was_begun_by_a_call_that_was_interrupted_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    def say(_method: str, path: str, call: Call) -> Answer:
        if path == "/api/flash/start":
            keys.append(call.headers["Idempotency-Key"])
        return 200, JOB

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    with lab(say) as (there, calls):
        monkeypatch.setattr(there, "job", interrupted)
        with pytest.raises(KeyboardInterrupt):
            there.start_flash([Image(b"x")], device_id="b")
    assert calls[-1] == ("POST", "/api/flash/jobs/job_1/cancel")
    assert len(set(keys)) == 1
    assert len(keys) == 2


def test_a_board_is_meant_by_its_name_or_by_its_port() -> None:
    one = {"device_id": "b", "host": "h", "state": "available", "port": "/dev/ttyUSB0"}

    def say(_method: str, path: str, _call: Call) -> Answer:
        return 200, {"devices": [one]} if path == "/api/devices" else {"device": one}

    with lab(say) as (there, calls):
        assert there.device("/dev/ttyUSB0").device_id == "b"
        assert there.device("b").port == "/dev/ttyUSB0"
    assert [path for _, path in calls] == ["/api/devices", "/api/devices/b"]


def test_a_job_is_watched_over_a_restart_of_the_lab_and_not_where_nobody_may() -> None:
    told: list[Answer | None] = [None, BEHIND, (200, {**JOB, "status": "completed"})]

    def say(_method: str, path: str, _call: Call) -> Answer | None:
        return BEHIND if path.startswith("/flash-progress") else told.pop(0)

    with lab(say) as (there, _):
        assert list(there.watch("job_1")) == []
    assert told == []
    with lab(lambda *_: (403, {})) as (there, _), pytest.raises(NoLab, match="403"):
        list(there.watch("job_1"))


def test_firmware_that_the_lab_has_is_named_and_not_sent() -> None:
    asked: list[dict[str, Any]] = []

    def say(method: str, _path: str, call: Call) -> Answer | None:
        if method == "POST":
            asked.append(json.loads(call.body))
        return 200, JOB

    with lab(say) as (there, _):
        assert (
            there.start_flash([], document_id="doc_1", device_id="b", labels={"rack": "2"}, host=None).job_id == "job_1"
        )
    assert asked == [{"document_id": "doc_1", "device_id": "b", "labels": {"rack": "2"}}]


def test_what_a_newer_lab_adds_to_a_task_is_passed_over() -> None:
    state = {"name": "a", "state": "success", "board": None, "iteration": 2, "newer": 1}
    told = {"task_id": "task-1", "status": "completed", "progress": 1.0, "modules": [state], "newer": {}}

    with lab(lambda *_: (200, told)) as (there, calls):
        task = there.tasks.start({"prompt": "count"})
    assert (task.is_over, task.modules[0].iteration) == (True, 2)
    assert calls == [("POST", "/tasks"), ("GET", "/tasks/task-1")]


def test_a_session_gets_an_id_and_what_was_not_said_is_not_sent() -> None:
    asked: list[dict[str, Any]] = []

    def say(_method: str, _path: str, call: Call) -> Answer | None:
        asked.append(json.loads(call.body))
        return 200, {"ok": True, "session": {"session_id": asked[0]["session_id"], "status": "stopping", "newer": 1}}

    with lab(say) as (there, _):
        session = there.sessions.start("hello", {"model": None, "ask_before": ["bash"]})
    assert not session.is_over
    [body] = asked
    name = session.session_id
    assert body == {"session_id": name, "session_name": name, "ask_before": ["bash"], "prompt": "hello"}
