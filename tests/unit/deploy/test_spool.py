import asyncio

import pytest

from benchwire.deploy.session.spool import MOST_CHARS, Decoder, Spool
from benchwire.deploy.session.stops import Verdict, verdict_of


def decoded(*pieces: bytes) -> str:
    decoder = Decoder()
    return "".join(decoder.text(piece) for piece in (*pieces, b""))


def test_a_character_is_whole_however_its_bytes_are_cut() -> None:
    text = "aä€𝄞\n"
    assert decoded(*(bytes([one]) for one in text.encode())) == text


def test_what_is_no_utf8_is_replaced_and_nothing_around_it_is_lost() -> None:
    assert decoded(b"a\xff", b"b\xe2\x82") == "a\ufffdb\ufffd"


async def taken(spool: Spool) -> list[str]:
    texts = []
    while (said := await spool.take()) is not None:
        texts.append(said.text)
    return texts


async def test_what_is_printed_within_a_moment_is_one_message_and_all_of_it_in_order() -> None:
    spool = Spool(gathered_s=30)
    for number in range(100):
        await spool.put(f"{number}\n")
    await spool.close()
    assert await taken(spool) == ["".join(f"{number}\n" for number in range(100))]


async def test_no_message_is_longer_than_the_limit_and_a_full_one_does_not_wait() -> None:
    spool = Spool(gathered_s=3600)
    text = "".join(chr(0x1F600 + number % 64) for number in range(2 * MOST_CHARS + 5))
    await spool.put(text)
    first, second = await spool.take(), await spool.take()
    assert first is not None
    assert second is not None
    await spool.close()
    rest = await taken(spool)
    assert [len(first.text), len(second.text), *map(len, rest)] == [MOST_CHARS, MOST_CHARS, 5]
    assert first.text + second.text + "".join(rest) == text


async def test_what_is_alone_is_told_after_a_moment() -> None:
    spool = Spool(gathered_s=0.01)
    await spool.put("alone")
    said = await asyncio.wait_for(spool.take(), 10)
    assert said is not None
    assert said.text == "alone"


async def test_a_full_spool_makes_whoever_prints_wait_and_loses_nothing() -> None:
    told: list[str] = []
    spool = Spool(limit_chars=10, gathered_s=0, on_full=lambda: told.append("full"))
    putting = asyncio.create_task(_put(spool, [str(number) * 5 for number in range(10)]))
    await asyncio.sleep(0)
    assert not putting.done()
    assert "".join(await taken(spool)) == "".join(str(number) * 5 for number in range(10))
    assert told


async def _put(spool: Spool, texts: list[str]) -> None:
    for text in texts:
        await spool.put(text)
    await spool.close()


@pytest.mark.parametrize(
    ("frame", "verdict"),
    [
        ({"type": "init", "sessions": [{"session_id": "s", "status": "running"}]}, None),
        ({"type": "init", "sessions": [{"session_id": "s", "status": "stopped"}]}, Verdict.STOPPED),
        ({"type": "session_updated", "session": {"session_id": "s", "status": "stopped"}}, Verdict.STOPPED),
        ({"type": "session_updated", "session": {"session_id": "s", "status": "finished"}}, None),
        ({"type": "session_updated", "session": {"session_id": "t", "status": "stopped"}}, None),
        ({"type": "session_deleted", "session_id": "s"}, Verdict.DELETED),
        ({"type": "event", "data": {"event_type": "message"}}, None),
        ({}, None),
    ],
)
def test_a_frame_says_whether_the_session_may_go_on(frame: dict[str, object], verdict: Verdict | None) -> None:
    assert verdict_of(frame, "s") is verdict
