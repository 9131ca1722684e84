"""A trace that comes in goes on, although nobody here records spans."""

import asyncio
import subprocess
import sys

import pytest

from benchwire.events import child, tracing
from benchwire.events.settings import InvalidSettings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARRIER = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}


def carried() -> dict[str, str]:
    headers: dict[str, str] = {}
    with tracing.sending("append", "task_requested", headers):
        return headers


def test_what_is_sent_during_work_carries_the_trace_that_asked_for_it() -> None:
    with tracing.work("handle", CARRIER, task_id="t-1"), tracing.span("node"):
        assert carried() == CARRIER
        assert tracing.known()["trace_id"] == TRACE
    assert carried() == {}
    assert tracing.known() == {}


def test_work_without_a_trace_does_not_take_that_of_whoever_started_it() -> None:
    async def scenario() -> None:
        async def other() -> None:
            with tracing.work("handle", None, job_id="j-1"):
                assert carried() == {}
                assert tracing.known() == {"job_id": "j-1"}

        with tracing.work("handle", CARRIER, task_id="t-1"):
            await asyncio.create_task(other())
            assert carried() == CARRIER

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "value", ["", "00", "00-0-0-00", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", "x" * 5000, "é", f"{TRACE}"]
)
def test_a_header_that_is_none_is_passed_over(value: str) -> None:
    with tracing.work("handle", {"traceparent": value}):
        assert carried() == {}


def test_a_state_that_is_longer_than_the_standard_allows_is_left_behind() -> None:
    with tracing.work("handle", CARRIER | {"tracestate": "a=" + "b" * 600}):
        assert carried() == {"traceparent": CARRIER["traceparent"]}


def test_a_moment_of_other_work_belongs_to_that() -> None:
    with tracing.within(CARRIER, job_id="j-1"):
        assert carried() == CARRIER
        assert tracing.known()["job_id"] == "j-1"
    assert carried() == {}


def test_a_way_to_export_that_nobody_knows_is_refused() -> None:
    with (
        pytest.raises(InvalidSettings, match="it must be otlp or off, not 'zipkin'"),
        tracing.exported("x", {"BENCHWIRE_TRACING": "zipkin"}),
    ):
        pass


def test_without_its_packages_a_service_says_in_one_line_what_to_install() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from benchwire.events import service\n"
        "async def serve(): raise AssertionError\n"
        "service.run('agent', serve)"
    )
    ended = subprocess.run(
        child.dying_with_owner([sys.executable, "-c", code]),
        env={"BENCHWIRE_TRACING": "otlp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert "install benchwire-events[tracing]" in line
