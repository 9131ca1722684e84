"""The OpenAPI documents: complete, and true to what the services answer."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest

from benchwire.documents import app as documents
from benchwire.documents.settings import Settings as DocumentsSettings
from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.events.asks import Refused, SerialAccepted, SystemDesigned, WriteSerial
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCompleted
from benchwire.events.host import HostStarted
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.serial import CaptureFinished
from benchwire.events.session import ModelUsed, ToolApprovalRequested
from benchwire.events.task import (
    Assertion,
    NodeCompiled,
    NodeGenerated,
    NodeImageStored,
    NodeSimulated,
    NodeSpec,
    UartLink,
)
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT, sample
from benchwire.observability import app as observability
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings as ObservabilitySettings
from benchwire.web.access import OPEN_PATHS
from benchwire.web.callers import Callers
from benchwire.web.described import document
from benchwire.web.testing import running

JSON = "application/json"
_NOBODY: Any = SimpleNamespace(metrics=None)


def observed() -> dict[str, Any]:
    app = observability.app(_NOBODY, _NOBODY, _NOBODY, ObservabilitySettings(), Callers())
    return document(app, observability.OPEN)


def stored() -> dict[str, Any]:
    app = documents.made(_NOBODY, _NOBODY, _NOBODY, DocumentsSettings(), Callers(), version="0")
    return document(app, OPEN_PATHS)


@pytest.fixture(scope="module", params=[observed, stored], ids=["observability", "documents"])
def described(request: pytest.FixtureRequest) -> dict[str, Any]:
    made: dict[str, Any] = request.param()
    return made


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def valid(described: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Fails when ``value`` is not as ``schema`` says."""
    jsonschema_rs.validator_for({**schema, "components": described["components"]}).validate(value)


def test_every_operation_says_what_it_does_and_what_it_needs(described: dict[str, Any]) -> None:
    assert described["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert described["security"] == [{"bearer": []}]
    for name, operation in operations(described):
        assert operation["summary"], name
        assert len(operation["summary"]) < 130, name
        needs = re.search(r"Needs (no token|the scope `(read|write|control)`)\.$", operation["description"])
        assert needs is not None, name
        assert (operation.get("security") == []) is (needs[1] == "no token"), name
        assert operation["tags"], name


def test_every_operation_says_what_it_answers_and_how_it_refuses(described: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for name, operation in operations(described):
        answers = operation["responses"]
        (success,) = (status for status in answers if status < "300")
        if success != "204":
            for content in answers[success]["content"].values():
                assert content["schema"] not in ({}, {"type": "object", "additionalProperties": {}}), name
        wanted = {"429", "503"}
        if "security" not in operation:
            wanted |= {"401", "403"}
        if "requestBody" in operation:
            wanted |= {"400", "413"}
        if "{" in name:
            wanted |= {"400", "404"}
        assert wanted <= set(answers), name
        for status, answer in answers.items():
            if status >= "400":
                assert answer["content"][JSON]["schema"] == problem, (name, status)
                valid(described, problem, answer["content"][JSON]["example"])
        assert "Retry-After" in answers["503"]["headers"]


def test_every_body_has_an_example_that_is_as_its_schema_says(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            assert "example" in content, (name, media)
            valid(described, content["schema"], content["example"])


def test_the_post_of_events_tells_its_three_ways() -> None:
    body = observed()["paths"]["/events"]["post"]["requestBody"]["content"]
    assert set(body) == {JSON, "application/x-ndjson"}
    one_or_many = body[JSON]["schema"]["anyOf"]
    assert any(one.get("type") == "array" for one in one_or_many)


def test_nothing_refers_to_what_is_not_there(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for one in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)):
        assert one in schemas, one


# What is really answered


class Checked:
    """Calls a service, and compares each answer with what its document says of it."""

    def __init__(self, client: httpx.AsyncClient, described: dict[str, Any]) -> None:
        self._client = client
        self._described = described

    async def __call__(self, method: str, route: str, *ids: str, expect: int = 200, **more: Any) -> Any:
        names = iter(ids)
        path = re.sub(r"\{\w+\}", lambda _: next(names), route)
        answer = await self._client.request(method, path, **more)
        assert answer.status_code == expect, (method, path, answer.text)
        said = self._described["paths"][route][method.lower()]["responses"][str(expect)]
        if answer.status_code == 204:
            return None
        media = answer.headers["content-type"].partition(";")[0]
        content = said["content"].get(media) or said["content"]["*/*"]
        if media != JSON:
            return answer.text
        valid(self._described, content["schema"], answer.json())
        return answer.json()

    @property
    def client(self) -> httpx.AsyncClient:
        """For answers of several kinds."""
        return self._client

    def example(self, method: str, route: str, media: str = JSON) -> Any:
        """The example of a body."""
        return self._described["paths"][route][method.lower()]["requestBody"]["content"][media]["example"]


@pytest.fixture
async def lab(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Checked]:
    own = ObservabilitySettings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        served = (await client.get("/schema/openapi.json")).json()
        assert served["paths"] == observed()["paths"]
        yield Checked(client, served)


async def test_sessions_are_answered_as_it_is_written(lab: Checked, log: Log) -> None:
    for route in ("/events", "/sessions/{session_id}/events"):
        await lab("POST", route, *(["hooks"] if "{" in route else []), json=lab.example("POST", route))
        lines = lab.example("POST", route, "application/x-ndjson")
        ndjson = {"Content-Type": "application/x-ndjson"}
        await lab("POST", route, *(["hooks"] if "{" in route else []), content=lines, headers=ndjson)
    session = "fix-uart"
    await log.append(
        ModelUsed(timestamp=AT, session_id=session, model="a-model", input_tokens=1, output_tokens=2, stop_reason="end")
    )
    await lab("GET", "/health")
    await lab("GET", "/sessions")
    await lab("GET", "/sessions", params={"limit": 1})
    await lab("GET", "/sessions/{session_id}", session)
    await lab("GET", "/sessions/{session_id}", "nobody", expect=404)
    await lab("GET", "/sessions/{session_id}/status", session)
    await lab("GET", "/sessions/{session_id}/status", "nobody")
    await lab("GET", "/sessions/{session_id}/events", session, params={"limit": 1})
    await lab("GET", "/events/{session_id}", session)
    await lab("GET", "/events", params={"q": "divisor"})
    await lab("GET", "/usage", params={"by": "session,model,day"})
    await lab("GET", "/sessions/{session_id}/usage", session)
    await lab("GET", "/sessions/{session_id}/result", session, expect=400)
    names = "/sessions/{session_id}/metadata"
    await lab("PATCH", names, session, json=lab.example("PATCH", names))
    await lab("POST", "/sessions/{session_id}/stop", session)
    await lab("POST", "/sessions/{session_id}/stop", session, expect=409)
    await lab("GET", "/sessions/{session_id}/result", session)
    await lab("DELETE", "/sessions/{session_id}", session)
    await lab("POST", "/sessions", json=lab.example("POST", "/sessions"))
    await lab("POST", "/sessions", json=lab.example("POST", "/sessions"), expect=409)
    await lab("POST", "/sessions", json={}, expect=400)


async def test_tasks_agents_and_boards_are_answered_as_it_is_written(lab: Checked, log: Log, bus: Bus) -> None:
    task = (await lab("POST", "/tasks", json=lab.example("POST", "/tasks")))["task_id"]
    await lab("GET", "/tasks")
    await lab("GET", "/tasks/{task_id}", task)
    await lab("GET", "/tasks/{task_id}/results", task)
    await lab("GET", "/tasks/{task_id}/logs", task)
    guide = "/tasks/{task_id}/intervene"
    await lab("POST", guide, task, json=lab.example("POST", guide))
    await lab("POST", "/tasks/{task_id}/cancel", task)
    await lab("DELETE", "/tasks/{task_id}", task, expect=409)
    agent = (await lab("POST", "/agents", json=lab.example("POST", "/agents"), expect=201))["name"]
    await lab("PATCH", "/agents/{name}", agent, json=lab.example("PATCH", "/agents/{name}"))
    await lab("PATCH", "/agents/{name}/status", agent, json=lab.example("PATCH", "/agents/{name}/status"))
    await lab("GET", "/agents")
    await lab("DELETE", "/agents/{name}", agent, expect=204)
    await log.append(HostStarted(timestamp=AT, host="lab-1", version="1", drivers=["pyocd"]))
    await log.append(DeviceAttached(timestamp=AT, host="lab-1", device="board", profile="stm32f405", port="/dev/x"))
    image = await Blobs(bus).put(b"firmware", name="a.bin")
    await _leases_are(lab, log)
    body = {**lab.example("POST", "/api/flash/start"), "device_id": "lab-1/board", "artifact_id": image.digest}
    job = (await lab("POST", "/api/flash/start", json={**body, "document_id": None}))["jobId"]
    await lab("POST", "/api/flash/start", json=body, expect=404)
    await lab("GET", "/api/devices")
    await lab("GET", "/api/hosts")
    await lab("GET", "/api/flash/jobs")
    await lab("GET", "/api/flash/jobs/{job_id}", job)
    throttle = "/api/flash/jobs/{job_id}/throttle"
    await lab("POST", throttle, job, json=lab.example("POST", throttle))
    await lab("POST", "/api/flash/jobs/{job_id}/{wish}", job, "cancel")
    over = FlashCompleted(
        timestamp=AT, host="lab-1", job_id=job, device="board", total_bytes=8, duration_s=2.0, verified_by="crc"
    )
    await log.append(over)
    await lab("POST", "/api/flash/start", json={**body, "document_id": None})
    await lab("GET", "/api/flash/history")
    await lab("GET", "/api/flash/analytics", params={"by": "device", "since": "2020-01-01"})

    async def is_over() -> bool:
        return bool((await lab.client.get(f"/api/flash/jobs/{job}")).json()["status"] == "completed")

    await eventually(is_over)
    await lab("POST", "/api/flash/jobs/{job_id}/{wish}", job, "pause", expect=409)
    await _what_a_task_made_is(lab, log, task, image)


async def test_what_people_say_to_sessions_is_answered_as_it_is_written(lab: Checked, log: Log) -> None:
    session = (await lab("POST", "/sessions", json=lab.example("POST", "/sessions")))["session"]["session_id"]
    say, decide = "/sessions/{session_id}/messages", "/sessions/{session_id}/approvals/{tool_use_id}"
    await lab("POST", say, session, json=lab.example("POST", say), expect=202)
    await lab("POST", say, "nobody", json=lab.example("POST", say), expect=404)
    asked = ToolApprovalRequested(
        timestamp=datetime.now(UTC), session_id=session, tool_use_id="toolu_1", tool_name="bash", tool_input={"command": "ls"},
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    await log.append(asked)

    async def waits() -> bool:
        return bool((await lab("GET", "/approvals", params={"state": "waiting"}))["approvals"])

    await eventually(waits)
    await lab("GET", "/sessions/{session_id}/approvals", session)
    await lab("POST", decide, session, "toolu_1", json=lab.example("POST", decide))
    await lab("POST", decide, session, "toolu_1", json=lab.example("POST", decide), expect=409)
    await lab("POST", decide, session, "toolu_2", json=lab.example("POST", decide), expect=404)


async def test_builds_are_answered_as_it_is_written(lab: Checked, log: Log, bus: Bus) -> None:
    async def design(_: bytes) -> msgspec.Struct:
        node = NodeSpec(node_id="a", board="stm32f405", assertions=[Assertion(name="n", pattern="p")])
        return SystemDesigned(nodes=[node], links=[UartLink(a="a", b="b")], summary="s", model="m")

    parse = "/api/design/parse"
    await lab("GET", "/api/boards")
    await lab("POST", parse, json=lab.example("POST", parse), expect=503)
    async with bus.serving("agent", "1.0.0", {"ask.agent.design": design}):

        async def is_there() -> bool:
            return (await lab.client.post(parse, json=lab.example("POST", parse))).status_code == 200

        await eventually(is_there, what="somebody to design it")
        await lab("POST", parse, json=lab.example("POST", parse))
    build = (await lab("POST", "/api/build/start", json=lab.example("POST", "/api/build/start")))["session_id"]
    await log.append(DeviceAttached(timestamp=AT, host="lab-1", device="board", profile="stm32f405", port="/dev/x"))
    for event in (
        sample(NodeGenerated, task_id=build, node_id="counter", iteration=1),
        sample(NodeCompiled, task_id=build, node_id="counter", iteration=1),
        sample(NodeSimulated, task_id=build, node_id="counter", iteration=1),
    ):
        await log.append(event)
    await _is_shown(lab, "/api/devices/board")
    assign = "/api/deploy/{session_id}/assign/{port}"
    await lab("POST", assign, build, "board", json=lab.example("POST", assign))
    status = "/api/build/{session_id}/status"
    await lab("GET", status, build)
    await lab("DELETE", assign, build, "board")
    await lab("GET", status, "build-0", expect=404)
    again = {**lab.example("POST", "/api/simulate/start"), "session_id": build}
    simulation = (await lab("POST", "/api/simulate/start", json=again))["session_id"]
    await lab("GET", "/api/simulate/{session_id}/status", simulation)
    for kind, one in (("build", build), ("simulate", simulation)):
        await lab("POST", f"/api/{kind}/{{session_id}}/stop", one)
        await lab("POST", f"/api/{kind}/{{session_id}}/stop", one, expect=409)


async def _is_shown(lab: Checked, path: str) -> None:
    """Returns when the rows of the service have what was written to the log here."""

    async def there() -> bool:
        return (await lab.client.get(path)).status_code == 200

    await eventually(there, what=f"{path} to be there")


async def _leases_are(lab: Checked, log: Log) -> None:
    await _is_shown(lab, "/api/devices/board")
    await lab("GET", "/api/devices/{device_id}", "board")
    example = lab.example("POST", "/api/leases")
    await lab("POST", "/api/leases", json=example, expect=409)
    patient = {**example, "labels": {}, "wait_s": 0, "patience_s": 60}
    answer = await lab.client.post("/api/leases", json=patient)
    assert answer.status_code == 202
    lease = answer.json()["lease"]["lease_id"]
    until = datetime.now(UTC) + timedelta(hours=1)
    await log.append(
        DeviceLeased(timestamp=AT, host="lab-1", device="board", lease_id=lease, holder="ada", expires_at=until)
    )
    assert (await lab("GET", "/api/leases/{lease_id}", lease, params={"wait_s": 10}))["lease"]["state"] == "held"
    await lab("GET", "/api/leases")
    renew = "/api/leases/{lease_id}/renew"
    await lab("POST", renew, lease, json=lab.example("POST", renew))
    for verb in ("reset", "power", "identify"):
        hand = f"/api/devices/{{device_id}}/{verb}"
        await lab("POST", hand, "board", json=lab.example("POST", hand), expect=409)
        await lab("POST", hand, "board", json={**lab.example("POST", hand), "lease_id": lease}, expect=503)
    await lab("DELETE", "/api/leases/{lease_id}", lease)
    await lab("POST", renew, lease, json={}, expect=409)


async def _what_a_task_made_is(lab: Checked, log: Log, task: str, image: Artifact) -> None:
    await log.append(
        NodeImageStored(timestamp=AT, task_id=task, node_id="counter", iteration=1, image=image, elf=image)
    )

    async def is_stored() -> bool:
        (module,) = (await lab.client.get(f"/tasks/{task}/results")).json()["modules"]
        return module["image"] is not None

    await eventually(is_stored)
    one, every = "/api/deploy/flash", "/api/deploy/flash-all"
    await lab("POST", one, json={**lab.example("POST", one), "task_id": task, "port": "/dev/x"})
    await lab("POST", one, json=lab.example("POST", one), expect=404)
    await lab("POST", every, json={"session_id": task})
    await lab("POST", every, json=lab.example("POST", every), expect=404)


async def test_serial_ports_are_answered_as_it_is_written(lab: Checked, log: Log, bus: Bus) -> None:
    async def write(body: bytes) -> msgspec.Struct:
        data = msgspec.json.decode(body, type=WriteSerial).data
        if data == b"busy":
            return Refused(code="port_busy", detail="a flash tool has the serial port of board")
        line = SerialLine(timestamp=AT, host="lab-1", device="board", line="firmware v1.20", number=1, data=b"\xff")
        await log.sample(line)
        return SerialAccepted(written=len(data))

    await log.append(DeviceAttached(timestamp=AT, host="lab-1", device="board", port="/dev/x"))
    present = Present(service="flash-agent", name="lab-1", version="1", pid=1)
    serial, captures = "/api/devices/{device_id}/serial", "/api/devices/{device_id}/captures"
    async with (
        bus.serving("flash-agent", "1.0.0", {"ask.host.lab-1.write_serial": write}),
        Presence(bus).announced(present),
    ):
        await _is_shown(lab, "/api/devices/board")
        await lab("POST", serial, "board", json=lab.example("POST", serial))
        await lab("POST", serial, "board", json={"text": "busy"}, expect=409)
        await lab("POST", serial, "board", json={}, expect=400)
        await lab("GET", serial, "board")
        capture = (await lab("POST", captures, "board", json=lab.example("POST", captures), expect=202))["capture"]
        await lab("GET", "/api/captures/{capture_id}", "cap_0", expect=404)
        kept = Artifact(digest="0" * 64, size_bytes=3, name="board.log")
        ended = CaptureFinished(
            timestamp=AT,
            host="lab-1",
            capture_id=capture["capture_id"],
            device="board",
            artifact=kept,
            lost_bytes=0,
            reason="over",
        )
        await log.append(ended)

        async def is_over() -> bool:
            shown = (await lab.client.get(f"/api/captures/{capture['capture_id']}")).json()["capture"]
            return bool(shown["state"] == "finished")

        await eventually(is_over, what="the end of the capture to be shown")
        await lab("GET", "/api/captures/{capture_id}", capture["capture_id"], params={"wait_s": 0.2})
        await lab("POST", "/api/captures/{capture_id}/stop", capture["capture_id"], expect=409)
        capture = (await lab("POST", captures, "board", json={}, expect=202))["capture"]
        await lab("POST", "/api/captures/{capture_id}/stop", capture["capture_id"])


async def test_documents_are_answered_as_it_is_written(nats: nats_server.Server, tmp_path: Path) -> None:
    async with (
        serving(nats.url, tmp_path / "data") as service,
        httpx.AsyncClient(base_url=service.url, timeout=20.0, trust_env=False) as client,
    ):
        store = Checked(client, (await client.get("/schema/openapi.json")).json())
        form = dict(store.example("POST", "/documents", "multipart/form-data"))
        file = {"file": ("a.txt", form.pop("file"))}
        made = (await store("POST", "/documents", data=form, files=file, expect=201))["id"]
        await store("GET", "/health")
        await store("GET", "/documents")
        await store("GET", "/documents/tags")
        await store("GET", "/documents/{document_id}", made)
        await store("GET", "/documents/{document_id}/metadata", made)
        await store("GET", "/documents/{document_id}/metadata", "doc_0", expect=404)
        change = store.example("PATCH", "/documents/{document_id}")
        await store("PATCH", "/documents/{document_id}", made, json=change)
        await store("PATCH", "/documents/{document_id}", made, json={"tags": [3]}, expect=400)
        await store("DELETE", "/documents/{document_id}", made)
