"""A lab's boards: find them, have one to oneself, flash it, listen to it. Its tasks and sessions are at hand, too."""

import os
import time
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from benchwire.client.errors import FlashFailed, NoBoard, NoLab, Refused
from benchwire.client.http import Http
from benchwire.client.image import Image, form_of
from benchwire.client.keeping import kept
from benchwire.client.listening import Listener
from benchwire.client.patience import AGAIN_S, NOT_NOW, patiently
from benchwire.client.records import Answer, Device, Frame, Job, Lease, Line
from benchwire.client.sessions import Sessions
from benchwire.client.tasks import Tasks

DEFAULT_URL = "http://127.0.0.1:8765"
LEASE_S = 900.0
LONGEST_CALL_S = 25.0  # of a call that waits; the lab allows 30
LOOK_AGAIN_S = 5.0

_START = "/api/flash/start"
_CONFLICT = 409
_MAY_STILL_BEGIN_S = 0.5
_LAST_FRAMES = ("flash_completed", "flash_failed", "flash_cancelled")

Labels = Mapping[str, str]


class Lab:
    """The lab at ``url`` (``BENCHWIRE_URL``, else this machine), with the token in ``BENCHWIRE_TOKEN``.

    Every method raises ``NoLab`` when nobody answers and ``Refused`` with the lab's own sentence when it says no.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._http = Http(
            url or os.environ.get("BENCHWIRE_URL") or DEFAULT_URL,
            os.environ.get("BENCHWIRE_TOKEN", "") if token is None else token,
        )
        self.tasks = Tasks(self._http)
        self.sessions = Sessions(self._http)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # -- boards

    def devices(
        self,
        *,
        profile: str | None = None,
        labels: Labels | None = None,
        state: str | None = None,
        host: str | None = None,
    ) -> list[Device]:
        """The boards that are plugged in, on all hosts, by host and name."""
        told = self._http.get(
            "/api/devices", profile=profile, label=_pairs(labels or {}) or None, state=state, host=host
        )
        return msgspec.convert(told["devices"], list[Device])

    def device(self, name: str, host: str | None = None) -> Device:
        """One board, by its name or by its port."""
        if "/" in name:
            found = [one for one in self.devices(host=host) if one.port == name]
            if len(found) == 1:
                return found[0]
        return msgspec.convert(self._http.get(f"/api/devices/{_segment(name)}", host=host)["device"], Device)

    def reset(self, name: str, *, host: str | None = None, mode: str = "run", lease_id: str | None = None) -> None:
        """Pulls the board's reset line; with ``mode`` ``download`` it stays in its loader."""
        self._http.post(f"/api/devices/{_segment(name)}/reset", {"mode": mode, "lease_id": lease_id}, host=host)

    # -- leases

    def lease(self, holder: str, *, patience_s: float = 0.0, **wanted: Any) -> Lease:
        """A board for ``holder`` alone, waited for in the lab's queue for ``patience_s``, also over a restart of the lab. Raises ``NoBoard``.

        ``wanted`` as in ``requested``.
        """
        end = time.monotonic() + patience_s
        lease = self.requested(holder, patience_s=patience_s, **wanted)
        try:
            while lease.state == "waiting" and (left := end - time.monotonic()) > 0:
                lease = patiently(lambda: self.one_lease(lease.lease_id, min(left, LONGEST_CALL_S)), within_s=left)  # noqa: B023 - called here
        except BaseException:
            with suppress(NoLab, Refused):  # what went wrong first is what has to be told
                self.release(lease.lease_id)
            raise
        if lease.state != "held":
            self.release(lease.lease_id)
            raise NoBoard(lease.reason or f"no board that fits came free within {patience_s:g} s")
        return lease

    def requested(
        self, holder: str, *, device: str | None = None, host: str | None = None, profile: str | None = None,
        labels: Labels | None = None, for_s: float = LEASE_S, patience_s: float = 0.0,
    ) -> Lease:  # fmt: skip
        """A lease that is held at once, or waits in the lab's queue for ``patience_s``. Raises ``NoBoard`` when it cannot be had."""
        asked = {
            "holder": holder, "device_id": device, "host": host, "profile": profile, "labels": dict(labels or {}), "for_s": for_s,
            "wait_s": 0.0, "patience_s": patience_s,  # its id is needed soon: to wait on when the lab restarts, and to leave the queue
        }  # fmt: skip
        try:
            return self._lease_of(self._http.post("/api/leases", asked))
        except Refused as error:
            if error.status_code != _CONFLICT:
                raise
            raise NoBoard(str(error)) from error

    def one_lease(self, lease_id: str, wait_s: float = 0.0) -> Lease:
        """A lease; one that waits is told of once that has changed, after ``wait_s`` at the latest."""
        return self._lease_of(self._http.get(f"/api/leases/{_segment(lease_id)}", wait_s=wait_s))

    @contextmanager
    def leased(self, holder: str, *, for_s: float = LEASE_S, **wanted: Any) -> Iterator[Lease]:
        """The same, renewed for the time of the context and given back after it."""
        lease = self.lease(holder, for_s=for_s, **wanted)
        with ExitStack() as stack:
            stack.callback(self.release, lease.lease_id)
            stack.enter_context(kept(lambda: self.renew(lease.lease_id, for_s), every_s=for_s / 3))
            yield lease

    def leases(self, **query: str | None) -> list[Lease]:
        """Leases, and requests for one, newest first; ``query`` as in ``GET /api/leases``."""
        return msgspec.convert(self._http.get("/api/leases", **query)["leases"], list[Lease])

    def renew(self, lease_id: str, for_s: float = LEASE_S) -> Lease:
        """The lease, good for ``for_s`` from now on."""
        return self._lease_of(self._http.post(f"/api/leases/{_segment(lease_id)}/renew", {"for_s": for_s}))

    def release(self, lease_id: str) -> None:
        """Gives the board back, or leaves the queue; of a lease that is over there is nothing to give back."""
        self._http.delete(f"/api/leases/{_segment(lease_id)}")

    @staticmethod
    def _lease_of(told: dict[str, Any]) -> Lease:
        return msgspec.convert(told["lease"], Lease)

    # -- flashing

    def start_flash(self, images: Iterable[Image], **asked: Any) -> Job:
        """Queues a job; ``asked`` are the fields of ``POST /api/flash/start`` beside the files. Ctrl-C meanwhile cancels what it began.

        Without images the firmware is one that the lab has: ``document_id`` or ``artifact_id``.
        """
        key = uuid.uuid4().hex
        try:
            job_id = str(self._begun(list(images), asked, key)["jobId"])
            return patiently(lambda: self.job(job_id))
        except KeyboardInterrupt:
            self._take_back(key)
            raise

    def _begun(self, images: Sequence[Image], asked: dict[str, Any], key: str) -> dict[str, Any]:
        if not images:
            return self._http.post(_START, asked, key=key)
        asked["label"] = _pairs(asked.pop("labels", None) or {})
        with form_of(images) as (files, placed):
            return self._http.upload(_START, files, {**asked, **placed}, key=key)

    def _take_back(self, key: str) -> None:
        """Cancels the job of a call that was broken off. Under the same key the lab tells which that is; without firmware it begins none."""
        for wait_s in (0.0, _MAY_STILL_BEGIN_S):
            time.sleep(wait_s)
            with suppress(NoLab, Refused):
                self.steer(str(self._http.post(_START, key=key)["jobId"]), "cancel")
                return

    def watch(self, job_id: str) -> Generator[Frame, None, None]:
        """What is said of a job on ``/flash-progress``, until it is over; a connection that breaks, as when the lab restarts, is made again."""
        address = f"{self._http.ws_url}/flash-progress/{_segment(job_id)}"
        while True:
            try:
                with connect(address, additional_headers=self._http.headers, proxy=None) as socket:
                    while not self.job(job_id).is_over:
                        try:
                            for text in _until_silent(socket):
                                frame = msgspec.json.decode(text, type=Frame)
                                yield frame
                                if frame.get("type") in _LAST_FRAMES:
                                    return
                        except TimeoutError:
                            continue
                    return
            except (WebSocketException, OSError, NoLab, Refused) as error:
                if isinstance(error, InvalidStatus) and error.response.status_code < NOT_NOW:
                    raise NoLab(f"{self.url} refuses the connection: {error}") from error
            if patiently(lambda: self.job(job_id)).is_over:
                return
            time.sleep(AGAIN_S)

    def flash(self, images: Iterable[Image], **asked: Any) -> Job:
        """Flashes, and returns when the job is over. Raises ``FlashFailed`` when the image is not on the board, verified. Ctrl-C cancels it."""
        job = self.start_flash(images, **asked)
        try:
            for _ in self.watch(job.job_id):
                pass
        except KeyboardInterrupt:
            with suppress(NoLab, Refused):
                self.steer(job.job_id, "cancel")
            raise
        return verified(patiently(lambda: self.job(job.job_id)))

    def job(self, job_id: str) -> Job:
        """A flash job."""
        return msgspec.convert(self._http.get(f"/api/flash/jobs/{_segment(job_id)}"), Job)

    def jobs(self, **query: Any) -> list[Job]:
        """Flash jobs, newest first; ``query`` as in ``GET /api/flash/jobs``."""
        return msgspec.convert(self._http.get("/api/flash/jobs", **query)["jobs"], list[Job])

    def analytics(self, **query: Any) -> dict[str, Any]:
        """How flashing went; ``query`` as in ``GET /api/flash/analytics``."""
        return self._http.get("/api/flash/analytics", **query)

    def steer(self, job_id: str, wish: str) -> str:
        """Asks a job to ``pause``, ``resume`` or ``cancel``; its status."""
        return str(self._http.post(f"/api/flash/jobs/{_segment(job_id)}/{wish}")["status"])

    def throttle(self, job_id: str, max_bytes_per_s: int | None) -> None:
        """Asks a job to write no faster; None lifts the limit."""
        # Null has to be sent here: a limit that is not named is not lifted.
        self._http.post_exactly(f"/api/flash/jobs/{_segment(job_id)}/throttle", {"max_bytes_per_s": max_bytes_per_s})

    # -- serial

    def write(self, name: str, *, host: str | None = None, **asked: Any) -> Answer:
        """Writes to a board, waits for what it prints, or both; ``asked`` as in ``POST /api/devices/{id}/serial``."""
        return msgspec.convert(self._http.post(f"/api/devices/{_segment(name)}/serial", asked, host=host), Answer)

    def printed(self, name: str, *, host: str | None = None, limit: int = 100) -> list[Line]:
        """The last lines that a board printed, of those that the lab still keeps, oldest first."""
        told = self._http.get(f"/api/devices/{_segment(name)}/serial", host=host, limit=limit)
        return msgspec.convert(told["lines"], list[Line])

    def listening(self, name: str, host: str | None = None) -> Listener:
        """What the board prints from now on; a context manager."""
        where = f"?host={quote(host, safe='')}" if host else ""
        return Listener(f"{self._http.ws_url}/ws/serial/{_segment(name)}{where}", self._http.headers)


def verified(job: Job) -> Job:
    """``job``, if its image is on the board. Raises ``FlashFailed`` with the lab's sentence."""
    if job.status == "completed":
        return job
    holds = f"; the flash is {job.flash_state.replace('_', ' ')}" if job.flash_state else ""
    raise FlashFailed(f"{job.device_id} was not flashed ({job.status}): {job.error or 'no reason given'}{holds}")


def _until_silent(socket: Any) -> Iterator[str]:
    while True:
        yield str(socket.recv(timeout=LOOK_AGAIN_S))


def _segment(name: str) -> str:
    return quote(name, safe="")


def _pairs(labels: Labels) -> list[str]:
    return [f"{key}={value}" for key, value in labels.items()]
