"""What a browser's page of another origin needs of both services: to ask first, to read answers, and to read why it was refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

ORIGINS = ["http://localhost:5173", "http://localhost:3000"]
ELSEWHERE = "https://lab.example"
CALLS = [
    ("outside_observability", "/events", "POST"), ("outside_observability", "/sessions/s/metadata", "PATCH"),
    ("outside_observability", "/sessions/s", "DELETE"), ("outside_observability", "/sessions", "GET"),
    ("outside_documents", "/documents", "POST"), ("outside_documents", "/documents/d", "PATCH"), ("outside_documents", "/documents/d", "DELETE"),
]  # fmt: skip


@pytest.fixture
def client(request: pytest.FixtureRequest, service: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=request.getfixturevalue(service), timeout=20.0, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("service", "path", "method"), CALLS)
def test_a_page_may_ask_whether_it_may_call(client: httpx.Client, path: str, method: str, origin: str) -> None:
    wanted = "authorization, content-type, idempotency-key"
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
    answer = client.options(path, headers=asked)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == origin
    assert method in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in wanted.split(", "))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("service", ["outside_observability", "outside_documents"])
def test_a_page_can_read_why_it_was_refused(client: httpx.Client, origin: str) -> None:
    """A browser hides an answer without these headers, and the person sees no more than that something failed."""
    refusals = [
        client.get("/nothing", headers={"Origin": origin}),
        client.get("/sessions/s-0", headers={"Origin": origin}),
        client.get("/documents/doc_0", headers={"Origin": origin}),
        client.put("/health", headers={"Origin": origin}),
        client.post("/events", content=b"{", headers={"Origin": origin}),
        client.post("/documents", content=b"{", headers={"Origin": origin}),
    ]
    assert {400, 404, 405} <= {answer.status_code for answer in refusals}
    for answer in refusals:
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.json()["detail"]
        assert answer.json()["status_code"] == answer.status_code


@pytest.mark.parametrize("service", ["outside_observability", "outside_documents"])
def test_a_page_from_elsewhere_is_not_let_in(client: httpx.Client) -> None:
    asked = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/events", headers=asked).headers
    assert client.get("/health", headers={"Origin": ELSEWHERE}).headers.get("access-control-allow-origin") is None
    refused = client.post("/events", json={}, headers={"Origin": ELSEWHERE})
    assert (refused.status_code, "benchwire token create" in refused.json()["detail"]) == (403, True)


async def test_which_pages_may_call_and_where_documents_are_can_be_set(
    nats: nats_server.Server, tmp_path: Path
) -> None:
    own = Settings(nats_url=nats.url, data=tmp_path / "o", observability_port=0, cors_origins=(ELSEWHERE,))
    there = {"documents_public_url": "https://files.example/store/", "cors_origins": ELSEWHERE}
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        serving(nats.url, tmp_path / "d", **there) as store,
        httpx.AsyncClient(trust_env=False, timeout=20.0, headers={"Origin": ELSEWHERE}) as page,
    ):
        for answer in (
            await page.get(f"http://127.0.0.1:{port}/sessions"),
            made := await page.post(f"{store.url}/documents", files={"file": ("a", b"x")}),
        ):
            assert answer.is_success
            assert answer.headers["access-control-allow-origin"] == ELSEWHERE
        assert made.json()["url"] == f"https://files.example/store/documents/{made.json()['id']}"


@pytest.mark.parametrize("service", ["outside_observability", "outside_documents"])
def test_whatever_can_be_got_has_a_head(client: httpx.Client) -> None:
    """Also of what is not there; a stream without end is left out, since its GET would not return."""
    for path, methods in client.get("/schema/openapi.json").json()["paths"].items():
        if "get" in methods and not path.endswith("/stream"):
            here = re.sub(r"\{\w+\}", "x", path)
            head, whole = client.head(here), client.get(here)
            assert (head.status_code, head.content) == (whole.status_code, b""), here
            assert head.headers["content-type"] == whole.headers["content-type"], here
