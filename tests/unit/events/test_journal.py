"""Lines that people read, objects that machines read, and no secret in either."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from benchwire.events import journal, tracing
from benchwire.events.settings import InvalidSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield capsys
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)


def the_object(said: pytest.CaptureFixture[str]) -> dict[str, str]:
    (line,) = said.readouterr().err.splitlines()
    found: dict[str, str] = json.loads(line)
    return found


def test_a_line_is_one_object_with_time_level_logger_service_and_host(said: pytest.CaptureFixture[str]) -> None:
    journal.begun("agent", {"BENCHWIRE_LOG_FORMAT": "json", "BENCHWIRE_HOST": "lab-1"})
    logging.getLogger("some.room").warning("two\nlines of %d", 2, extra={"document_id": "doc_1"})
    found = the_object(said)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "WARNING", "logger": "some.room", "message": "two\nlines of 2", "service": "agent", "host": "lab-1",
        "document_id": "doc_1",
    }  # fmt: skip


def test_an_exception_is_a_field_of_its_line(said: pytest.CaptureFixture[str]) -> None:
    journal.begun("agent", {"BENCHWIRE_LOG_FORMAT": "json"})
    try:
        int("board")
    except ValueError:
        logging.getLogger("room").exception("it did not work")
    found = the_object(said)
    assert found["message"] == "it did not work"
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("invalid literal for int() with base 10: 'board'")


def test_what_is_said_during_work_has_its_ids_and_its_trace(said: pytest.CaptureFixture[str]) -> None:
    journal.begun("agent", {"BENCHWIRE_LOG_FORMAT": "json"})
    carrier = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    with tracing.work("handle", carrier, task_id="t-1"), tracing.span("node", node_id="n-1"):
        logging.getLogger("room").info("inside")
    found = the_object(said)
    assert (found["task_id"], found["node_id"], found["trace_id"]) == ("t-1", "n-1", TRACE)
    logging.getLogger("room").info("after")
    assert {"task_id", "trace_id"} & set(the_object(said)) == set()


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_gets_out_whoever_writes_it(said: pytest.CaptureFixture[str], form: str) -> None:
    journal.begun("observability", {"BENCHWIRE_LOG_FORMAT": form})
    room = logging.getLogger("room")
    room.warning("GET %s from nats://user:hidden@lab:4222", "/ws?since=3&token=hidden")
    room.warning('"GET /ws?token=hidden HTTP/1.1" with Authorization: Bearer hidden')
    try:
        int("wss://lab/ws?token=hidden&since=1")
    except ValueError:
        room.exception("lost")
    text = said.readouterr().err
    assert "hidden" not in text
    assert "since=3" in text
    assert "since=1" in text
    assert "lab:4222" in text
    if form == "json":
        assert all(json.loads(line) for line in text.splitlines())


def test_a_format_or_level_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_LOG_FORMAT: it must be text or json, not 'xml'"):
        journal.begun("agent", {"BENCHWIRE_LOG_FORMAT": "xml"})
    with pytest.raises(InvalidSettings, match="BENCHWIRE_LOG_LEVEL"):
        journal.begun("agent", {"BENCHWIRE_LOG_LEVEL": "LOUD"})


def test_lines_for_people_stay_as_they_were(said: pytest.CaptureFixture[str]) -> None:
    journal.begun("agent", {})
    logging.getLogger("room").info("ready")
    assert said.readouterr().err.endswith(" agent INFO ready\n")


def test_no_message_forges_a_line_or_drives_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    formatter = journal._formatter("observability", {})  # the lines that people read
    evil = "no\n2026-01-17 12:00:00 observability CRITICAL all is lost\x1b[2J\x9b31m\u202e"
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "refused: %s", (evil,), None)
    line = formatter.format(record)
    assert line.isprintable()
    assert "refused: no\\n2026-01-17" in line
    try:
        int(evil)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    first, *below = formatter.format(record).split("\n")
    assert first.endswith("failed")
    assert all(line.startswith("  ") and line.isprintable() for line in below)
    assert any("Traceback" in line for line in below)
