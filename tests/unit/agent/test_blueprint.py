from datetime import UTC, datetime

from benchwire.agent.blueprint import Blueprint, evolve, why_not
from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event

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
    assert of(CREATED) == Blueprint(name="one", system_prompt="You fix.", mcp_servers=("files",), skills=("k",))
    cleared = of(CREATED, changed(system_prompt=None, mcp_servers=None, skills=None, colour="red"))
    assert cleared == Blueprint(name="one")
    assert of(CREATED, changed(status="inactive")) == Blueprint(
        name="one", system_prompt="You fix.", mcp_servers=("files",), skills=("k",), status="inactive"
    )
    assert of(CREATED, BlueprintDeleted(timestamp=NOW, name="one")) is None
    assert of(changed(system_prompt="x")) is None


def test_what_a_runner_cannot_bring_along_is_said_and_not_passed_over() -> None:
    assert why_not(Blueprint(name="one", system_prompt="You fix."), "one") is None
    assert "there is no agent 'one'" in str(why_not(None, "one"))
    assert "is inactive" in str(why_not(Blueprint(name="one", status="inactive"), "one"))
    assert "MCP servers (files)" in str(why_not(of(CREATED), "one"))
    assert "skills (k)" in str(why_not(of(CREATED, changed(mcp_servers=None)), "one"))
