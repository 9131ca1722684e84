"""What a model may answer when it is asked for a system, and what becomes of it."""

from typing import Any

import msgspec
import pytest

from benchwire.agent.firmware import design
from benchwire.agent.firmware.design import DesignedSystem, NotDesigned
from benchwire.agent.firmware.plan import CannotPlan
from benchwire.agent.model.structured import schema_of
from benchwire.boards import profile as profiles
from benchwire.events.task import Assertion, UartLink

NODE: dict[str, Any] = {"node_id": "a", "board": "stm32f405", "description": "blinks", "assertions": []}
OTHER = {**NODE, "node_id": "b"}


def system(**fields: Any) -> DesignedSystem:
    return msgspec.convert({"summary": "s", "nodes": [NODE], **fields}, DesignedSystem)


def proof(**fields: Any) -> dict[str, Any]:
    return {**NODE, "assertions": [{"name": "it", **fields}]}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"nodes": []}, "it has no nodes"),
        ({"nodes": [{**NODE, "board": "esp32"}]}, "node a is for 'esp32', which is not offered; there are stm32f405"),
        ({"nodes": [{**NODE, "description": " "}]}, "node a has no description"),
        ({"nodes": [NODE, NODE]}, "two nodes have the same id: a"),
        ({"nodes": [{**NODE, "node_id": "a.b"}]}, "node_id 'a.b' cannot be used"),
        ({"links": [{"a": "a", "b": "c"}]}, "a link names 'c'"),
        ({"nodes": [proof(kind="regex", pattern="(")]}, "node a: assertion 'it'"),
        ({"nodes": [proof(kind="count", pattern="x")]}, "count needs min_count, max_count or both"),
    ],
)
def test_a_design_that_cannot_be_made_is_given_back_with_the_reason(fields: dict[str, Any], sentence: str) -> None:
    offered = [profiles.load("stm32f405")]
    with pytest.raises(CannotPlan) as refused:
        design._check(system(**fields), offered, "blink")
    assert sentence in str(refused.value)


def test_a_design_becomes_nodes_that_can_be_made() -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "order", "patterns": ["BOOT", "DONE"], "within_s": 2},
        {"kind": "range", "pattern": r"T=(?P<t>\\d+)", "group": "t", "minimum": 20, "maximum": 30, "required": False},
    ]
    first = {**NODE, "assertions": [{"name": "it", **one} for one in kinds], "expect": "DONE"}
    made = system(nodes=[first, OTHER, {**NODE, "node_id": "c", "board": "arduino_uno"}], links=[{"a": "a", "b": "b"}])
    a, b, c = design._completed(made, "blink", deploy=True)
    assert a.assertions == [Assertion(name="it", **one) for one in kinds]
    assert (a.expect, a.deploy) == ("DONE", True)
    assert [one.pattern for one in b.assertions] == ["TEST PASS"], "one without a proof gets one"
    assert c.deploy is False, "nothing flashes it"
    assert design._links(made) == [UartLink(a="a", b="b")]


def test_what_is_offered_is_the_board_that_was_asked_for_or_what_this_host_can_build_and_simulate() -> None:
    assert [one.name for one in design._offered("nrf51")] == ["nrf51822"]
    offered = design._offered(None)
    assert all(one.simulator is not None for one in offered)
    told = design._asked("blink", offered)
    assert all(one.notes_for_model.strip() in told for one in offered)
    with pytest.raises(NotDesigned, match="no simulator runs firmware for esp32s3 honestly"):
        design._offered("esp32s3")


def test_the_schema_names_every_kind_of_assertion_and_asks_for_nothing_open() -> None:
    schema = schema_of(DesignedSystem)
    parts = schema["$defs"]
    assert parts["DesignedAssertion"]["properties"]["kind"]["enum"] == [
        "absent",
        "count",
        "order",
        "range",
        "regex",
        "substring",
    ]
    assert all(one["additionalProperties"] is False for one in parts.values())
    optional = sum(len(one["properties"]) - len(one.get("required", [])) for one in parts.values())
    assert optional <= 24, "the API takes no more in one schema"
