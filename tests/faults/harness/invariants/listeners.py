"""Who listens on a WebSocket, leaves and comes back hears everything, once and in order."""

from collections.abc import Iterable, Sequence

import httpx
import msgspec

from benchwire.events.catalog import subject_of
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.log import Recorded

from .finding import Finding

_LAST_PART = 9  # of all frames of one place


class Heard(msgspec.Struct, kw_only=True):
    """What one client of a ``/ws`` heard, over all its connections, each of which began at the ``place`` where the last one had ended.

    ``began`` is the sequence after which it was told everything, ``told`` are those of the facts that it was told. ``starts_over`` counts the
    times it was told how things stand instead of what it missed, which is what a service may do when that is too much.
    """

    name: str
    place: str = "0"
    began: int = 0
    last: tuple[int, int] = (0, 0)
    told: set[int] = set()
    again: list[str] = []
    frames: int = 0
    connections: int = 0
    starts_over: int = 0

    def note(self, place: tuple[int, int], *, tells: bool) -> None:
        """A frame came; ``tells`` says whether it is the one that tells the fact at this place."""
        self.frames += 1
        if place <= self.last:
            self.again.append(f"{place} after {self.last}")
        self.last = place
        if tells:
            self.told.add(place[0])

    def start_over(self, place: str, sequence: int) -> None:
        """It was told how things stand after ``sequence``."""
        self.starts_over += 1
        self.place, self.began, self.last = place, sequence, (sequence, _LAST_PART)
        self.told.clear()


def missed_nothing(of: str, due: Iterable[int], heard: Sequence[Heard]) -> Finding:
    """Clients of ``of`` that came back with ``since`` were told everything that is ``due``, up to the last frame they had, in order and once."""
    wrong = []
    everything = set(due)
    for client in heard:
        missed = sorted(one for one in everything - client.told if client.began < one <= client.last[0])
        if missed:
            wrong.append(f"{client.name} never heard of {len(missed)} of {len(everything)}: {missed[:5]}")
        if client.again:
            wrong.append(f"{client.name} heard {len(client.again)} frames twice or out of order: {client.again[:3]}")
    figures = {
        "clients": len(heard),
        "frames": sum(one.frames for one in heard),
        "connections": sum(one.connections for one in heard),
        "starts over": sum(one.starts_over for one in heard),
    }
    return Finding(
        invariant=f"clients of {of} that reconnect with since missed nothing, and heard nothing twice",
        figures=figures,
        wrong=wrong,
    )


def due_on_observability(facts: Sequence[Recorded], shown: Iterable[int]) -> set[int]:
    """What clients of all of observability's ``/ws`` are told: the events that sessions show (see ``events_shown``), and every other fact."""
    return set(shown) | {one.sequence for one in facts if not subject_of(one.event).startswith("bench.session.")}


def due_on_documents(facts: Sequence[Recorded]) -> set[int]:
    """What clients of documents' ``/ws`` are told in any case. A change of what is gone by now is told by its end alone."""
    return {one.sequence for one in facts if isinstance(one.event, DocumentCreated | DocumentDeleted)}


async def events_shown(http: httpx.AsyncClient) -> set[int]:
    """The ids of all events that sessions have, as ``GET /sessions/{id}/events`` lists them."""
    listed = (await http.get("/sessions")).raise_for_status().json()["sessions"]
    found: set[int] = set()
    for session in listed:
        answer = await http.get(f"/sessions/{session['session_id']}/events")
        found |= {int(one["id"]) for one in answer.raise_for_status().json()["events"]}
    return found
