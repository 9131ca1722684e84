"""Publishing with one subscription for all acknowledgements, and hearing messages at once."""

import asyncio

import pytest
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from benchwire.events import cancels
from benchwire.events.acks import Ack
from benchwire.events.bus import STREAM, Bus
from benchwire.events.outgoing import Outgoing
from benchwire.events.parser import Heard
from benchwire.events.testing.eventually import eventually

SUBJECT = "bench.session.s1.described"


async def test_many_at_once_stand_in_the_stream_in_the_order_in_which_they_were_begun(bus: Bus) -> None:
    bodies = [f"{number}".encode() for number in range(300)]
    acks = await asyncio.gather(
        *(bus.acks.publish(SUBJECT, one, headers=None, timeout_s=20) for one in bodies)
    )  # fmt: skip
    assert [one.seq for one in acks] == sorted(one.seq for one in acks)
    assert not any(one.duplicate for one in acks)
    last = await bus.js.get_msg(STREAM, acks[-1].seq)
    assert last.data == bodies[-1]


async def test_the_second_message_of_an_id_is_told_where_the_first_stands(bus: Bus) -> None:
    headers = {"Nats-Msg-Id": "once"}
    first = await bus.acks.publish(SUBJECT, b"{}", headers=headers, timeout_s=20)
    second = await bus.acks.publish(SUBJECT, b"{}", headers=headers, timeout_s=20)
    assert (second.seq, second.duplicate) == (first.seq, True)


async def test_what_the_server_refuses_is_raised(bus: Bus) -> None:
    headers = {"Nats-Expected-Last-Subject-Sequence": "77"}
    with pytest.raises(APIError, match="wrong last sequence"):
        await bus.acks.publish(SUBJECT, b"{}", headers=headers, timeout_s=20)


async def test_a_subject_of_no_stream_is_told_at_once(bus: Bus) -> None:
    with pytest.raises(NoStreamResponseError):
        await bus.acks.publish("ask.nobody", b"{}", headers=None, timeout_s=20)


async def test_whoever_gives_up_waiting_leaves_nothing_behind(bus: Bus) -> None:
    with pytest.raises(TimeoutError):
        await bus.acks.publish(SUBJECT, b"{}", headers=None, timeout_s=0)
    assert (await bus.acks.publish(SUBJECT, b"{}", headers=None, timeout_s=20)).seq == 2


async def test_an_acknowledgement_that_comes_too_late_is_nobody_elses(bus: Bus) -> None:
    headers = {"Nats-Msg-Id": "once"}
    await bus.acks.publish(SUBJECT, b"{}", headers=None, timeout_s=20)
    given_up = asyncio.create_task(bus.acks.publish(SUBJECT, b"{}", headers=headers, timeout_s=20))
    await asyncio.sleep(0)  # it is on its way, and whoever waited for it goes
    await cancels.until_over([given_up])
    another = await bus.acks.publish(SUBJECT, b"{}", headers=None, timeout_s=20)
    again = await bus.acks.publish(SUBJECT, b"{}", headers=headers, timeout_s=20)
    assert (another.seq, another.duplicate, again.seq, again.duplicate) == (3, False, 2, True)


@pytest.mark.parametrize("said", [b"", b"hello", b"{}", b"[1]"])
async def test_what_is_no_acknowledgement_takes_none_of_the_others_along(bus: Bus, said: bytes) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(said)

    await bus.nc.subscribe("ask.odd", cb=answer)
    first, odd, last = await bus.acks.publish_all(
        [Outgoing(SUBJECT, b"{}"), Outgoing("ask.odd", b"{}"), Outgoing(SUBJECT, b"{}")], timeout_s=20
    )
    assert isinstance(first, Ack)
    assert isinstance(last, Ack)
    assert (first.seq, last.seq) == (1, 2)
    assert isinstance(odd, NatsError)  # so that it is sent again, with its id


async def test_headers_of_any_form_are_heard(bus: Bus) -> None:
    heard: list[Heard] = []
    subscription = await bus.nc.hear("ask.heard", heard.append)
    await bus.nc.publish("ask.heard", b"1")
    await bus.nc.publish("ask.heard", b"2", headers={"A": "1", "B": "x: y"})
    await bus.nc.publish("ask.heard", b"3", headers={"A": "grün", "Empty": ""})
    await bus.nc.flush()
    await eventually(lambda: len(heard) == 3, what="three messages")
    assert [one.data for one in heard] == [b"1", b"2", b"3"]
    assert not heard[0].headers
    assert heard[1].headers == {"A": "1", "B": "x: y"}
    assert (heard[2].headers or {})["A"] == "grün"
    await bus.nc.deaf(subscription)
    await bus.nc.publish("ask.heard", b"4")
    await bus.nc.flush()
    assert len(heard) == 3
