"""Boards, leases and flash jobs: what is decided, what becomes of it in rows, and what can be learned from many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from benchwire.events.device import (
    DeviceAttached,
    DeviceHandled,
    DeviceIdentified,
    DeviceLeased,
    DeviceReleased,
)
from benchwire.events.event import Artifact
from benchwire.events.flash import (
    FlashCancelled,
    FlashCompleted,
    FlashFailed,
    FlashPart,
    FlashPaused,
    FlashPauseDeferred,
    FlashReported,
    FlashRequested,
    FlashRetried,
    FlashStarted,
    FlashThrottled,
)
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn
from benchwire.observability import commands, errors, queries
from benchwire.observability.commands import Candidate
from benchwire.observability.lease import Board, Wish, fits, places
from benchwire.observability.session import iso
from benchwire.observability.testing import put
from benchwire.observability.wire import flashing
from benchwire.observability.wire.devices import device_view
from benchwire.observability.wire.faces import reports
from benchwire.observability.wire.flashing import StartFlash, StartPart
from benchwire.observability.wire.leasing import AskLease

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
IMAGE = Artifact(digest="0" * 64, size_bytes=4096, name="a.bin")


def of(job_id: str, device: str = "d", host: str = "h") -> dict[str, Any]:
    return {"timestamp": AT, "host": host, "job_id": job_id, "device": device}


def requested(job_id: str, **more: Any) -> FlashRequested:
    return FlashRequested(**{**of(job_id), "image": IMAGE, "address": 0, **more})


def begun(job_id: str, attempt: int = 1) -> FlashStarted:
    return FlashStarted(**of(job_id), total_bytes=4096, driver="pyocd", attempt=attempt)


def failed(job_id: str, flash_state: str, code: str = "cable") -> FlashFailed:
    return FlashFailed(**of(job_id), code=code, error="the cable", flash_state=flash_state)


def completed(job_id: str, duration_s: float = 2.0) -> FlashCompleted:
    return FlashCompleted(**of(job_id), total_bytes=4096, duration_s=duration_s, verified_by="crc")


def flashed(asked: StartFlash, board: str | None = "stm32f405", *addresses: int | None) -> FlashRequested:
    images = [(IMAGE, address) for address in addresses or (None,)]
    return commands.request_flash(job_id="job_1", host="h", device="d", board=board, images=images, asked=asked, now=AT)


# Asking for a flash


def test_firmware_goes_where_its_board_wants_it_unless_somebody_says_otherwise() -> None:
    assert flashed(StartFlash()).address == 0x0800_0000
    assert flashed(StartFlash(), "esp32c3").address == 0
    assert flashed(StartFlash(address="0x8004000")).address == 0x0800_4000
    assert flashed(StartFlash(format="elf"), None).address == 0
    by_name = flashed(StartFlash(partition="ota_0", address=7))
    assert (by_name.partition, by_name.address) == ("ota_0", 0)
    with pytest.raises(errors.Unusable, match="say where"):
        flashed(StartFlash(), None)


def test_several_files_need_an_address_each() -> None:
    asked = flashed(StartFlash(), "esp32c3", 0, 0x10000)
    assert asked.parts == [FlashPart(image=IMAGE, address=0), FlashPart(image=IMAGE, address=0x10000)]
    assert (asked.image, asked.address) == (IMAGE, 0)
    with pytest.raises(errors.Unusable, match="say where"):
        flashed(StartFlash(), "esp32c3", 0, None)
    with pytest.raises(errors.Unusable, match="partition"):
        flashed(StartFlash(partition="nvs"), "esp32c3", 0, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"priority": 11}, {"priority": -11}, {"retries": 6}, {"retries": -1}, {"timeout_s": 0}, {"timeout_s": float("inf")},
        {"max_bytes_per_s": 0}, {"address": "there"}, {"address": -1}, {"address": 1 << 32}, {"partition": "x" * 33},
        {"lease_id": "a.b"}, {"session_id": ""}, {"options": {"flash_size": "4 MB"}},
    ],
)  # fmt: skip
def test_what_no_flasher_could_do_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises((errors.Unusable, ValueError), match=next(iter(asked))):
        flashed(msgspec.convert(asked, StartFlash))


def test_a_form_and_a_query_say_the_same_as_json() -> None:
    form = [
        ("deviceId", "lab-1/d"), ("address", "0x1000"), ("priority", "3"), ("timeout_s", "2.5"), ("label", "rack=2"), ("labels", "camera=yes"),
        ("options.erase", "chip"), ("options.compress", "false"), ("partition", ""), ("unknown", ""),
        ("parts", '[{"address": 1, "document_id": "doc_1"}]'),
    ]  # fmt: skip
    asked = flashing.of_fields(form)
    assert (asked.device_id, asked.priority, asked.timeout_s) == ("lab-1/d", 3, 2.5)
    assert flashing.address_of(asked.address or 0) == 0x1000
    assert asked.labels == {"rack": "2", "camera": "yes"}
    assert (asked.options.erase, asked.options.compress, asked.partition) == ("chip", False, None)
    assert asked.parts == [StartPart(address=1, document_id="doc_1")]
    both = flashing.of_fields([("options", '{"erase": "chip"}'), ("options.stub", "false")]).options
    assert (both.erase, both.stub) == ("chip", False)
    for wrong in (("label", "rack"), ("priority", "high"), ("parts", "["), ("options", "[1]"), ("options", "null")):
        with pytest.raises((errors.Unusable, msgspec.ValidationError)):
            flashing.of_fields([wrong, ("options.stub", "false")])


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("retreis", "3", "retreis: .*retries"), ("options.compres", "false", "options.compres: .*options.compress"),
        ("options", '{"erase": "chip", "compres": false}', "options.compres: "), ("device_id_camel", "a", "device_id_camel: "),
    ],
)  # fmt: skip
def test_a_field_that_nobody_knows_is_refused_and_named(name: str, value: str, named: str) -> None:
    """It was passed over, and a board was flashed without what somebody had mistyped."""
    with pytest.raises(errors.Unusable, match=named):
        flashing.of_fields([("device_id", "a"), (name, value)])


def test_what_the_body_says_goes_before_what_the_query_says() -> None:
    query = flashing.of_fields([("device_id", "a"), ("partition", "app")])
    body = flashing.of_json(b'{"deviceId": "b", "priority": 2}')
    both = flashing.merged(body, query)
    assert (both.device_id, both.partition, both.priority) == ("b", "app", 2)
    assert flashing.of_json(b" ").device_id is None


def candidate(device: str, **more: Any) -> Candidate:
    made = {"host": "h", "device": device, "is_up": True, "holder": None, "jobs": 0, "jobs_of_host": 0}
    return Candidate(**{**made, **more})


def test_of_many_boards_the_one_is_taken_that_can_begin_first() -> None:
    wish = Wish(profile="esp32c3")
    boards = [
        candidate("gone", is_up=False), candidate("held", holder="ada"), candidate("busy", jobs=1), candidate("b", jobs_of_host=3),
        candidate("c"),
    ]  # fmt: skip
    assert commands.choose_board(boards, wish, only_idle=True).device == "c"
    assert commands.choose_board(boards[:3], wish, only_idle=False).device == "busy"
    with pytest.raises(errors.NoBoardFree, match=r"held on h \(ada\), busy on h \(busy\)"):
        commands.choose_board(boards[:3], wish, only_idle=True)
    with pytest.raises(errors.NoBoardFree, match="are gone: h"):
        commands.choose_board(boards[:1], wish, only_idle=False)
    with pytest.raises(errors.NoBoardFree, match="a board of the profile esp32c3 is not plugged in"):
        commands.choose_board([], wish, only_idle=False)


# Leases


BOARDS = [
    Board(host="h", device="a", profile="esp32c3", labels={"rack": "2", "camera": "yes"}),
    Board(host="h", device="b", profile="esp32c3", labels={"rack": "2"}),
    Board(host="i", device="c", profile="stm32f405", labels={}),
]


def test_a_board_fits_when_it_has_all_that_was_asked_for() -> None:
    assert [fits(one, Wish(profile="esp32c3")) for one in BOARDS] == [True, True, False]
    assert [fits(one, Wish(labels={"rack": "2", "camera": "yes"})) for one in BOARDS] == [True, False, False]
    assert [fits(one, Wish(host="i", device="c")) for one in BOARDS] == [False, False, True]


def test_who_waits_for_other_boards_is_not_in_the_way() -> None:
    waiting = [
        ("any", Wish(profile="esp32c3")), ("other", Wish(device="c")), ("camera", Wish(labels={"camera": "yes"})),
        ("b", Wish(host="h", device="b")), ("nowhere", Wish(device="z")), ("nowhere too", Wish(device="z")),
    ]  # fmt: skip
    assert places(waiting, BOARDS) == {"any": 1, "other": 1, "camera": 2, "b": 2, "nowhere": 1, "nowhere too": 2}


@given(
    st.lists(st.builds(Wish, profile=st.sampled_from(["esp32c3", None]), labels=st.sampled_from([{}, {"rack": "2"}])))
)
def test_the_oldest_request_is_next_and_nobody_is_further_back_than_there_are_before(wishes: list[Wish]) -> None:
    found = places([(str(number), wish) for number, wish in enumerate(wishes)], BOARDS)
    for number in range(len(wishes)):
        assert 1 <= found[str(number)] <= number + 1


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"device_id": "d", "wait_s": 31}, {"device_id": "d", "wait_s": -1}, {"device_id": "d", "for_s": 0}, {"profile": "nothing"},
        {"device_id": "d", "patience_s": 1e9}, {"labels": {"": "x"}}, {"labels": {"x": "y" * 300}}, {"device_id": "d", "for_s": float("nan")},
    ],
)  # fmt: skip
def test_a_lease_that_cannot_be_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(errors.Unusable):
        commands.request_lease(AskLease(holder="ada", **asked), "l", host=None, device=asked.get("device_id"), now=AT)


def test_a_renewal_never_shortens_a_lease_and_wakes_none_that_is_over() -> None:
    held = DeviceLeased(timestamp=AT, host="h", device="d", lease_id="l", holder="ada", expires_at=AT + timedelta(60))
    assert commands.renew(held, "l", 10, AT).expires_at == held.expires_at
    longer = commands.renew(held, "l", 600, held.expires_at - timedelta(seconds=1))
    assert longer.expires_at == held.expires_at + timedelta(seconds=599)
    for lease, lease_id, now in ((None, "l", AT), (held, "m", AT), (held, "l", held.expires_at)):
        with pytest.raises(errors.LeaseOver):
            commands.renew(lease, lease_id, 10, now)
    assert commands.release(held, "m", "r", AT) is None
    assert commands.release(None, "l", "r", AT) is None


def lease_of(db: Database, lease_id: str, now: datetime = AT) -> tuple[str, str | None, int | None]:
    found = queries.lease(db, lease_id, iso(now))
    assert found is not None
    return found.state, found.reason, found.place


def test_a_lease_goes_from_the_queue_to_a_board_and_back(db: Database) -> None:
    on: dict[str, Any] = {"timestamp": AT, "host": "h", "device": "a"}
    wanted: dict[str, Any] = {
        "timestamp": AT,
        "for_s": 60.0,
        "wait_until": AT + timedelta(seconds=30),
        "profile": "esp32c3",
    }
    put(db, DeviceAttached(**on, profile="esp32c3"))
    put(
        db,
        LeaseRequested(lease_id="l1", holder="ada", **wanted),
        LeaseRequested(lease_id="l2", holder="task-1/n", **wanted),
    )
    assert [lease_of(db, one) for one in ("l1", "l2")] == [("waiting", None, 1), ("waiting", None, 2)]
    put(db, LeaseOffered(timestamp=AT, lease_id="l1", host="h", device="a"))
    assert [lease_of(db, one)[2] for one in ("l1", "l2")] == [1, 1]
    until = AT + timedelta(seconds=60)
    put(db, DeviceLeased(**on, lease_id="l1", holder="ada", expires_at=until))
    assert lease_of(db, "l1") == ("held", None, None)
    assert lease_of(db, "l1", until) == ("ended", "expired", None)
    assert lease_of(db, "l2", AT + timedelta(seconds=30))[0] == "ended"
    assert [one.row["lease_id"] for one in queries.leases(db, iso(AT), state="waiting")] == ["l2"]
    assert [one.row["lease_id"] for one in queries.leases(db, iso(until), state="held")] == []
    assert [one.row["lease_id"] for one in queries.leases(db, iso(AT), holder="ada", device="a")] == ["l1"]
    put(
        db,
        DeviceReleased(**on, lease_id="l1", reason="given back"),
        LeaseWithdrawn(timestamp=AT, lease_id="l2", reason="r"),
    )
    assert [lease_of(db, one) for one in ("l1", "l2")] == [("ended", "given back", None), ("ended", "r", None)]
    put(
        db,
        DeviceLeased(**on, lease_id="l3", holder="x", expires_at=until),
        DeviceLeased(**on, lease_id="l4", holder="y", expires_at=until),
    )
    assert lease_of(db, "l3") == ("ended", "somebody else has the board", None)
    assert lease_of(db, "l4")[0] == "held"


# What a board holds


def board(db: Database) -> dict[str, Any]:
    (row,) = queries.devices(db, device="d")
    return device_view(row, host_is_up=True, now=iso(AT))


def test_a_board_that_a_job_left_half_done_is_marked_until_it_is_flashed_again(db: Database) -> None:
    put(db, DeviceAttached(timestamp=AT, host="h", device="d"))
    assert (board(db)["flash_state"], board(db)["needs_flash"]) == (None, False)
    put(db, requested("j1"), failed("j1", "untouched"))
    assert (board(db)["flash_state"], board(db)["needs_flash"]) == ("untouched", False)
    put(db, requested("j2"), begun("j2"), FlashCancelled(**of("j2"), flash_state="partial"))
    assert (board(db)["flash_state"], board(db)["needs_flash"]) == ("partial", True)
    put(db, requested("j3"), begun("j3"), failed("j3", "untouched"))
    assert board(db)["needs_flash"], "what never reached the board mends nothing"
    put(db, requested("j4"), begun("j4"))
    assert board(db)["needs_flash"]
    put(db, FlashRetried(**of("j4"), attempt=1, code="c", error="e", flash_state="complete_unverified", wait_s=1.0))
    assert (board(db)["flash_state"], board(db)["needs_flash"]) == ("complete_unverified", True)
    put(db, begun("j4", 2), completed("j4"))
    assert (board(db)["flash_state"], board(db)["needs_flash"]) == ("complete", False)


def test_what_the_chip_says_goes_before_what_was_guessed(db: Database) -> None:
    on: dict[str, Any] = {"timestamp": AT, "host": "h", "device": "d"}
    put(db, DeviceAttached(**on, profile="esp32", chip="guess"))
    put(db, DeviceIdentified(**on, chip="ESP32-C3", profile="esp32c3", flash_bytes=4 << 20))
    told = board(db)
    assert (told["chip_name"], told["board_type"], told["flash_bytes"], told["problem"]) == (
        "ESP32-C3",
        "esp32c3",
        4 << 20,
        None,
    )
    put(db, DeviceIdentified(**on, chip="ESP32-S3", profile="esp32s3", problem="it is configured as esp32c3"))
    told = board(db)
    assert (told["chip_name"], told["board_type"], told["problem"]) == (
        "ESP32-S3",
        "esp32c3",
        "it is configured as esp32c3",
    )
    put(db, DeviceHandled(**on, do="power_off", by="ada"))
    assert board(db)["handled"] == {"do": "power_off", "by": "ada", "at": iso(AT)}


def test_a_job_shows_what_it_was_asked_and_what_became_of_that(db: Database) -> None:
    part = FlashPart(image=IMAGE, address=0)
    put(
        db,
        requested(
            "j",
            parts=[part, part],
            priority=4,
            retries=2,
            timeout_s=9.0,
            max_bytes_per_s=100,
            lease_id="l",
            partition="p",
        ),
    )
    job = queries.job(db, "j")
    assert job is not None
    told = (
        job["total_bytes"],
        job["parts"],
        job["priority"],
        job["retries"],
        job["timeout_s"],
        job["max_bytes_per_s"],
        job["lease_id"],
    )
    assert told == (8192, 2, 4, 2, 9.0, 100, "l")
    put(
        db,
        begun("j"),
        FlashThrottled(**of("j"), max_bytes_per_s=None),
        FlashPauseDeferred(**of("j"), stage="erasing", until="it is erased"),
    )
    job = queries.job(db, "j")
    assert job is not None
    assert (job["max_bytes_per_s"], job["deferred"], job["status"]) == (None, "erasing, until it is erased", "flashing")
    put(db, FlashPaused(**of("j")))
    assert [(one["status"], one["deferred"]) for one in queries.active_jobs(db)] == [("paused", None)]


def test_a_report_from_outside_changes_no_job_but_its_own(db: Database) -> None:
    def reported(job_id: str, status: str, host: str = "outside") -> FlashReported:
        return FlashReported(**of(job_id, host=host), status=status, total_bytes=9)

    put(db, requested("ours"), begun("ours"), reported("ours", "failed"))
    put(db, reported("x", "started"), reported("x", "completed", host="another"))
    assert [(one["job_id"], one["status"]) for one in queries.active_jobs(db)] == [
        ("ours", "flashing"),
        ("x", "flashing"),
    ]
    put(db, reported("x", "completed"), reported("x", "started"))
    job = queries.job(db, "x")
    assert job is not None
    assert (job["status"], job["total_bytes"], bool(job["outside"])) == ("completed", 9, True)
    assert board_is_unmarked(db)


def board_is_unmarked(db: Database) -> bool:
    return bool(db.conn.execute("SELECT count(*) FROM board_flashes").fetchone() == (0,))


def test_a_report_is_made_of_what_a_client_says_whatever_that_is() -> None:
    started = reports.ReportStarted(job_id="j", device_id="d", total_bytes=4294967296.0, stage="s" * 900)
    fact = commands.report(started, "outside", AT)
    assert (fact.status, fact.total_bytes, len(fact.stage or "")) == ("started", 4294967296, 200)
    bytes_said = reports.ReportProgress(
        job_id="j", device_id="d", progress=1.0, bytes_transferred=50.0, total_bytes=100.0
    )
    assert (commands.sample(bytes_said, "o", AT).done_bytes, commands.sample(bytes_said, "o", AT).total_bytes) == (
        50,
        100,
    )
    percent_said = reports.ReportProgress(job_id="j", device_id="d", progress=12.34, estimated_time_remaining=-1.0)
    sample = commands.sample(percent_said, "o", AT)
    assert (sample.done_bytes / sample.total_bytes, sample.remaining_s, sample.stage) == (0.1234, 0.0, "writing")
    assert commands.sample(percent_said, "o", AT, job_bytes=50_000).done_bytes == 6170
    wild = reports.ReportProgress(
        job_id="j", device_id="d", progress=1e308, bytes_transferred=float("inf"), transfer_speed=1e300
    )
    assert commands.sample(wild, "o", AT).speed_bytes_per_s < 1e16


# Many jobs


def many(db: Database, count: int) -> None:
    """Jobs of 1, 2, 3, … seconds; every tenth fails."""
    for number in range(1, count + 1):
        job_id = f"j{number}"
        put(db, requested(job_id, device=f"d{number % 2}", profile="esp32c3"), begun(job_id))
        put(
            db,
            failed(job_id, "partial", code=f"code_{number % 20}")
            if number % 10 == 0
            else completed(job_id, float(number)),
        )


def test_what_many_jobs_tell(db: Database) -> None:
    many(db, 100)
    put(db, requested("c"), FlashCancelled(**of("c"), flash_state="untouched"))
    put(
        db,
        FlashReported(**of("x", host="outside"), status="started"),
        FlashReported(**of("x", host="outside"), status="failed"),
    )
    span = {"since": "2026-01-01", "until": "2027"}
    total, groups = queries.analytics(db, by="board", limit=1000, **span)
    assert (total.jobs, total.completed, total.failed, total.cancelled, total.success_rate) == (101, 90, 10, 1, 0.9)
    durations = [float(number) for number in range(1, 101) if number % 10]
    assert total.duration_s == {50: durations[44], 90: durations[80], 99: durations[89]}
    assert total.speed_bytes_per_s[50] == pytest.approx(4096 / durations[45])
    assert total.errors == {"code_0": 5, "code_10": 5}
    assert [(one.key, one.jobs) for one in groups] == [("", 1), ("esp32c3", 100)]
    _, by_device = queries.analytics(db, by="device", limit=1000, **span)
    assert [(one.key, one.jobs) for one in by_device] == [("h/d", 1), ("h/d0", 50), ("h/d1", 50)]
    newest, _ = queries.analytics(db, by="host", limit=10, **span)
    assert newest.jobs == 10
    nothing, none = queries.analytics(db, by="host", limit=10, since="2030", until="2031")
    assert (nothing.jobs, nothing.success_rate, nothing.duration_s, none) == (0, None, {}, [])


def test_the_history_has_what_ended_in_the_order_of_its_end_and_in_pages(db: Database) -> None:
    put(db, requested("slow"), begun("slow"))
    many(db, 3)
    put(db, completed("slow"), requested("open"))
    first = queries.history(db, limit=2)
    assert [one["job_id"] for one in first] == ["slow", "j3"]
    assert [one["job_id"] for one in queries.history(db, before=first[-1]["ended_seq"])] == ["j2", "j1"]
    assert [one["job_id"] for one in queries.history(db, device="d1")] == ["j3", "j1"]
    assert queries.history(db, status="failed") == []


def test_no_question_about_boards_reads_all_jobs(db: Database) -> None:
    """A lab has flashed hundreds of thousands of times, and its page asks every ten seconds."""
    asked: list[str] = []
    db.conn.set_trace_callback(asked.append)
    queries.devices(db)
    queries.jobs(db, device="d")
    queries.history(db)
    queries.history(db, device="d")
    queries.active_jobs(db)
    queries.leases(db, iso(AT), state="held")
    db.conn.set_trace_callback(None)
    for sql in asked:
        if sql.lstrip().upper().startswith("SELECT"):
            plan = " / ".join(row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}"))
            assert "SCAN flash_jobs" not in plan.replace("SCAN flash_jobs USING INDEX", ""), (sql, plan)
            assert "SCAN leases" not in plan.replace("SCAN leases USING INDEX", ""), (sql, plan)
            assert "SCAN j" not in plan, (sql, plan)
