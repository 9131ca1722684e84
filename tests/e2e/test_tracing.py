"""One trace from an HTTP call to the board: the spans that a collector gets, and the ids in the log."""

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchwire.deploy import lab_file
from benchwire.events import child, codec
from benchwire.events.bus import connected
from benchwire.events.event import Event
from benchwire.events.settings import NatsSettings
from benchwire.events.task import TaskEvent
from benchwire.events.testing.messages import messages

ENDED = ("succeeded", "completed", "failed", "cancelled")
_WITHIN_S = 90.0


class Span:
    """A span as the collector got it: ids in hex."""

    def __init__(self, service: str, span: Any) -> None:
        self.service = service
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.attributes = {one.key: one.value.string_value for one in span.attributes}
        self.failed = span.status.code == 2


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """A place for OTLP over HTTP, and what came to it."""
    spans: list[Span] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {one.key: one.value.string_value for one in resource.resource.attributes}
                spans.extend(Span(about["service.name"], span) for part in resource.scope_spans for span in part.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@contextmanager
def traced_lab(directory: Path, environment: dict[str, str], endpoint: str) -> Iterator[Path]:
    """A lab whose services export what they do."""
    exporting = {
        "BENCHWIRE_TRACING": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100",
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip
    data = directory / "data"
    ports = ("--observability-port", "0", "--documents-port", "0", "--nats-port", "0")
    argv = [sys.executable, "-m", "benchwire.deploy", "up", "--data", str(data), "--host", "bench"]
    argv += ["--virtual", "stm32f405", *ports]
    with subprocess.Popen(child.dying_with_owner(argv), env=environment | exporting, stdout=subprocess.DEVNULL) as up:
        try:
            eventually(lambda: lab_file.read(data) is not None or up.poll() is not None, "the lab to be up")
            assert up.poll() is None, "the lab did not start"
            yield data
        finally:
            up.terminate()
            assert up.wait(15) == 0


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.1)


def flashed(data: Path) -> str:
    """A task whose sources are there already, made and on the board; its id."""
    lab = lab_file.read(data)
    assert lab is not None
    source = (resources.files("benchwire.deploy.scripted") / "stm32f405_3.c").read_text()
    node = {"node_id": "n1", "board": "stm32f405", "sources": {"main.c": source}, "expect": "SELFTEST PASS"}
    assertion = {"name": "passes", "kind": "substring", "pattern": "SELFTEST PASS", "required": True}
    body = {"kind": "firmware", "nodes": [{**node, "assertions": [assertion]}], "simulation_timeout_s": 5.0}
    with httpx.Client(base_url=lab.observability_url, trust_env=False, timeout=20.0) as client:
        answer = client.post("/tasks", json=body)
        assert answer.status_code == 200, answer.text
        task_id: str = answer.json()["task_id"]
        eventually(lambda: client.get(f"/tasks/{task_id}").json()["status"] in ENDED, "the task to end")
        results = client.get(f"/tasks/{task_id}").json()
        assert results["status"] not in ("failed", "cancelled"), results
    return task_id


async def written(data: Path, task_id: str) -> list[tuple[Event, str | None]]:
    """Every event of the task and of its flash job, with its ``traceparent``."""
    lab = lab_file.read(data)
    assert lab is not None
    found: list[tuple[Event, str | None]] = []
    async with connected(NatsSettings(nats_url=lab.nats_url), name="test") as bus:
        for filter_ in (f"bench.task.{task_id}.*", "bench.flash.*.*.*"):
            for message in await messages(bus, filter_):
                event = codec.decode(message.body, message.headers)
                assert isinstance(event, Event)
                found.append((event, (message.headers or {}).get("traceparent")))
    jobs = {getattr(event, "job_id", "") for event, _ in found if getattr(event, "task_id", None) == task_id} - {""}
    assert len(jobs) == 1
    return [
        (event, trace) for event, trace in found if isinstance(event, TaskEvent) or getattr(event, "job_id", "") in jobs
    ]


async def test_the_spans_of_a_task_are_one_tree_from_the_call_to_the_board(
    lab_dir: Path, quiet_environment: dict[str, str]
) -> None:
    with collector() as (endpoint, spans):
        with traced_lab(lab_dir, quiet_environment, endpoint) as data:
            task_id = flashed(data)
            events = await written(data, task_id)
            eventually(lambda: len([one for one in spans if one.name.startswith("handle ")]) == 2, "the last spans")
        (trace_id,) = {(header or "--").split("-")[1] for _, header in events}
    mine = {one.span_id: one for one in spans if one.trace_id == trace_id}

    def line_of(span: Span) -> list[str]:
        """The names from the root to ``span``."""
        above = mine.get(span.parent_id)
        return [*(line_of(above) if above else []), f"{span.service.removeprefix('benchwire-')}: {span.name}"]

    (flash,) = [one for one in mine.values() if one.name == "flash"]
    assert line_of(flash) == [
        "observability: POST /tasks", "observability: append task_requested", "agent: handle task_requested", "agent: node",
        "agent: append flash_requested", "flash-agent: handle flash_requested", "flash-agent: flash",
    ]  # fmt: skip
    assert [one.name for one in mine.values() if not one.parent_id] == ["POST /tasks"]
    assert all(not one.parent_id or one.parent_id in mine for one in mine.values()), "no span hangs in the air"
    claims = [line_of(one)[-2:] for one in mine.values() if one.name == "append task_claimed"]
    assert claims == [["agent: claim", "agent: append task_claimed"]]
    # What an event's header names is the span in which it was written.
    for event, header in events:
        assert header is not None
        assert mine[header.split("-")[2]].name == f"append {codec.tag_of(event)}"
    handled = next(one for one in mine.values() if one.name == "handle task_requested")
    assert handled.attributes["benchwire.task_id"] == task_id
    assert not any(one.failed for one in mine.values())
