"""Systems from plain words, and nodes that talk to each other: a real runner, compiler and QEMU, and an endpoint that answers from a script."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from benchwire.events.asks import BoardsListed, DesignSystem, ListBoards, Refused, SystemDesigned
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.task import (
    Assertion,
    NodeCompiled,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeSucceeded,
    TaskCancelled,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
    UartLink,
)
from benchwire.events.testing.eventually import eventually

StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

NOW = datetime.now(UTC)
# Without single quotes: the script of the endpoint has these in three of them.
HEAR = """#include "board.h"
static char line[32]; static int length;
static int heard(void) {
    for (int c; (c = uart_getc_nonblocking()) >= 0;) {
        if (c == 10) { line[length] = 0; length = 0; return 1; }
        if (c > 32 && length < 31) line[length++] = (char)c;
    }
    return 0;
}
"""
PING = (
    HEAR
    + """int main(void) {
    board_init();
    for (;;) {
        uart_puts("PING\\r\\n");
        for (int i = 0; i < 50; i++) {
            delay_ms(5);
            if (heard() && line[0] == 80 && line[1] == 79) { uart_puts("GOT PONG\\r\\n"); for (;;) delay_ms(50); }
        }
    }
}
"""
)
PONG = (
    HEAR
    + """int main(void) {
    board_init();
    uart_puts("READY\\r\\n");
    for (;;) if (heard() && line[0] == 80 && line[1] == 73) uart_puts("PONG\\r\\n");
}
"""
)
PANG = PONG.replace('"PONG', '"PANG')
CRASH = '#include "board.h"\nint main(void) { board_init(); uart_puts("BOOT\\r\\n"); __builtin_trap(); }\n'

DESIGN: dict[str, Any] = {
    "summary": "Two boards that play ping pong.",
    "nodes": [
        {
            "node_id": "ping", "board": "stm32f405", "description": "SERVES: prints PING",
            "assertions": [{"name": "serves", "kind": "substring", "pattern": "PING"}],
        },
        {
            "node_id": "pong", "board": "stm32f103", "description": "RETURNS: answers PING with PONG",
            "assertions": [{"name": "returns", "kind": "count", "pattern": "^PONG$", "min_count": 1, "within_s": 5}],
        },
    ],
    "links": [{"a": "ping", "b": "pong"}],
}  # fmt: skip


def turn(text: str, **conditions: Any) -> str:
    told = "".join(f"{name} = {json.dumps(value)}\n" for name, value in conditions.items())
    return f"[[turn]]\n{told}text = '''\n{text}\n'''\n"


def code(source: str, **conditions: Any) -> str:
    return turn(f"```c\n{source}```", **conditions)


def requested(task_id: str = "t-1", **more: Any) -> TaskRequested:
    fields = {"kind": "firmware", "prompt": "two boards that play ping pong", "simulation_timeout_s": 3.0, **more}
    return TaskRequested(timestamp=datetime.now(UTC), task_id=task_id, **fields)


def joined(ping: str, pong: str, **more: Any) -> TaskRequested:
    """Both nodes with sources of a person's."""
    nodes = [
        NodeSpec(node_id=name, board=board, sources={"main.c": source}, deploy=False, assertions=[Assertion(name=text, pattern=text)])
        for name, board, source, text in (("ping", "stm32f405", ping, "GOT PONG"), ("pong", "stm32f103", pong, "PONG"))
    ]  # fmt: skip
    return requested(nodes=nodes, links=[UartLink(a="ping", b="pong")], **more)


async def end_of(happened: Happened, task_id: str = "t-1") -> Event:
    async def over() -> Event | None:
        ends = (TaskFinished, TaskFailed, TaskCancelled)
        return next((one for one in await happened(f"bench.task.{task_id}.>") if isinstance(one, ends)), None)

    event: Event = await eventually(over, within_s=60, what=f"{task_id} to be over")
    return event


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [one for one in events if isinstance(one, kind)]


async def test_plain_words_become_boards_that_talk_and_who_fails_is_written_anew(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    """The first design names a board that is not there, the first pong answers with the wrong word; ping is made once."""
    unknown = json.dumps(DESIGN).replace("stm32f405", "toaster")
    script = (
        turn(unknown, contains="Design this system", attempt=1)
        + turn(f"Here:\n```json\n{json.dumps(DESIGN)}\n```", last="for 'toaster', which is not offered", attempt=2)
        + code(PING, contains=["SERVES", "- pong (stm32f103): RETURNS"], last="Write this firmware:\nSERVES")
        + code(PANG, last="Write this firmware:\nRETURNS", attempt=1)
        + code(PONG, last="ping, at the other end of its UART, printed:\nPING", attempt=2)
    )
    async with model(script) as url, agent(url=url):
        await log.append(requested(deploy=False))
        assert isinstance(await end_of(happened), TaskFinished), await end_of(happened)
    events = await happened("bench.task.t-1.>")
    (planned,) = of(events, TaskPlanned)
    assert [(one.node_id, one.board, one.deploy) for one in planned.nodes] == [
        ("ping", "stm32f405", False),
        ("pong", "stm32f103", False),
    ]
    assert planned.links == [UartLink(a="ping", b="pong")]
    assert planned.summary == "Two boards that play ping pong."
    assert planned.model
    assert planned.output_tokens > 0
    assert sorted(one.node_id for one in of(events, NodeGenerated)) == ["ping", "pong", "pong"]
    ran = [(one.node_id, one.iteration, one.ok, one.together_with) for one in of(events, NodeSimulated)]
    assert ran == [
        ("ping", 1, True, ["pong"]), ("pong", 1, False, ["ping"]), ("ping", 1, True, ["pong"]), ("pong", 2, True, ["ping"]),
    ]  # fmt: skip
    (retried,) = of(events, NodeRetried)
    assert "matched 0 times within 5 s, at least 1 were asked" in retried.feedback
    assert sorted(one.node_id for one in of(events, NodeSucceeded)) == ["ping", "pong"]


async def test_a_runner_that_takes_over_keeps_the_plan_and_what_one_of_the_joined_had_passed_with(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    first = joined(PING, PONG)
    async with agent():
        await log.append(first)
        assert isinstance(await end_of(happened), TaskFinished)
        made = of(await happened("bench.task.t-1.>"), NodeImageStored)
        (ping,) = [one for one in made if one.node_id == "ping"]
        # As another runner left it: planned from plain words, and killed when only the first image was stored.
        of_second: dict[str, Any] = {"timestamp": NOW, "task_id": "t-2"}
        for event in (
            TaskClaimed(runner="dead", **of_second),
            TaskPlanned(nodes=first.nodes, links=first.links, estimated_iterations=2, model="m", **of_second),
            NodeImageStored(node_id="ping", iteration=1, image=ping.image, elf=ping.elf, **of_second),
            requested("t-2"),
        ):
            await log.append(event)
        assert isinstance(await end_of(happened, "t-2"), TaskFinished)
    events = await happened("bench.task.t-2.>")
    assert len(of(events, TaskPlanned)) == 1
    assert [one.node_id for one in of(events, NodeCompiled)] == ["pong"]
    assert [one.node_id for one in of(events, NodeImageStored)] == ["ping", "pong"]
    assert [(one.node_id, one.ok) for one in of(events, NodeSimulated)] == [("ping", True), ("pong", True)]


async def test_who_waits_in_vain_is_not_blamed_while_the_other_can_be_written_anew(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    """A person's pong says nothing until it is asked, and the model's first ping asks with the wrong word."""
    silent = PONG.replace('uart_puts("READY\\r\\n");', "")
    waits, asks = joined(PING, silent).nodes[1], joined(PING, silent).nodes[0]
    asks = replace(asks, sources=None, description="SERVES")
    script = code(PING.replace('"PING', '"PUNG'), attempt=1) + code(PING, attempt=2, last="'GOT PONG' was not seen")
    async with model(script) as url, agent(url=url):
        await log.append(requested(nodes=[asks, waits], links=[UartLink(a="ping", b="pong")]))
        assert isinstance(await end_of(happened), TaskFinished), await end_of(happened)
    events = await happened("bench.task.t-1.>")
    assert [(one.node_id, one.stage) for one in of(events, NodeRetried)] == [("ping", "assert")]
    assert [(one.node_id, one.ok) for one in of(events, NodeSimulated)] == [
        ("ping", False),
        ("pong", False),
        ("ping", True),
        ("pong", True),
    ]
    assert len([one for one in of(events, NodeCompiled) if one.node_id == "pong"]) == 1


async def test_when_one_of_the_joined_comes_to_nothing_so_do_the_others(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent():
        await log.append(joined(PING, CRASH))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "pong: It was built, but in the simulator the firmware crashed" in end.reason
    assert "ping: pong, which it is joined to, came to nothing" in end.reason
    failed = of(await happened("bench.task.t-1.>"), NodeFailed)
    assert [one.node_id for one in failed] == ["pong", "ping"]


async def test_a_runner_says_what_it_would_design_and_for_which_boards_it_can(
    bus: Bus, model: StartModel, agent: StartAgent
) -> None:
    on_one = json.dumps(DESIGN).replace("stm32f405", "nrf51822").replace("stm32f103", "nrf51822")
    script = turn(on_one, contains="All nodes are for the board nrf51822")
    async with model(script) as url, agent(url=url):
        asked = DesignSystem(prompt="ping pong", board="nrf51")
        designed = await bus.ask("ask.agent.design", asked, SystemDesigned, timeout_s=60)
        assert isinstance(designed, SystemDesigned), designed
        assert [one.board for one in designed.nodes] == ["nrf51822", "nrf51822"]
        assert designed.links
        refused = await bus.ask("ask.agent.design", DesignSystem(prompt="x", board="toaster"), SystemDesigned)
        assert isinstance(refused, Refused)
        assert "no board profile is called 'toaster'" in refused.detail
        listed = await bus.ask("ask.agent.boards", ListBoards(), BoardsListed, timeout_s=60)
    assert isinstance(listed, BoardsListed)
    assert listed.runner == "runner-1"
    boards = {one.name: one for one in listed.boards}
    assert (boards["stm32f405"].can_build, boards["stm32f405"].can_simulate, boards["stm32f405"].missing) == (
        True,
        True,
        [],
    )
    assert boards["esp32s3"].can_simulate is False
    assert "no simulator runs firmware for esp32s3 honestly" in boards["esp32s3"].missing[-1]


async def test_without_a_model_a_runner_says_so(bus: Bus, agent: StartAgent) -> None:
    async with agent():
        refused = await bus.ask("ask.agent.design", DesignSystem(prompt="x"), SystemDesigned)
    assert isinstance(refused, Refused)
    assert refused.code == "no_model"
    assert "ANTHROPIC_API_KEY" in refused.detail
