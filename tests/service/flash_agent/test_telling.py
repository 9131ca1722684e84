"""What the flash agent says of a job, in the log of the lab and in its own: both name the trace that asked for it."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchwire.events import child, nats_server, tracing
from benchwire.events.bus import Bus
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashFailed, FlashRequested
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import traces

HOST, JOB = "lab-7", "job-1"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CARRIER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


async def test_a_job_and_what_is_said_of_it_name_the_trace_that_asked_for_it(
    nats: nats_server.Server, bus: Bus, log: Log, tmp_path: Path
) -> None:
    """Nobody records spans here: the trace is carried on all the same."""
    image = Artifact(digest="0" * 64, size_bytes=1, name="firmware.bin")
    wanted = FlashRequested(
        timestamp=datetime.now(UTC), host=HOST, job_id=JOB, device="no-such-board", image=image, address=0
    )
    with tracing.within(CARRIER):
        await log.append(wanted)
    settings = {"HOST": HOST, "DATA": str(tmp_path / "data"), "VIRTUAL_DIR": str(tmp_path), "LOG_FORMAT": "json"}
    env = {**os.environ, "NATS_URL": nats.url, **{f"BENCHWIRE_{name}": value for name, value in settings.items()}}
    said = tmp_path / "said"
    with said.open("wb") as stderr:
        async with child.spawn([sys.executable, "-m", "benchwire.flash_agent"], env=env, stderr=stderr, grace_s=5.0):

            async def failed() -> bool:
                return any(
                    [isinstance(one.event, FlashFailed) async for one in log.read([f"bench.flash.{HOST}.{JOB}.*"])]
                )

            await eventually(failed, within_s=30, what="the job to fail")
    assert await traces(bus, f"bench.flash.{HOST}.{JOB}.*") == dict.fromkeys(
        ("requested", "failed"), CARRIER["traceparent"]
    )

    lines: list[dict[str, Any]] = [json.loads(line) for line in said.read_text().splitlines()]
    assert all((one["service"], one["host"]) == ("flash-agent", HOST) for one in lines)
    (told,) = [one for one in lines if one["level"] == "WARNING" and JOB in one["message"]]
    assert (told["job_id"], told["trace_id"]) == (JOB, TRACE)
    assert all("trace_id" not in one for one in lines if one is not told)
