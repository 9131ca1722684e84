"""Storms of odd ids and odd bodies.

Nothing of it is a fault of the service, each refusal is a sentence, and afterwards everything that was answered 2xx is in the log exactly
once, and nothing of what was refused is. The log is read from outside, with a NATS client. Each thing that is written carries a mark of
its own in place of ``MARK``, by which it is found.
"""

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import nats
import pytest

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data; boundary=abc"
MARK = "MARK"
AT = "2026-01-17T12:00:00Z"
LIMIT_BYTES = 8 << 20
_IDS_OF_A_ROUTE = 14
_IDS_OF_A_QUERY = 6

ODD = [
    "", " ", "a b", "a.b", ".", "..", "*", ">", "a/b", "a\\b", "\0", "a\nb", "ü", "😀", "\u202e", "\ud800", "a\udfffb", "x" * 128, "x" * 129,
    "x" * 10_000, "ü" * 64, "ü" * 65, "'", '"', "%", "%2F", "?", "#", ";", "&", "$G", "_INBOX", "{id}", "null", "true", "0", "-1", "import",
    "tags", "stream", "bulk", "\u2028", "\ufeff", "a\u0300",
]  # fmt: skip
ODD_PATHS = [quote(one, safe="", errors="surrogatepass") for one in ODD] + [
    "%", "%zz", "%FF", "%C0%80", "%ED%A0%80", "%2e%2e", "a%2fb", "%252F", "%00%00", "a;b=c", "a%3Fb", "*", ">", "'", "x" * 20_000
]  # fmt: skip


class Storm:
    """Calls a service, and keeps which marks it said it took."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.taken: list[str] = []
        self.refused: list[str] = []
        self._run = uuid4().hex[:12]
        self._numbers = itertools.count()

    def mark(self) -> str:
        """A text that stands nowhere else."""
        return f"mark-{self._run}-{next(self._numbers)}."

    async def call(
        self,
        method: str,
        target: str,
        body: bytes | str | dict[str, Any] | None = None,
        media: str = JSON,
        **headers: str,
    ) -> httpx.Response:
        """The answer, which may be a refusal, but one that says why."""
        given = json.dumps(body) if isinstance(body, dict) else body
        sent = {"Content-Type": media, **headers} if body is not None else headers
        request = self.client.build_request(
            method,
            "/",
            content=given,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            extensions={"target": target.encode()},
        )
        answer = await self.client.send(request, stream=True)
        try:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                return answer  # has no end
            await answer.aread()
        finally:
            await answer.aclose()
        shown = (method, target[:200], str(given)[:300], sent, answer.status_code, answer.text[:500])
        assert answer.status_code < 500, shown
        if answer.status_code >= 400:
            assert answer.json()["detail"], shown
            assert answer.json()["status_code"] == answer.status_code, shown
            assert "Traceback" not in answer.text, shown
        return answer

    async def write(
        self, method: str, target: str, body: bytes | dict[str, Any], media: str = JSON, **headers: str
    ) -> None:
        """The same of a body that has ``MARK``."""
        mark = self.mark()
        plain = json.dumps(body).encode() if isinstance(body, dict) else body
        answer = await self.call(method, target, plain.replace(MARK.encode(), mark.encode()), media, **headers)
        (self.taken if answer.is_success else self.refused).append(mark)

    async def end(self, nats_url: str) -> None:
        """Compares what was said with what the log holds."""
        marks = re.compile(rf"mark-{self._run}-\d+\.".encode())
        found = Counter[str]()
        for body in await everything(nats_url):
            found.update(mark.decode() for mark in set(marks.findall(body)))
        assert found == Counter(self.taken)
        assert self.taken
        assert self.refused
        health = await self.client.get("/health")
        assert health.json()["status"] == "healthy", health.text


async def everything(nats_url: str) -> list[bytes]:
    """All bodies in the log."""
    connection = await nats.connect(nats_url)
    try:
        stream = connection.jetstream()
        last = (await stream.stream_info("BENCH")).state.last_seq
        if not last:
            return []
        reading = await stream.subscribe("bench.>", ordered_consumer=True)
        bodies = []
        while True:
            message = await reading.next_msg(timeout=20)
            bodies.append(message.data)
            if message.metadata.num_pending == 0 or message.metadata.sequence.stream >= last:
                return bodies
    finally:
        await connection.close()


@pytest.fixture
async def observed(outside_observability: str) -> AsyncIterator[Storm]:
    async with httpx.AsyncClient(base_url=outside_observability, timeout=30.0, trust_env=False) as client:
        yield Storm(client)


@pytest.fixture
async def stored(outside_documents: str) -> AsyncIterator[Storm]:
    async with httpx.AsyncClient(base_url=outside_documents, timeout=30.0, trust_env=False) as client:
        yield Storm(client)


def hook(**more: Any) -> dict[str, Any]:
    return {
        "event_type": "session_start", "session_id": "storm", "session_name": MARK, "project_dir": MARK, "timestamp": AT, **more
    }  # fmt: skip


# Ids and queries


def with_ids(described: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Method and path of every operation that has something in its path, and the media type and an example of the body that it takes."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if "{" in path:
                content = operation.get("requestBody", {}).get("content", {JSON: {"example": None}})
                media, body = next(iter(content.items()))
                yield method.upper(), path, media, body["example"]


async def odd_ids(storm: Storm, described: dict[str, Any]) -> None:
    for method, path, media, body in with_ids(described):
        some = random.Random(f"{method} {path}").sample(ODD_PATHS, _IDS_OF_A_ROUTE)
        paths = [re.sub(r"\{\w+\}", odd.replace("\\", ""), path) for odd in some]
        await asyncio.gather(*(storm.call(method, one, body, media) for one in paths))


async def odd_queries(storm: Storm, described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        asked = [one["name"] for one in methods.get("get", {}).get("parameters", []) if one["in"] == "query"]
        for name in asked:
            some = random.Random(f"{path} {name}").sample(ODD_PATHS, _IDS_OF_A_QUERY)
            here = re.sub(r"\{\w+\}", "x", path)
            await asyncio.gather(*(storm.call("GET", f"{here}?{name}={odd}&{odd}&{name}") for odd in some))


async def odd_paths(storm: Storm) -> None:
    described = (await storm.client.get("/schema/openapi.json")).json()
    await odd_ids(storm, described)
    await odd_queries(storm, described)


async def test_no_id_in_a_path_and_no_query_is_a_fault_of_observability(observed: Storm) -> None:
    await odd_paths(observed)


async def test_no_id_in_a_path_and_no_query_is_a_fault_of_documents(stored: Storm) -> None:
    await odd_paths(stored)


async def test_whatever_the_ids_what_was_taken_is_in_the_log_once(observed: Storm, outside_nats: str) -> None:
    for odd in ODD:
        new = {"session_id": f"s-{uuid4()}", "session_name": MARK}
        node = {"node_id": odd, "board": "stm32f405", "description": "d"}
        await asyncio.gather(
            observed.write("POST", "/events", hook(session_id=odd)),
            observed.write("POST", "/sessions", new | {"agent_name": odd}),
            observed.write("POST", "/sessions", {**new, "session_id": f"p-{uuid4()}", "parent_session_id": odd}),
            observed.write("POST", "/agents", {"name": odd, "description": MARK}),
            observed.write("POST", "/tasks", {"prompt": MARK, "nodes": [node]}),
        )
        await observed.write("POST", "/sessions", new | {"session_id": odd})
        for field in ("device_id", "host", "artifact_id", "document_id", "partition"):
            await observed.call(
                "POST", "/api/flash/start", {"device_id": "lab/board", "artifact_id": "0" * 64, field: odd}
            )
    without_id = {name: value for name, value in hook().items() if name != "session_id"}
    for odd in ODD_PATHS:
        await observed.write("POST", f"/sessions/{odd}/events", without_id)
        await observed.write("PATCH", f"/sessions/{odd}/metadata", {"session_name": MARK})
        await observed.write("POST", f"/tasks/{odd}/intervene", {"guidance": MARK})
        await observed.write("PATCH", f"/agents/{odd}", {"description": MARK})
    await observed.end(outside_nats)


# Bodies

ODD_VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-0", "9" * 400, "-" + "9" * 30, "0.1e-400", "null", "true", "[]", "{}", '""', '"\\u0000"', '"\\ud800"',
    '"\\udc00\\ud800"', '"\\u0000\\n"', "'single'", "0x10", "01", "+1", "undefined", '"' + "x" * 5000 + '"', '"2026-13-45T99:99:99Z"',
    '"0000-00-00T00:00:00Z"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"',
    '"2026-01-17T12:00:60Z"', "1768651200", "[" * 900 + "]" * 900,
]  # fmt: skip
FIELDS = [
    "event_type", "session_id", "session_name", "timestamp", "project_dir", "agent_name", "parent_session_id", "tool_name", "tool_input",
    "tool_output", "error", "exit_code", "reason", "role", "content", "unknown",
]  # fmt: skip
HOOKS: dict[str, dict[str, Any]] = {
    "tool_name": {"event_type": "pre_tool", "tool_input": {}},
    "tool_input": {"event_type": "pre_tool", "tool_name": "t"},
    "tool_output": {"event_type": "post_tool", "tool_name": "t", "tool_input": {}},
    "error": {"event_type": "post_tool", "tool_name": "t", "tool_input": {}, "tool_output": None},
    "exit_code": {"event_type": "session_stop", "reason": "r"},
    "reason": {"event_type": "session_stop", "exit_code": 0},
    "role": {"event_type": "message", "content": []},
    "content": {"event_type": "message", "role": "user"},
}


def odd_bodies() -> list[bytes]:
    """Bodies that are no hook, or barely one."""
    whole = json.dumps(hook()).encode()
    return [
        whole, b"\n\n " + whole + b" \n", whole[:-1], whole + b"}", whole + whole, b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16"),
        whole.decode().encode("utf-32-le"), whole.replace(b"storm", b"st\xffrm"), whole.replace(b"storm", b"st\x00rm"),
        whole.replace(b"storm", b"st\xed\xa0\x80rm"), whole.replace(b"{", b"{,", 1), whole.replace(b'"', b"'"), b'"MARK"', b"null", b"true", b"3",
        b'""', b"{}", b"[[]]", b"[null]", b"[" + whole + b",", b"[" * 100_000, nested(900), nested(5000), whole[:-1] + b',"session_id":"other"}',
        whole[:-1] + b',"event_type":"message"}', b"\x00" * 100, b"\x1f\x8b" + whole, b" " * 1000,
    ]  # fmt: skip


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b'"MARK"' + b"}" * depth


def raw(body: dict[str, Any], field: str, value: str) -> bytes:
    """``body`` as JSON, but ``field`` in it is ``value`` as it stands, be it JSON or not."""
    return json.dumps({**body, field: "@"}).replace('"@"', value).encode()


ODD_TYPES = [
    JSON, "application/json; charset=utf-16", "application/json; charset=nonsense", "APPLICATION/JSON", "text/plain", "application/xml", "", ";", "/",
    "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=abc",
    "application/octet-stream", "\xfc/\xff", "x" * 5000,
]  # fmt: skip


async def test_whatever_the_body_what_was_taken_is_in_the_log_once(observed: Storm, outside_nats: str) -> None:
    assert (await observed.call("POST", "/events", hook(session_id="calm"))).is_success
    for body in odd_bodies():
        await observed.write("POST", "/events", body)
        await observed.write("POST", "/sessions/storm/events", body)
        # A hook is no body for these; what they make of it they may, but it has to be an answer.
        others = ("/sessions", "/tasks", "/agents", "/api/flash/start", "/sessions/calm/fork", "/sessions/import")
        await asyncio.gather(*(observed.call("POST", path, body) for path in others))
    for media in ODD_TYPES:
        await observed.write("POST", "/events", hook(), media)
    for field in FIELDS:
        for value in ODD_VALUES:
            await observed.write("POST", "/events", raw(hook(**HOOKS.get(field, {})), field, value))
    await observed.write("POST", "/events", json.dumps(hook()).encode().ljust(LIMIT_BYTES + 1))
    await observed.write("POST", "/events", hook(reason="x" * (2 << 20), agent_name="x" * (2 << 20)))
    for key in ("", "a b ", "k" * 10_000, "\xff", "a,b"):
        await observed.write("POST", "/events", hook(), **{"Idempotency-Key": key + uuid4().hex})
    await observed.end(outside_nats)


@pytest.mark.parametrize("media", [JSON, NDJSON])
async def test_of_many_events_those_that_count_as_taken_are_in_the_log_once(
    observed: Storm, outside_nats: str, media: str
) -> None:
    # Half a character makes a whole array unreadable, and one line only itself.
    ids = [one for one in ODD if media == NDJSON or one == one.encode(errors="replace").decode()]
    good = [json.dumps(hook(session_name=observed.mark())) for _ in range(300)]
    bad = [json.dumps(hook(session_name=observed.mark(), session_id=odd)) for odd in ids]
    bad += ["[]", "3", "null", '"x"', "{}", '{"event_type":"message"}']
    lines = [line for pair in itertools.zip_longest(good, bad) for line in pair if line is not None]
    body = "\n".join(lines) if media == NDJSON else f"[{','.join(lines)}]"
    told = (await observed.call("POST", "/events", body, media)).json()
    wrong = {one["line"] for one in told["errors"]}
    assert (told["accepted"], told["rejected"]) == (len(lines) - len(wrong), len(wrong))
    for number, line in enumerate(lines, 1):
        if found := re.search(r"mark-\w+-\d+\.", line):
            (observed.refused if number in wrong else observed.taken).append(found[0])
    await observed.end(outside_nats)


async def test_a_body_that_breaks_off_is_not_taken(observed: Storm, outside_nats: str) -> None:
    address = observed.client.base_url
    for path, media in (("/events", JSON), ("/sessions", JSON), ("/events", NDJSON), ("/sessions/import", NDJSON)):
        for head in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
            mark = observed.mark()
            body = json.dumps(hook(session_name=mark)).encode()
            _, writer = await asyncio.open_connection(address.host, address.port)
            start = f"POST {path} HTTP/1.1\r\nHost: {address.host}\r\nContent-Type: {media}\r\n{head}\r\n\r\n"
            writer.write(start.encode() + (b"3e8\r\n" if "chunked" in head else b"") + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            observed.refused.append(mark)
    await observed.write("POST", "/events", hook())
    await observed.end(outside_nats)


# Documents


def form(*, name: str = 'filename="a.txt"', more: str = "", end: str = "--abc--\r\n") -> bytes:
    """A form with a file, and ``more`` parts."""
    file = f'--abc\r\nContent-Disposition: form-data; name="file"; {name}\r\n\r\nbytes\r\n'
    return (file + field("metadata", json.dumps({"description": MARK})) + more + end).encode(errors="surrogatepass")


def field(name: str, value: str) -> str:
    return f'--abc\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def odd_forms() -> list[bytes]:
    whole = form()
    return [
        whole, whole[:-2], whole[:-4], whole[:-20], whole[10:], b"\r\n\r\n" + whole, whole + b"more", whole + whole, whole.replace(b"\r\n", b"\n"),
        whole.replace(b"name=", b"nome="), whole.replace(b"Content-Disposition", b"Content-Dispo\xff"), whole.replace(b": form-data", b""),
        form(end=""), form(end="--abc\r\n"), form(name=""), form(name='filename="a"; filename="b"'), form(more=whole.decode()),
        form(more=field("x" * 40_000, "y")), form(more=field("unknown", "y" * 200_000)), form(more=field("x", "y") * 80),
        *(form(name=f'filename="{odd}"') for odd in ODD), *(form(name=f"filename*=UTF-8''{odd}") for odd in ODD_PATHS),
        *(form(more=field("tags", odd)) for odd in ODD), *(form(more=field("checksum", odd)) for odd in ODD[:20]),
        *(form(more=field("expires_at", odd.strip('"'))) for odd in ODD_VALUES),
        *(form().replace(b"}\r\n", f',"odd":{odd}}}\r\n'.encode(), 1) for odd in ODD_VALUES), form(more=field("metadata", "{}")),
    ]  # fmt: skip


async def test_whatever_the_form_the_documents_that_were_taken_are_in_the_log_once(
    stored: Storm, outside_nats: str
) -> None:
    forms = odd_forms()
    for begin in range(0, len(forms), 16):
        some = forms[begin : begin + 16]
        await asyncio.gather(*(stored.write("POST", "/documents", one, FORM) for one in some))
    for media in (*ODD_TYPES, "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 5000}"):
        await stored.write("POST", "/documents", form(), media)
    await stored.end(outside_nats)


async def test_whatever_a_document_is_changed_to_is_in_the_log_once(stored: Storm, outside_nats: str) -> None:
    made = (await stored.client.post("/documents", files={"file": ("a.txt", b"x")})).json()["id"]
    for name in ("tags", "metadata", "expires_at", "unknown"):
        for value in ODD_VALUES:
            await stored.write("PATCH", f"/documents/{made}", raw({"description": MARK}, name, value))
    for body in odd_bodies():
        await stored.call("PATCH", f"/documents/{made}", body)
        await stored.call("POST", f"/documents/{made}/links", body)
    for odd in ODD:
        for link in ({"kind": "part_of", "to": odd}, {"kind": odd, "to": f"session:{odd}"}):
            await stored.call("POST", f"/documents/{made}/links", link)
    await stored.end(outside_nats)


async def test_of_many_documents_those_that_count_as_taken_are_in_the_log_once(
    stored: Storm, outside_nats: str
) -> None:
    lines, marks = [], []
    for name in ("tags", "metadata", "expires_at", "checksum", "key", "content_type", "content_base64"):
        for value in ODD_VALUES:
            marks.append(stored.mark())
            text = None if name == "content_base64" else "t"
            lines.append(raw({"filename": marks[-1], "text": text}, name, value))
    answer = await stored.call("POST", "/documents/bulk", b"\n".join(lines), NDJSON)
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["line"] for one in results] == list(range(1, len(lines) + 1))
    for one, line, mark in zip(results, lines, marks, strict=True):
        assert one["status_code"] < 500, (one, line[:500])
        (stored.taken if one["status_code"] == 201 else stored.refused).append(mark)
    await stored.end(outside_nats)
