"""Whether all of the demo happened, judged by the events alone. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from benchwire.deploy.demo_task import Expected
from benchwire.events.event import Event
from benchwire.events.flash import FlashCompleted, FlashRequested, FlashStarted
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.events.task import (
    NodeCompiled,
    NodeDeploying,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSucceeded,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
)

Kind = TypeVar("Kind")

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Check(Struct, frozen=True):
    """One thing that had to happen; ``what`` names it, ``detail`` is what was seen, or what was missing."""

    what: str
    passed: bool
    detail: str


class _Seen:
    """The events of one task, and of one of its nodes."""

    def __init__(self, events: Sequence[Event], task_id: str, node_id: str) -> None:
        self.events = events
        ours = [one for one in events if getattr(one, "task_id", None) == task_id]
        self.node = [one for one in ours if getattr(one, "node_id", None) == node_id]
        self.deploying = _last(one for one in self.node if isinstance(one, NodeDeploying))
        job_id = self.deploying.job_id if self.deploying else None
        self.job = [one for one in events if job_id is not None and getattr(one, "job_id", None) == job_id]


def checks(events: Sequence[Event], task_id: str, nodes: Sequence[Expected]) -> list[Check]:
    """Every check on the task ``task_id``, in the order in which things happen; the demo succeeded when all passed."""
    found = []
    for node in nodes:
        seen = _Seen(events, task_id, node.node_id)
        of_node = (_retries(seen, node), _built(seen), _simulated(seen), _stored(seen), _started(seen))
        of_board = (_progress(seen), _completed(seen), _heard(seen, node), _succeeded(seen))
        found += [Check(f"{node.node_id}: {one.what}", one.passed, one.detail) for one in (*of_node, *of_board)]
    return [*found, _finished(events, task_id)]


def _retries(seen: _Seen, node: Expected) -> Check:
    stages = tuple(one.stage for one in seen.node if isinstance(one, NodeRetried))
    told = ", ".join(stages) or "none"
    if node.retries is None:
        return Check("tries that did not pass", passed=True, detail=told)
    wanted = ", ".join(node.retries)
    passed = stages == node.retries
    return Check("retried as scripted", passed, told if passed else f"{told}; not {wanted}")


def _built(seen: _Seen) -> Check:
    last = _last(one for one in seen.node if isinstance(one, NodeCompiled))
    if last is None or not last.ok:
        return Check(
            "builds", passed=False, detail="the compiler was not run" if last is None else "the last build failed"
        )
    fits = 0 < last.flash_bytes <= last.flash_limit_bytes and last.ram_bytes <= last.ram_limit_bytes
    sizes = f"{last.flash_bytes} bytes of flash, {last.ram_bytes} of RAM"
    return Check("builds", fits, sizes if fits else f"{sizes} are not within the board's limits")


def _simulated(seen: _Seen) -> Check:
    last = _last(one for one in seen.node if isinstance(one, NodeSimulated))
    if last is None:
        return Check("simulated", passed=False, detail="the simulator was not run")
    held = sum(one.passed for one in last.assertions)
    passed = last.ok and held == len(last.assertions) > 0
    return Check("simulated", passed, f"{last.outcome}, {held} of {len(last.assertions)} assertions hold")


def _stored(seen: _Seen) -> Check:
    stored = _last(one for one in seen.node if isinstance(one, NodeImageStored))
    if stored is None:
        return Check("image stored", passed=False, detail="no image was stored")
    image = stored.image
    passed = bool(_SHA256.fullmatch(image.digest)) and image.size_bytes > 0
    return Check("image stored", passed, f"{image.size_bytes} bytes, sha256 {image.digest[:12]}")


def _started(seen: _Seen) -> Check:
    stored = _last(one for one in seen.node if isinstance(one, NodeImageStored))
    requested = _last(one for one in seen.job if isinstance(one, FlashRequested))
    started = _last(one for one in seen.job if isinstance(one, FlashStarted))
    if seen.deploying is None or requested is None or started is None:
        return Check(
            "flash started", passed=False, detail="no flash job was " + ("started" if requested else "requested")
        )
    if stored is None or requested.image.digest != stored.image.digest:
        return Check("flash started", passed=False, detail="what was flashed is not the stored image")
    return Check("flash started", passed=True, detail=f"{started.device} with {started.driver}")


def _progress(seen: _Seen) -> Check:
    samples = [one for one in seen.job if isinstance(one, FlashProgress)]
    passed = any(one.done_bytes > 0 for one in samples)
    return Check(
        "flash progress seen", passed, f"{len(samples)} samples" + ("" if passed else ", none of them measured")
    )


def _completed(seen: _Seen) -> Check:
    done = _last(one for one in seen.job if isinstance(one, FlashCompleted))
    if done is None:
        return Check("flashed and verified", passed=False, detail="the flash job did not complete")
    passed = bool(done.verified_by)
    told = f"{done.total_bytes} bytes, {done.verified_by or 'nothing was verified'}"
    return Check("flashed and verified", passed, told)


def _heard(seen: _Seen, node: Expected) -> Check:
    lines = [one.line for one in seen.job if isinstance(one, SerialLine)]
    found = next((line for line in lines if node.line in line), None)
    what = "the board prints it"
    if found is None:
        return Check(what, passed=False, detail=f"{node.line!r} is not in the {len(lines)} lines after that flash job")
    return Check(what, passed=True, detail=found)


def _succeeded(seen: _Seen) -> Check:
    done = _last(one for one in seen.node if isinstance(one, NodeSucceeded))
    return Check("succeeded", done is not None, f"after {done.iterations} tries" if done else "it did not")


def _finished(events: Sequence[Event], task_id: str) -> Check:
    for one in events:
        match one:
            case TaskFinished(task_id=ours) if ours == task_id:
                return Check("task finished", passed=True, detail=f"in {one.duration_s:.1f} s")
            case TaskFailed(task_id=ours) if ours == task_id:
                return Check("task finished", passed=False, detail=f"it failed: {one.reason}")
            case TaskCancelled(task_id=ours) if ours == task_id:
                return Check("task finished", passed=False, detail="it was cancelled")
            case _:
                continue
    return Check("task finished", passed=False, detail="it did not end in time")


def _last(events: Iterable[Kind]) -> Kind | None:
    return next(reversed(list(events)), None)
