"""Calls are counted by route, method and status, and nothing that a client makes up becomes a label."""

import logging
from typing import Any, cast

import pytest
from litestar.types import ASGIApp
from prometheus_client.parser import text_string_to_metric_families

from benchwire.events import tracing
from benchwire.events.log import Append
from benchwire.web.metrics import Metrics
from benchwire.web.observed import Observed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
Scope = dict[str, Any]


def answering(status: int, *, template: str | None = None, said: list[str | None] | None = None) -> ASGIApp:
    async def app(scope: Any, _: Any, send: Any) -> None:
        if template is not None:
            scope["path_template"] = template
        if said is not None:
            said.append(tracing.known().get("trace_id"))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return cast("ASGIApp", app)


async def called(
    app: Any, method: str = "GET", path: str = "/", headers: list[tuple[bytes, bytes]] | None = None
) -> int:
    sent: list[Scope] = []

    async def send(message: Scope) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": headers or []}, None, send)
    return len(sent)


async def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families((await metrics.text()).decode())
    return {
        " ".join(
            [one.name.removeprefix("benchwire_x_"), *(value for _, value in sorted(one.labels.items()))]
        ): one.value
        for family in families
        for one in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("x", version="1.2.3")


async def test_a_call_counts_once_however_its_answer_comes(metrics: Metrics) -> None:
    app = Observed(answering(201, template="/things/{id}"), metrics)
    for number in range(3):
        assert await called(app, "POST", f"/things/{number}") == 2
    found = await samples(metrics)
    assert found["http_requests_total POST /things/{id} 201"] == 3
    assert found["http_request_duration_seconds_count POST /things/{id}"] == 3
    assert found["build_info 1.2.3"] == 1


async def test_paths_and_methods_that_nobody_serves_share_a_label(metrics: Metrics) -> None:
    app = Observed(answering(404), metrics)
    for number in range(20):
        await called(app, f"MADEUP{number}", f"/made/up/{number}")
    found = await samples(metrics)
    assert found["http_requests_total other unmatched 404"] == 20
    assert len(app._known) == 1
    assert not any("MADEUP" in name or "/made" in name for name in found)


async def test_a_call_without_an_answer_is_not_counted_and_its_error_goes_on(metrics: Metrics) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        await called(Observed(cast("ASGIApp", broken), metrics))
    assert not any(name.startswith("http_requests") for name in await samples(metrics))


async def test_a_call_belongs_to_the_trace_it_came_with_and_the_next_one_does_not(metrics: Metrics) -> None:
    said: list[str | None] = []
    app = Observed(answering(200, said=said), metrics)
    await called(app, headers=[(b"host", b"x"), (b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())])
    await called(app, headers=[(b"host", b"x")])
    await called(app, headers=[(b"traceparent", b"\xff\x00")])
    assert said == [TRACE, None, None]


async def test_a_call_that_starts_inside_of_another_ones_trace_leaves_it(metrics: Metrics) -> None:
    """A server may start the next call of a connection in the context of the one before."""
    said: list[str | None] = []
    with tracing.within({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}):
        await called(Observed(answering(200, said=said), metrics))
    assert said == [None]


async def test_at_debug_each_call_is_a_line_without_its_query(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    app = Observed(answering(200, template="/ws"), metrics)
    await called(app, path="/ws")
    assert caplog.messages == []
    caplog.set_level(logging.DEBUG, "benchwire.web.observed")
    await called(app, path="/ws")
    (line,) = caplog.messages
    assert line.startswith("GET /ws 200 in ")


async def test_appends_are_counted_by_outcome_and_only_acknowledged_ones_are_timed(metrics: Metrics) -> None:
    for outcome in ("acknowledged", "acknowledged", "unavailable"):
        metrics.appended(Append("message", outcome, 0.002))
    found = await samples(metrics)
    assert found["appends_total message acknowledged"] == 2
    assert found["appends_total message unavailable"] == 1
    assert found["append_ack_seconds_count"] == 2


async def test_a_reading_that_fails_leaves_the_others_alone(metrics: Metrics) -> None:
    async def broken() -> list[Any]:
        raise TimeoutError

    async def fine() -> list[Any]:
        return [metrics.one("boards", "Boards there are.", 3)]

    metrics.reads(broken)
    metrics.reads(fine)
    assert (await samples(metrics))["boards"] == 3
