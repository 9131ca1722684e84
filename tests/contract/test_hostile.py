"""Both services, as processes, against a client that means no good: what it sends, where it tries to get, what it pretends to be, and what
somebody else notices of it."""

import asyncio
import contextlib
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchwire.documents import app as documents
from benchwire.documents.settings import Settings as DocumentsSettings
from benchwire.events.settings import Secret
from benchwire.events.testing.eventually import eventually
from benchwire.observability import app as observability
from benchwire.observability.settings import Settings as ObservabilitySettings
from benchwire.web.access import Guard
from benchwire.web.callers import Callers
from benchwire.web.testing import refused

JSON = {"Content-Type": "application/json"}
ELSEWHERE = "127.0.0.2"
HOOK = {"event_type": "session_start", "session_id": "hostile", "timestamp": "2026-01-17T12:00:00Z"}


@pytest.fixture
async def observed(outside_observability: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=outside_observability, timeout=30.0, trust_env=False) as client:
        yield client


@pytest.fixture
async def stored(outside_documents: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=outside_documents, timeout=30.0, trust_env=False) as client:
        yield client


async def got(client: httpx.AsyncClient, target: str) -> httpx.Response:
    """The answer to ``GET target`` as it stands; httpx would tidy it up, or not send it."""
    return await client.send(client.build_request("GET", "/", extensions={"target": target.encode()}))


# What is sent


def bombs() -> Iterator[bytes]:
    """JSON that is cheap to send and dear to believe."""
    whole = json.dumps(HOOK)[:-1]
    for value in (
        "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "9" * 1_000_000, "-" + "9" * 100_000, "1e" + "9" * 10_000,
        "0." + "0" * 1_000_000 + "1", "NaN", "-Infinity", '"\\ud800"', '"' + "\\u0000" * 100_000 + '"', '"\ud800"',
    ):  # fmt: skip
        yield f'{whole},"tool_input":{value}}}'.encode(errors="surrogatepass")
        yield f'{whole},"session_name":{value}}}'.encode(errors="surrogatepass")
    yield (whole + "".join(f',"k{number}":0' for number in range(100_000)) + "}").encode()
    yield ("{" + '"session_id":"x",' * 100_000 + whole[1:] + "}").encode()


async def test_json_that_is_dear_to_believe_is_no_fault_of_the_service(
    observed: httpx.AsyncClient, stored: httpx.AsyncClient
) -> None:
    made = (await stored.post("/documents", files={"file": ("a.txt", b"a")})).json()["id"]
    for body in bombs():
        for client, method, path in (
            (observed, "POST", "/events"), (observed, "POST", "/sessions"), (observed, "POST", "/tasks"), (observed, "POST", "/agents"),
            (stored, "PATCH", f"/documents/{made}"),
        ):  # fmt: skip
            answer = await client.request(method, path, content=body, headers=JSON)
            assert answer.status_code < 500, (path, body[:80], answer.text[:200])
    assert (await observed.get("/health")).status_code == 200


def forms() -> Iterator[tuple[int, bytes]]:
    """Forms that are more than one, and what they are answered with."""
    head = b'--abc\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    file = head % (b"file", b'; filename="a.txt"', b"a")
    yield 400, head % (b"x", b"", b"y") * 10_000 + file + b"--abc--\r\n"
    yield 400, (head % (b"tags", b"", b"y")) * 200 + file + b"--abc--\r\n"
    yield 400, file * 1000 + b"--abc--\r\n"
    yield 400, head % (b"file", b'; filename="a.txt"\r\nX: ' + b"x" * 100_000, b"a") + b"--abc--\r\n"
    yield 400, head % (b"file", b'; filename="a.txt"' + b"\r\nX: y" * 10_000, b"a") + b"--abc--\r\n"
    yield 400, head % (b"file", b'; filename="' + b"a" * 100_000 + b'"', b"a") + b"--abc--\r\n"
    yield 400, head % (b"metadata", b"", b"{" * 70_000) + file + b"--abc--\r\n"
    yield 400, b"-" * 1_000_000
    yield 400, b"--ab" * 250_000
    yield 201, head % (b"file", b'; filename="a.txt"', b"\r\n--ab" * 100_000) + b"--abc--\r\n"


async def test_forms_that_are_more_than_one_are_refused(stored: httpx.AsyncClient) -> None:
    for status, body in forms():
        answer = await stored.post(
            "/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=abc"}
        )
        assert answer.status_code == status, (body[:80], answer.text[:200])
    many = "&".join(f"a{number}=b" for number in range(10_000))
    for path in ("/documents", "/documents/bulk", "/documents/x/links"):
        answer = await stored.post(path, content=many, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code < 500


async def test_many_parameters_ranges_and_tags_are_no_fault_of_the_service(
    observed: httpx.AsyncClient, stored: httpx.AsyncClient
) -> None:
    made = (await stored.post("/documents", files={"file": ("a.txt", b"abcdef")})).json()["id"]
    ranges = ",".join(f"{number}-{number}" for number in range(6000))
    tags = ",".join(f'W/"{number}"' for number in range(5000))
    for headers, status in [
        ({"Range": f"bytes={ranges}"}, 200), ({"Range": "bytes=" + "9" * 50_000 + "-"}, 200), ({"Range": "bytes=-"}, 200),
        ({"Range": "bytes=9-"}, 416),
        ({"If-None-Match": tags}, 200), ({"If-None-Match": tags + ", *"}, 304), ({"If-Range": tags, "Range": "bytes=0-0"}, 200),
        ({"Accept-Encoding": "gzip;q=nan, *;q=0, ,,;" * 1000}, 200), ({"Accept": "text/html;" * 4000}, 200), ({"Range": ranges * 3}, 431),
    ]:  # fmt: skip
        answer = await stored.get(f"/documents/{made}", headers=headers)
        assert answer.status_code == status, headers
        if status == 200:
            assert answer.content == b"abcdef"
    for client, path in (
        (stored, "/documents"),
        (observed, "/sessions"),
        (observed, "/events"),
        (observed, "/api/flash/history"),
    ):
        assert (await got(client, f"{path}?{'limit=1&' * 7000}")).status_code in (200, 400)
        answer = await got(client, f"{path}?{'&'.join(f'q{number}' for number in range(8000))}")
        assert answer.status_code in (200, 400), (path, answer.text[:300])
        refused(await got(client, f"{path}?{'q' * 100_000}"), 414, "URL")
        refused(await client.get(path, headers={"X": "y" * 100_000}), 431, "headers")
        refused(await client.get(path, headers=[("X", "y")] * 1000), 431, "128")
        refused(
            await client.post(path, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), 415, "Content-Encoding"
        )


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """As a client sends it, masked with nothing; ``opcode`` with the bits of the first byte."""
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2)
        if size < 1 << 16
        else b"\xff" + size.to_bytes(8)
    )
    return bytes([opcode]) + length + b"\0\0\0\0" + payload


TEXT, BINARY, FINAL = 1, 2, 0x80
TEXTS = [
    b"", b"\0", b"{}", b"[]", b"null", b'{"type":null}', b'{"type":"ping","type":"ping"}', b'{"type":"write"}', b'{"type":"write","text":1}',
    b"[" * 100_000, b'{"a":' * 50_000, b'{"type":' + b"9" * 100_000 + b"}", b'{"type":"\\ud800"}', b'{"type":"progress","jobId":"../../x"}',
    b'{"type":"progress","jobId":"a.b.*.>","progress":NaN}', b'{"type":"progress","jobId":"' + b"x" * 1000 + b'"}', "\u202e".encode(),
]  # fmt: skip
FRAMES = [
    *(frame(FINAL | TEXT, text) for text in TEXTS), *(frame(FINAL | BINARY, text) for text in TEXTS[:4]), frame(FINAL | TEXT, b"\xff\xfe"),
    frame(FINAL | TEXT, b"\xed\xa0\x80"), frame(FINAL | 3), frame(FINAL | 0xF), frame(0xF0 | TEXT), frame(FINAL), frame(9), frame(FINAL | 8),
    frame(FINAL | 8, b"\x03"), frame(FINAL | 8, b"\xff\xff"), frame(FINAL | 8, b"\x03\xe8\xff"), frame(FINAL | 9, b"x" * 126), b"\x81\x01x",
    b"\x81\xff" + b"\xff" * 8, b"\x81\xff\x7f" + b"\xff" * 7, b"GET / HTTP/1.1\r\n\r\n", frame(TEXT) + frame(FINAL | TEXT),
]  # fmt: skip
SOCKETS = [
    ("observability", path)
    for path in ("/ws", "/ws/task", "/flash-progress", "/flash-progress/job", "/ws/serial", "/ws/serial/board")
]


@pytest.mark.parametrize("name", ["observability", "documents"])
async def test_no_frame_is_a_fault_of_the_service(request: pytest.FixtureRequest, name: str) -> None:
    url = httpx.URL(request.getfixturevalue(f"outside_{name}"))

    class Client(asyncio.Protocol):
        """Waits for the answer to a ping, or for the end."""

        def __init__(self, odd: bytes) -> None:
            self.over = asyncio.Event()
            self._frames = odd + frame(FINAL | TEXT, b'{"type":"ping"}')
            self._line: Any = None

        def connection_made(self, transport: Any) -> None:
            self._line = transport

        def data_received(self, data: bytes) -> None:
            if b" 101 " in data:
                self._line.write(self._frames)
            if b"pong" in data:
                self.over.set()

        def connection_lost(self, exc: Exception | None) -> None:
            self.over.set()

    async def sent(path: str, odd: bytes) -> None:
        line, client = await asyncio.get_running_loop().create_connection(lambda: Client(odd), url.host, url.port or 0)
        line.write(WEBSOCKET.replace(b"/ws", path.encode()))
        async with asyncio.timeout(60):
            await client.over.wait()
        line.abort()

    for path in [path for service, path in SOCKETS if service == name]:
        await asyncio.gather(*(sent(path, odd) for odd in FRAMES))
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        assert (await client.get(url.join("/health"))).status_code == 200


# Where it tries to get

CLIMBS = [
    "..",
    "%2e%2e",
    "%2E.",
    "..%2f..",
    "..%5c..",
    "..;",
    "%252e%252e",
    ".%00.",
    "%c0%ae%c0%ae",
    "%uff0e",
    "%2f",
    "%2fetc%2fpasswd",
]


async def test_no_path_leads_to_a_file_of_the_machine(observed: httpx.AsyncClient, stored: httpx.AsyncClient) -> None:
    for client, roots in (
        (observed, ("/page", "/schema/ui", "/sessions", "/agents", "/tasks", "/api/captures")),
        (stored, ("/schema/ui", "/documents", "/artifacts")),
    ):
        for root in roots:
            for climb in CLIMBS:
                for end in ("etc/passwd", "proc/self/environ", "", "tokens.json", "projection.sqlite"):
                    answer = await got(client, f"{root}/{'/'.join([climb] * 6)}/{end}")
                    assert answer.status_code in ((400, 404, 405) if end else (200, 400, 404, 405)), (root, climb, end)
                    assert "root:" not in answer.text


# What it pretends to be


async def test_a_page_of_another_site_neither_writes_nor_reads_nor_listens(
    observed: httpx.AsyncClient, stored: httpx.AsyncClient
) -> None:
    """A form needs no permission of the browser to send ``text/plain``, and a name of its own can be pointed at 127.0.0.1."""
    foreign: list[dict[str, str]] = [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:8765"},
        {"Host": "localhost.evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"}, {"Origin": "http://localhost@evil.example"},
        {"Host": ""}, {"Host": "0.0.0.0"},
    ]  # fmt: skip
    mark = f"hostile-{uuid4().hex}"
    body = json.dumps({**HOOK, "session_id": mark})
    for headers in foreign:
        if headers != {"Host": ""}:  # who sends none is no browser
            for media in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
                sent = {"Content-Type": media, **headers}
                refused(await observed.post("/events", content=body, headers=sent), 403, "token")
            refused(await observed.get("/sessions", headers=headers), 403, "token")
            refused(await stored.post("/documents", files={"file": ("a", b"a")}, headers=headers), 403, "token")
            refused(await stored.get("/documents", headers=headers), 403, "token")
    assert (await observed.get(f"/sessions/{mark}")).status_code == 404
    for client in (observed, stored):
        url = f"ws://{client.base_url.host}:{client.base_url.port}/ws"
        async with connect(url, origin="http://evil.example", proxy=None) as socket:  # type: ignore[arg-type]
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


TOKEN = "hostile-tests-know-this-token"
ODD_PLACES: list[dict[str, Any]] = [
    {"params": {"token": TOKEN}}, {"params": {"access_token": TOKEN}}, {"cookies": {"token": TOKEN, "Authorization": f"Bearer {TOKEN}"}},
    {"headers": {"X-Api-Key": TOKEN}}, {"headers": {"Proxy-Authorization": f"Bearer {TOKEN}"}}, {"headers": {"Authorization": TOKEN}},
    {"headers": {"Authorization": f"Basic {TOKEN}"}}, {"headers": {"Authorization": f"Token {TOKEN}"}},
    {"headers": {"Authorization": f"Bearer{TOKEN}"}},
    {"headers": {"Authorization": f"Bearer {TOKEN} x"}}, {"headers": {"Authorization": f"Bearer x, Bearer {TOKEN}"}},
    {"headers": {"Authorization": f"Bearer {TOKEN}\u00a0"}}, {"headers": {"Authorization": f"Bearer {TOKEN.upper()}"}},
    {"headers": {"Sec-WebSocket-Protocol": f"bearer, {TOKEN}"}}, {"headers": {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}},
    {"headers": {"X-Original-URL": "/health", "X-Rewrite-URL": "/health", "X-HTTP-Method-Override": "OPTIONS"}},
]  # fmt: skip
ODD_PATHS = [
    "/%68ealth/",
    "/health/../sessions",
    "/health;x",
    "/HEALTH",
    "/schema/ui/..%2f..%2fsessions",
    "/page/..%2fsessions",
    "/health%00",
]


@pytest.mark.parametrize("name", ["observability", "documents"])
def test_a_token_counts_where_it_belongs_and_nothing_stands_in_for_it(name: str) -> None:
    nobody: Any = SimpleNamespace(metrics=None)
    callers = Callers(token=Secret(TOKEN))
    guard: Any = (
        observability.guarded(nobody, nobody, nobody, ObservabilitySettings(), callers)
        if name == "observability"
        else Guard(documents.made(nobody, nobody, nobody, DocumentsSettings(), callers, version="0"), callers=callers)
    )
    with TestClient(guard, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        for odd in ODD_PLACES:
            headers = {key: value.encode("latin-1") for key, value in odd.get("headers", {}).items()}
            client.cookies = odd.get("cookies", {})
            for method, path in (
                ("GET", "/metrics"),
                ("POST", "/events"),
                ("POST", "/documents"),
                ("OPTIONS", "/documents"),
            ):
                refused(client.request(method, path, headers=headers, params=odd.get("params")), 401)
        for path in ODD_PATHS:
            assert client.get(path).status_code in (401, 404), path
        assert client.get("/schema/openapi.json", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
        for query in (
            "",
            "?token=",
            f"?token=x&token={TOKEN}",
            f"?Token={TOKEN}",
            f"?token={TOKEN}%00",
            f"?token%5B%5D={TOKEN}",
        ):
            with client.websocket_connect(f"/ws{query}") as socket, pytest.raises(WebSocketDisconnect) as end:
                socket.receive_text()
            assert end.value.code == 1008, query


# What somebody else notices

CALL = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
EMPTY = b"\x89\x80\0\0\0\0"
UPLOAD = (
    b"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=abc\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\n--abc\r\n"
)
ATTACKS = [
    CALL, CALL + b"X: ", CALL + b"\r\n", (CALL + b"\r\n") * 500, b"\0" * 1000, CALL + b"X: y\r\n" * 5000 + b"\r\n", b"GET /" + b"x" * 200_000,
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{", UPLOAD,
    WEBSOCKET, WEBSOCKET + EMPTY * 5000, WEBSOCKET[:-2], CALL + b"Content-Encoding: gzip\r\n\r\n",
]  # fmt: skip


async def attacked(host: str, port: int, seed: int) -> None:
    """Opens connections and does its worst with them, until it is cancelled."""
    chosen = random.Random(seed)
    attacks = itertools.cycle(chosen.sample(ATTACKS, len(ATTACKS)))
    lines: list[asyncio.Transport] = []
    try:
        while True:
            with contextlib.suppress(OSError):
                line, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, port)
                lines.append(line)
                line.write(next(attacks))
                some = chosen.choice(lines)
                if not some.is_closing():
                    some.write(EMPTY * 100 if some is not line else b"x")
            if len(lines) > 300:
                lines.pop(0).abort()
            await asyncio.sleep(0.002)
    finally:
        for line in lines:
            line.abort()
        await asyncio.sleep(0.01)  # until the loop has closed them


@pytest.mark.parametrize("name", ["observability", "documents"])
async def test_who_behaves_is_served_while_another_address_does_its_worst(
    request: pytest.FixtureRequest, name: str
) -> None:
    url = httpx.URL(request.getfixturevalue(f"outside_{name}"))
    attacks = [asyncio.create_task(attacked(url.host, url.port or 0, seed)) for seed in range(3)]
    transport = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=20.0, trust_env=False, transport=transport) as client:
            for number in range(20):
                if name == "observability":
                    answer = await client.post("/events", json={**HOOK, "session_id": f"calm-{number}"})
                    assert answer.json() == {"ok": True}
                    assert (await client.get(f"/sessions/calm-{number}")).status_code == 200
                else:
                    answer = await client.post("/documents", files={"file": (f"calm-{number}.txt", b"calm")})
                    assert answer.status_code == 201
                    assert (await client.get(f"/documents/{answer.json()['id']}")).content == b"calm"
            assert (await client.get("/health")).status_code == 200
            await eventually(lambda: is_told_of(client, name), within_s=30)
            assert not any(one.done() for one in attacks)
    finally:
        for one in attacks:
            one.cancel()
        await asyncio.gather(*attacks, return_exceptions=True)


async def is_told_of(client: httpx.AsyncClient, name: str) -> bool:
    """Whether the numbers of the service show what it is up against."""
    told = (await client.get("/metrics")).text
    reasons = ("malformed", "head_too_large", "url_too_long", "pipelined", "encoded")
    away = all(re.search(rf'benchwire_{name}_turned_away_total{{reason="{reason}"}} [1-9]', told) for reason in reasons)
    return away and bool(re.search(rf'benchwire_{name}_connections{{kind="websocket"}} [1-9]', told))
