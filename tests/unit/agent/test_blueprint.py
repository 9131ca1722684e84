from datetime import UTC, datetime

import msgspec

from benchwire.agent.blueprint import Blueprint, evolve, why_not
from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event
from benchwire.events.session import Budget

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
CREATED = BlueprintCreated(timestamp=NOW, name="one", system_prompt="You fix.", mcp_servers={"files": {}}, skills=["k"])


def of(*events: Event) -> Blueprint | None:
    state = None
    for event in events:
        state = evolve(state, event)
    return state


def changed(**changes: object) -> BlueprintUpdated:
    return BlueprintUpdated(timestamp=NOW, name="one", changes=dict(changes))


def test_it_is_what_the_last_change_made_of_it() -> None:
    assert of(CREATED) == Blueprint(name="one", system_prompt="You fix.", mcp_servers={"files": {}}, skills=("k",))
    cleared = of(CREATED, changed(system_prompt=None, mcp_servers=None, skills=None, colour="red"))
    assert cleared == Blueprint(name="one")
    assert of(CREATED, changed(status="inactive")) == Blueprint(
        name="one", system_prompt="You fix.", mcp_servers={"files": {}}, skills=("k",), status="inactive"
    )
    assert of(CREATED, BlueprintDeleted(timestamp=NOW, name="one")) is None
    assert of(changed(system_prompt="x")) is None


def test_what_it_may_do_and_spend_is_kept_and_changed() -> None:
    asking = msgspec.structs.replace(
        CREATED, tools=["bash"], ask_before=["bash"], model="m", budget=Budget(max_usd=1.0)
    )
    made = of(asking, changed(budget={"max_tokens": 10}, tools=None, ask_expires_s=5.0))
    assert made is not None
    assert (made.tools, made.ask_before, made.ask_expires_s, made.model) == (None, ("bash",), 5.0, "m")
    assert made.budget == Budget(max_tokens=10)
    assert of(asking, changed(budget={"max_token": 10})) == of(asking)


def test_an_agent_that_is_not_there_or_asleep_is_said() -> None:
    assert why_not(Blueprint(name="one", system_prompt="You fix."), "one") is None
    assert "there is no agent 'one'" in str(why_not(None, "one"))
    assert "is inactive" in str(why_not(Blueprint(name="one", status="inactive"), "one"))
    assert why_not(of(CREATED), "one") is None
