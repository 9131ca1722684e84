from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.redaction.names import names_a_secret
from benchwire.events.session import Budget
from benchwire.observability import commands, errors
from benchwire.observability.blueprint import Blueprint, evolve
from benchwire.observability.session import iso
from benchwire.observability.wire.blueprints import ChangeAgent, CreateAgent

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
CREATED = BlueprintCreated(timestamp=AT, name="fixer", system_prompt="You fix.", tags=["a"])
THERE = evolve(None, CREATED)
assert THERE is not None

KEY = "sk-" + "ant-api03-" + "x" * 24


def changed(**fields: Any) -> ChangeAgent:
    return msgspec.convert(fields, ChangeAgent)


def servers(**given: Any) -> CreateAgent:
    return CreateAgent(name="x", mcp_servers=given)


def test_a_change_keeps_what_it_does_not_name_and_null_clears() -> None:
    event = commands.change_blueprint(THERE, "fixer", changed(system_prompt=None, skills=["c"]), LATER)
    assert event == BlueprintUpdated(timestamp=LATER, name="fixer", changes={"system_prompt": None, "skills": ["c"]})
    after = evolve(THERE, event)
    assert after == Blueprint(
        name="fixer", tags=["a"], skills=["c"], created_at=iso(AT), modified_at=iso(LATER), system_prompt=None
    )


def test_a_change_that_changes_nothing_is_no_event() -> None:
    assert commands.change_blueprint(THERE, "fixer", changed(tags=["a", "a"], name="fixer"), LATER) is None
    assert commands.change_blueprint(THERE, "fixer", changed(), LATER) is None


def test_two_changes_of_the_same_old_state_are_both_there_in_the_end() -> None:
    first = commands.change_blueprint(THERE, "fixer", changed(description="d"), LATER)
    second = commands.change_blueprint(THERE, "fixer", changed(status="inactive"), LATER)
    assert first is not None
    assert second is not None
    after = evolve(evolve(THERE, first), second)
    assert after is not None
    assert (after.description, after.status, after.system_prompt) == ("d", "inactive", "You fix.")


def test_fields_of_a_newer_version_are_passed_over_and_malformed_ones_are_not_taken() -> None:
    news = BlueprintUpdated(timestamp=LATER, name="fixer", changes={"colour": "red", "description": "d"})
    after = evolve(THERE, news)
    assert after is not None
    assert after.description == "d"
    with pytest.raises(msgspec.ValidationError):
        evolve(THERE, BlueprintUpdated(timestamp=LATER, name="fixer", changes={"tags": "a"}))


def test_a_deleted_name_begins_anew() -> None:
    assert evolve(THERE, BlueprintDeleted(timestamp=AT, name="fixer")) is None
    again = evolve(None, BlueprintCreated(timestamp=LATER, name="fixer"))
    assert again is not None
    assert (again.created_at, again.system_prompt) == (iso(LATER), None)
    assert evolve(None, BlueprintUpdated(timestamp=AT, name="fixer", changes={"description": "late"})) is None


def test_an_agent_keeps_its_name() -> None:
    with pytest.raises(errors.Unusable, match="name"):
        commands.change_blueprint(THERE, "fixer", changed(name="other"), LATER)


@pytest.mark.parametrize("name", ["", "A", "a b", "a.b", "a_b", "ä", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(errors.Unusable, match="name"):
        commands.create_blueprint(None, CreateAgent(name=name), AT)


@pytest.mark.parametrize(
    "server",
    [
        {"command": "npx", "args": ["-y", "server"], "env": {"GITHUB_TOKEN": "${GITHUB_TOKEN}", "MAX_TOKENS": "100"}},
        {"type": "stdio", "command": "server", "args": ["--token", "${T}", "--port=80", "--key-file", "/run/key"]},
        {
            "command": "server",
            "args": ["--api-key=${KEY}", "--verbose"],
            "env": {"TOKEN_FILE": "/run/t", "EMPTY_KEY": ""},
        },
        {
            "type": "http",
            "url": "https://example.com/mcp",
            "headers": {"Authorization": "Bearer ${TOKEN}", "X-Trace": "1"},
        },
        {"type": "http", "url": "http://127.0.0.1:8080/mcp?key=${KEY}&page=2"},
        {"type": "http", "url": "https://${HOST}/mcp", "headers": {"Authorization": "Basic ${USER}:${PASSWORD}"}},
    ],
)
def test_mcp_servers_that_name_their_secrets_are_taken(server: dict[str, Any]) -> None:
    event = commands.create_blueprint(None, servers(one=server), AT)
    assert isinstance(event, BlueprintCreated)
    assert event.mcp_servers == {"one": server}


@pytest.mark.parametrize(
    ("server", "where"),
    [
        ({"command": "x", "env": {"API_KEY": "abc"}}, "env.API_KEY"),
        ({"command": "x", "env": {"apiKey": "abc"}}, "env.apiKey"),
        ({"command": "x", "env": {"DB_PASSWORD": "p ${X}"}}, "env.DB_PASSWORD"),
        ({"command": "x", "env": {"ANYTHING": KEY}}, "env.ANYTHING"),
        ({"command": "x", "args": ["--token", "abc"]}, "args"),
        ({"command": "x", "args": ["--api-key=abc"]}, "args"),
        ({"command": "x", "args": [KEY]}, "args"),
        ({"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer abc"}}, "headers.Authorization"),
        ({"type": "http", "url": "https://h/mcp", "headers": {"X-Api-Key": "abc"}}, "headers.X-Api-Key"),
        ({"type": "http", "url": "https://user:secret@h/mcp"}, "url"),
        ({"type": "http", "url": "https://h/mcp?access_token=abc"}, "url"),
    ],
)
def test_a_secret_is_refused_where_it_stands_and_is_not_repeated(server: dict[str, Any], where: str) -> None:
    with pytest.raises(errors.Unusable) as refused:
        commands.create_blueprint(None, servers(one=server), AT)
    sentence = str(refused.value)
    assert sentence.startswith(f"mcp_servers.one.{where}")
    assert "${NAME}" in sentence
    assert "abc" not in sentence
    assert KEY not in sentence


@pytest.mark.parametrize(
    ("server", "where"),
    [
        ({}, "mcp_servers.one"),
        ({"url": "https://h"}, "mcp_servers.one"),
        ({"type": "sse", "url": "https://h"}, "mcp_servers.one"),
        ({"command": ""}, "mcp_servers.one.command"),
        ({"command": "x", "args": "y"}, "mcp_servers.one.args"),
        ({"command": "x", "args": [1]}, "mcp_servers.one.args[0]"),
        ({"command": "x", "env": {"A B": "c"}}, "mcp_servers.one.env"),
        ({"command": "x", "environment": {}}, "environment"),
        ({"type": "http"}, "url"),
        ({"type": "http", "url": "ftp://h/x"}, "mcp_servers.one.url"),
        ({"type": "http", "url": "https:///x"}, "mcp_servers.one.url"),
        ({"type": "http", "url": "https://h:99999/x"}, "mcp_servers.one.url"),
        ({"type": "http", "url": "https://[::1/x"}, "mcp_servers.one.url"),
        ({"type": "http", "url": "https://h/x", "headers": {"X:Y": "c"}}, "mcp_servers.one.headers"),
        ({"type": "http", "url": "https://h/x", "headers": {"X": "a\r\nb"}}, "mcp_servers.one.headers.X"),
    ],
)
def test_a_server_of_another_shape_is_refused_by_its_field(server: dict[str, Any], where: str) -> None:
    with pytest.raises(errors.Unusable) as refused:
        commands.create_blueprint(None, servers(one=server), AT)
    assert where in str(refused.value)


def test_a_key_in_a_prompt_is_refused() -> None:
    for field in ("system_prompt", "description"):
        with pytest.raises(errors.Unusable, match=field):
            commands.create_blueprint(None, msgspec.convert({"name": "x", field: f"use {KEY}"}, CreateAgent), AT)


@pytest.mark.parametrize("tag", ["", "a,b", " a", "a ", "x" * 65])
def test_a_tag_that_nobody_could_ask_for_is_refused(tag: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="tags"):
        msgspec.convert({"name": "x", "tags": [tag]}, CreateAgent)


def test_words_tell_a_secret_from_what_only_sounds_like_one() -> None:
    for name in ("TOKEN", "githubToken", "X-API-Key", "client_secret", "Cookie", "APIKEY", "--password"):
        assert names_a_secret(name), name
    for name in ("MAX_TOKENS", "KEYBOARD", "SECRET_FILE", "MONKEY", "Accept", "AUTHOR", "TOKEN_URL"):
        assert not names_a_secret(name), name


def test_what_an_agent_may_use_and_spend_is_kept_and_changed() -> None:
    asked = CreateAgent(
        name="x", model="m", tools=["bash", "files__*", "bash"], ask_before=["bash"], ask_expires_s=60.0, budget=Budget(max_usd=1.0)
    )  # fmt: skip
    made = evolve(None, commands.create_blueprint(None, asked, AT))
    assert made is not None
    assert (made.model, made.tools, made.ask_before, made.ask_expires_s) == ("m", ["bash", "files__*"], ["bash"], 60.0)
    assert made.budget == Budget(max_usd=1.0)
    change = commands.change_blueprint(made, "x", changed(tools=None, budget={"max_tokens": 5}, ask_before=[]), LATER)
    assert change is not None
    after = evolve(made, msgspec.json.decode(msgspec.json.encode(change), type=BlueprintUpdated))
    assert after is not None
    assert (after.tools, after.budget, after.ask_before, after.model) == (None, Budget(max_tokens=5), [], "m")
    assert commands.change_blueprint(after, "x", changed(budget={"max_tokens": 5}), LATER) is None
    assert evolve(after, BlueprintUpdated(timestamp=LATER, name="x", changes={"budget": None})) is not None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"tools": ["a b"]}, "tools"),
        ({"ask_before": [""]}, "ask_before"),
        ({"ask_before": [KEY]}, "ask_before.*key"),
        ({"model": KEY}, "model.*key"),
        ({"ask_expires_s": 0.0}, "ask_expires_s"),
        ({"ask_expires_s": 1e9}, "ask_expires_s"),
        ({"budget": {"max_tokens": 0}}, "budget.max_tokens"),
        ({"budget": {"max_usd": 1e9}}, "budget.max_usd"),
        ({"tools": [f"t{number}" for number in range(257)]}, "tools: 257"),
    ],
)
def test_what_an_agent_cannot_have_is_refused(given: dict[str, Any], word: str) -> None:
    with pytest.raises(errors.Unusable, match=word):
        commands.create_blueprint(None, msgspec.convert({"name": "x", **given}, CreateAgent), AT)
    with pytest.raises(errors.Unusable, match=word):
        commands.change_blueprint(THERE, "fixer", changed(**given), LATER)
