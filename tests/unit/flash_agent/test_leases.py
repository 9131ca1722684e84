"""Leases decided from rows: given what the log holds, this is what a host says next."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from benchwire.events import catalog
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceIdentified, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact, Event, IllegalToken
from benchwire.events.flash import FlashCompleted, FlashFailed, FlashRequested
from benchwire.events.lease import LeaseEvent, LeaseOffered, LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Recorded
from benchwire.flash_agent import commands, lease, queries
from benchwire.flash_agent.lease import Held, Standing
from benchwire.flash_agent.projection import TABLES, apply

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
IMAGE = Artifact(digest="0" * 64, size_bytes=9, name="a.bin")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Host:
    """The rows of one host, as far as it has seen the log."""

    def __init__(self, name: str = "h") -> None:
        self.name = name
        self.seen = 0
        self.db = Database(memory=True)
        for statement in TABLES.split(";"):
            self.db.conn.execute(statement)

    def see(self, sequence: int, event: Event, received_at: datetime | None = None) -> None:
        self.seen = sequence
        if isinstance(event, LeaseEvent) or getattr(event, "host", None) == self.name:
            apply(self.db, Recorded(sequence, f"id-{sequence}", event, received_at or event.timestamp))

    def standing(self) -> Standing:
        return queries.standing(self.db, self.name)


def after(events: Iterable[Event]) -> Standing:
    host = Host()
    for sequence, event in enumerate(events, start=1):
        host.see(sequence, event)
    return host.standing()


def attached(device: str = "d", host: str = "h", profile: str | None = "esp32c3", **labels: str) -> DeviceAttached:
    return DeviceAttached(timestamp=NOW, host=host, device=device, profile=profile, labels=labels)


def asked(lease_id: str, wait_s: float = 100.0, **wanted: object) -> LeaseRequested:
    request = LeaseRequested(
        timestamp=NOW, lease_id=lease_id, holder=f"of {lease_id}", for_s=60.0, wait_until=at(wait_s)
    )
    return msgspec.structs.replace(request, **wanted)


def offered(lease_id: str, device: str = "d", host: str = "h") -> LeaseOffered:
    return LeaseOffered(timestamp=NOW, lease_id=lease_id, host=host, device=device)


def leased(lease_id: str, device: str = "d", until_s: float = 60.0) -> DeviceLeased:
    return DeviceLeased(
        timestamp=NOW, host="h", device=device, lease_id=lease_id, holder=f"of {lease_id}", expires_at=at(until_s)
    )


def released(lease_id: str, device: str = "d") -> DeviceReleased:
    return DeviceReleased(timestamp=NOW, host="h", device=device, lease_id=lease_id)


def job(job_id: str, device: str = "d") -> FlashRequested:
    return FlashRequested(timestamp=NOW, host="h", job_id=job_id, device=device, image=IMAGE, address=0)


def next_of(*events: Event, now_s: float = 0.0) -> Event | None:
    return lease.next_fact(after(events), at(now_s))


def test_a_free_board_is_offered_to_the_oldest_request_and_then_leased_for_as_long_as_was_asked() -> None:
    assert next_of(attached(), asked("l1"), asked("l2")) == offered("l1")
    assert next_of(attached(), asked("l1"), asked("l2"), offered("l1")) == leased("l1")
    assert next_of(attached(), asked("l1"), asked("l2"), offered("l1"), leased("l1")) is None
    assert next_of(attached(), asked("l1"), asked("l2"), offered("l1"), leased("l1"), released("l1")) == offered("l2")


def test_what_another_host_offers_is_left_to_it() -> None:
    assert next_of(attached(), asked("l1"), offered("l1", host="h2")) is None


@pytest.mark.parametrize(
    "events",
    [
        [],
        [attached(), DeviceDetached(timestamp=NOW, host="h", device="d")],
        [attached(), job("j")],
        [attached(), leased("other")],
        [attached(profile="stm32f405")],
        [attached(profile=None)],
        [attached(rack="2", camera="no")],
        [attached(rack="2")],
        [attached("another", rack="2", camera="yes")],
    ],
    ids=[
        "none",
        "unplugged",
        "busy",
        "leased",
        "other kind",
        "unknown kind",
        "label differs",
        "label lacks",
        "other name",
    ],
)
def test_a_board_that_is_not_free_or_not_what_was_asked_for_is_not_offered(events: list[Event]) -> None:
    wanted = asked("l1", device="d", profile="esp32c3", labels={"rack": "2", "camera": "yes"})
    assert next_of(*events, wanted) is None
    assert next_of(attached(rack="2", camera="yes"), wanted) == offered("l1")


def test_a_request_for_another_host_is_not_served_here() -> None:
    assert next_of(attached(), asked("l1", host="h2")) is None
    assert next_of(attached(), asked("l1", host="h")) == offered("l1")


def test_a_board_that_was_identified_is_of_the_kind_that_its_chip_says() -> None:
    found = DeviceIdentified(timestamp=NOW, host="h", device="d", chip="esp32c3", profile="esp32c3")
    wanted = asked("l1", profile="esp32c3")
    assert next_of(attached(profile=None), found, wanted) == offered("l1")
    assert next_of(attached(profile="esp32"), found, wanted) is None  # what a person said of it counts for more
    gone = DeviceDetached(timestamp=NOW, host="h", device="d")
    assert next_of(attached(profile=None), found, gone, attached(profile=None), wanted) is None  # it may be another one


def test_of_boards_that_fit_one_goes_that_others_can_do_without_that_is_whole_and_that_rested_longest() -> None:
    boards = [attached("a"), attached("b"), attached("c")]
    assert next_of(*boards, asked("l1"), asked("l2", device="a")) == offered("l1", "b")
    broke = FlashFailed(timestamp=NOW, host="h", job_id="j", device="a", code="x", error="y", flash_state="partial")
    assert next_of(*boards, job("j", "a"), broke, asked("l1")) == offered("l1", "b")
    assert next_of(*boards, leased("l0", "a"), released("l0", "a"), asked("l1")) == offered("l1", "b")


def test_a_board_counts_as_doubtful_until_a_job_completes() -> None:
    broke = FlashFailed(timestamp=NOW, host="h", job_id="j1", device="d", code="x", error="y", flash_state="partial")
    untouched = FlashFailed(
        timestamp=NOW, host="h", job_id="j2", device="d", code="x", error="y", flash_state="untouched"
    )
    done = FlashCompleted(
        timestamp=NOW, host="h", job_id="j3", device="d", total_bytes=9, duration_s=1.0, verified_by="md5"
    )
    events: list[Event] = [attached(), job("j1"), broke, job("j2"), untouched]
    assert after(events).boards[0].doubtful
    assert not after([*events, job("j3"), done]).boards[0].doubtful


def test_a_lease_that_ran_out_ends_unless_it_was_renewed() -> None:
    over = next_of(attached(), leased("l1", until_s=60), now_s=60)
    assert over == DeviceReleased(timestamp=at(60), host="h", device="d", lease_id="l1", reason=lease.EXPIRED)
    assert next_of(attached(), leased("l1", until_s=60), leased("l1", until_s=90), now_s=60) is None


def test_a_lease_of_a_board_that_is_unplugged_stays_until_it_runs_out() -> None:
    gone = DeviceDetached(timestamp=NOW, host="h", device="d")
    events = [attached(), asked("l1"), offered("l1"), leased("l1"), gone, asked("l2", wait_s=1000)]
    assert next_of(*events) is None
    assert next_of(*events, attached()) is None
    assert isinstance(next_of(*events, now_s=61), DeviceReleased)


def test_who_waited_in_vain_leaves_the_queue() -> None:
    left = next_of(asked("l1", wait_s=10), now_s=10)
    assert left == LeaseWithdrawn(timestamp=at(10), lease_id="l1", reason=lease.NOT_IN_TIME)
    assert next_of(attached(), asked("l1", wait_s=10), offered("l1"), now_s=10) == left


def test_what_was_offered_when_the_agent_died_is_completed_or_taken_back_by_the_next() -> None:
    gone = DeviceDetached(timestamp=NOW, host="h", device="d")
    assert next_of(attached(), asked("l1"), offered("l1"), now_s=5) == msgspec.structs.replace(
        leased("l1", until_s=65), timestamp=at(5)
    )
    taken_back = next_of(attached(), asked("l1"), offered("l1"), gone)
    assert isinstance(taken_back, LeaseWithdrawn)
    assert "unplugged" in taken_back.reason
    taken_back = next_of(attached(), asked("l1"), offered("l1"), leased("other"))
    assert isinstance(taken_back, LeaseWithdrawn)
    assert "of other" in taken_back.reason


def test_a_request_that_is_withdrawn_is_never_leased_and_released_when_it_was() -> None:
    no = LeaseWithdrawn(timestamp=NOW, lease_id="l1", reason="changed my mind")
    assert next_of(attached(), asked("l1"), no) is None
    assert next_of(attached(), asked("l1"), offered("l1"), no) is None
    back = next_of(attached(), asked("l1"), offered("l1"), leased("l1"), no)
    assert back == DeviceReleased(timestamp=NOW, host="h", device="d", lease_id="l1", reason="changed my mind")


def test_a_renewal_that_comes_when_somebody_else_has_the_board_is_of_no_effect() -> None:
    (board,) = after([attached(), leased("l1"), released("l1"), leased("l2"), leased("l1", until_s=999)]).boards
    assert board.held == Held(lease_id="l2", holder="of l2", expires_at=at(60))


def test_how_long_is_said_by_who_asks_and_from_when_by_the_log() -> None:
    """A door whose clock was an hour slow renewed a lease, and it was over at once."""
    slow = timedelta(hours=-1)
    renewal = msgspec.structs.replace(leased("l1"), timestamp=NOW + slow, expires_at=at(300) + slow)
    request = msgspec.structs.replace(asked("l2"), timestamp=NOW + slow, wait_until=at(30) + slow)
    host = Host()
    for sequence, event in enumerate([attached(), leased("l1"), renewal, request], start=1):
        host.see(sequence, event, NOW)
    assert lease.next_fact(host.standing(), at(29)) is None
    assert host.standing().boards[0].held == Held(lease_id="l1", holder="of l1", expires_at=at(300))
    assert lease.due_at(host.standing()) == at(30)


def test_absurd_times_do_not_stop_anything() -> None:
    assert lease.ends_at(datetime.max.replace(tzinfo=UTC), NOW, NOW + timedelta(days=1)) > at(0)
    granted = next_of(attached(), asked("l1", for_s=1e300), offered("l1"))
    assert isinstance(granted, DeviceLeased)
    assert granted.expires_at == at(lease.MAX_LEASE_S)


@pytest.mark.parametrize(
    ("lease_id", "holder", "refused"),
    [("l1", None, False), ("l2", None, True), (None, None, True), (None, "t/n", False), ("l2", "t/n", True)],
)
def test_a_leased_board_is_for_whoever_names_the_lease(lease_id: str | None, holder: str | None, refused: bool) -> None:
    held = Held(lease_id="l1", holder="t/n", expires_at=at(60))
    why = commands.refusal(held, "d", NOW, lease_id=lease_id, holder=holder)
    assert (why is not None) == refused
    assert commands.refusal(held, "d", at(60), lease_id=lease_id, holder=holder) is None
    if why is not None:
        assert why.code == "device_leased"
        assert "d is leased to t/n until 2026-01-17 12:01:00 UTC" in str(why)


# -- of any order of things

BOARDS = {"h1": ("a", "b"), "h2": ("c",)}
PROFILES = {"a": "esp32", "b": "esp32c3", "c": "esp32"}


class Lab:
    """A log that takes guarded facts, two hosts that see it late, and people who ask, renew, give back and leave."""

    def __init__(self) -> None:
        self.now = NOW
        self.log: list[Event] = []
        self.hosts = {name: Host(name) for name in BOARDS}
        for host, boards in BOARDS.items():
            for board in boards:
                self.log.append(attached(board, host, PROFILES[board]))
        self.served: list[str] = []

    def last(self, aggregate: str) -> int:
        places = [
            number
            for number, event in enumerate(self.log, start=1)
            if catalog.aggregate_of(type(event), **catalog.ids_of(event)) == aggregate
        ]
        return max(places, default=0)

    def do(self, step: tuple[str, int, int]) -> None:
        what, which, amount = step
        match what:
            case "ask":
                wanted: dict[str, Any] = [
                    {},
                    {"profile": "esp32"},
                    {"profile": "esp32c3"},
                    {"device": "c"},
                    {"host": "h1"},
                ][which % 5]
                lease_id = f"l{len(self.log)}"
                self.log.append(
                    LeaseRequested(
                        timestamp=self.now, lease_id=lease_id, holder=lease_id, for_s=10.0 + amount,
                        wait_until=self.now + timedelta(seconds=20 + amount), **wanted,
                    )
                )  # fmt: skip
            case "time":
                self.now += timedelta(seconds=amount)
            case "see":
                self._see(list(BOARDS)[which % 2], amount)
            case "decide":
                self._decide(list(BOARDS)[which % 2])
            case "race":
                for host in BOARDS:
                    self._see(host, len(self.log))
                for host in BOARDS:
                    self._decide(host)
            case _:
                self._of_a_holder(what, which, amount)

    def _see(self, host: str, amount: int) -> None:
        rows = self.hosts[host]
        for event in self.log[rows.seen : rows.seen + amount]:
            rows.see(rows.seen + 1, event)

    def _decide(self, host: str) -> None:
        rows = self.hosts[host]
        fact = lease.next_fact(rows.standing(), self.now)
        if fact is not None:
            last = self.last(catalog.aggregate_of(type(fact), **catalog.ids_of(fact)))
            if last <= rows.seen:  # else the log refuses: somebody said something that this host has not seen
                self.log.append(fact)

    def _of_a_holder(self, what: str, which: int, amount: int) -> None:
        held = list(holders(self.log).items())
        if not held:
            return
        (host, device), lease_id = held[which % len(held)]
        named = {"timestamp": self.now, "host": host, "device": device, "lease_id": lease_id}
        if what == "renew":
            until = self.now + timedelta(seconds=amount)
            self.log.append(DeviceLeased(holder=lease_id, expires_at=until, **named))  # type: ignore[arg-type]
        elif what == "release":
            self.log.append(DeviceReleased(**named))  # type: ignore[arg-type]
        else:
            self.log.append(LeaseWithdrawn(timestamp=self.now, lease_id=lease_id, reason="enough"))

    def settle(self) -> None:
        """Everybody sees and does everything, and all that was given runs out, until nothing is left to do."""
        for _ in range(1000):
            before = len(self.log)
            for host in BOARDS:
                self._see(host, len(self.log))
                self._decide(host)
            if len(self.log) == before:
                due = [lease.due_at(rows.standing()) for rows in self.hosts.values()]
                if not any(due):
                    return
                self.now = max(self.now, min(one for one in due if one is not None))
        raise AssertionError("it never comes to rest")


def holders(log: Sequence[Event]) -> dict[tuple[str, str], str]:
    """Who has which board; fails when a board gets a second holder."""
    held: dict[tuple[str, str], str] = {}
    for event in log:
        if isinstance(event, DeviceLeased):
            place = (event.host, event.device)
            assert held.get(place, event.lease_id) == event.lease_id, f"{place} has two holders"
            assert event.lease_id not in {one for key, one in held.items() if key != place}, "one request, two boards"
            held[place] = event.lease_id
        elif isinstance(event, DeviceReleased) and held.get((event.host, event.device)) == event.lease_id:
            del held[event.host, event.device]
    return held


STEPS = st.tuples(
    st.sampled_from(["ask", "ask", "see", "see", "decide", "decide", "race", "time", "renew", "release", "withdraw"]),
    st.integers(0, 9),
    st.integers(0, 15),
)


@settings(deadline=None, max_examples=120)
@given(st.lists(STEPS, max_size=60))
def test_whatever_happens_in_whatever_order_no_board_has_two_holders_and_every_request_ends_once(
    steps: list[tuple[str, int, int]],
) -> None:
    lab = Lab()
    for step in steps:
        lab.do(step)
    lab.settle()
    assert holders(lab.log) == {}
    offers = [one.lease_id for one in lab.log if isinstance(one, LeaseOffered)]
    assert len(offers) == len(set(offers))
    ended = {one.lease_id for one in lab.log if isinstance(one, DeviceReleased | LeaseWithdrawn)}
    assert {one.lease_id for one in lab.log if isinstance(one, LeaseRequested)} <= ended


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS.filter(lambda step: step[0] in ("ask", "release", "time")), max_size=40))
def test_alike_requests_are_served_in_the_order_in_which_they_were_made(steps: list[tuple[str, int, int]]) -> None:
    lab = Lab()
    for step in steps:
        lab.do(("ask", 0, 0) if step[0] == "ask" else step)
        for host in BOARDS:
            lab._see(host, len(lab.log))
            lab._decide(host)
    offers = [one.lease_id for one in lab.log if isinstance(one, LeaseOffered)]
    asks = [one.lease_id for one in lab.log if isinstance(one, LeaseRequested)]
    assert offers == [one for one in asks if one in offers]
    lab.settle()


def test_a_job_of_any_priority_keeps_its_board_busy() -> None:
    job = FlashRequested(timestamp=NOW, host="h", job_id="j", device="d", image=IMAGE, address=0, priority=2**80)
    [board] = after([attached(), job]).boards
    assert board.busy


@pytest.mark.parametrize("event", [asked("not.a.token"), attached("not a token")])
def test_what_is_called_by_no_name_of_which_a_fact_could_be_written_is_put_aside(event: Event) -> None:
    host = Host()
    with pytest.raises(IllegalToken):
        host.see(1, event)
    assert (host.standing().waiting, host.standing().boards) == ([], [])


def test_a_holder_of_any_length_fits_into_the_facts_about_the_lease() -> None:
    holder = "x" * 1_000_000
    request = asked("l", holder=holder)
    fact = lease.next_fact(after([attached(), request, offered("l")]), NOW)
    assert isinstance(fact, DeviceLeased)
    assert (holder.startswith(fact.holder), len(fact.holder)) == (True, lease.MAX_WORDS)
    reason = LeaseWithdrawn(timestamp=NOW, lease_id="l", reason=holder)
    fact = lease.next_fact(after([attached(), request, offered("l"), fact, reason]), NOW)
    assert isinstance(fact, DeviceReleased)
    assert len(fact.reason or "") == lease.MAX_WORDS
