import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchwire.events.settings import InvalidSettings, Secret
from benchwire.web import tokens
from benchwire.web.callers import Caller, Callers
from benchwire.web.settings import WebSettings
from benchwire.web.tokens import EVERYTHING, Scope

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def make(file: Path, name: str = "ci", *scopes: Scope) -> str:
    return tokens.create(file, name, scopes or (Scope.READ,), now=NOW)


def look(callers: Callers) -> None:
    asyncio.run(callers.look())


def found(callers: Callers, given: str) -> Caller:
    caller = callers.find(given)
    assert caller is not None
    return caller


def test_the_token_of_the_settings_may_do_everything() -> None:
    callers = Callers(token=Secret("t"))
    assert callers.needs_token
    assert found(callers, "t").scopes == EVERYTHING
    assert callers.find("u") is None
    assert callers.find("") is None


def test_a_token_of_the_file_may_do_what_the_file_says(file: Path) -> None:
    secret = make(file, "ci", Scope.WRITE)
    callers = Callers.configured(WebSettings(tokens_file=file))
    caller = found(callers, secret)
    assert (caller.name, caller.may(Scope.READ), caller.may(Scope.WRITE), caller.may(Scope.CONTROL)) == (
        "ci", True, True, False
    )  # fmt: skip
    assert callers.find(secret[:-1]) is None
    assert callers.find(tokens.hashed(secret)) is None


def test_the_file_is_where_the_data_is_unless_told() -> None:
    assert WebSettings(data=Path("d")).tokens_path == Path("d/tokens.json")
    assert WebSettings(data=Path("d"), tokens_file=Path("t")).tokens_path == Path("t")


def test_without_a_file_and_with_an_empty_one_nobody_needs_a_token(file: Path) -> None:
    assert not Callers.configured(WebSettings(tokens_file=file)).needs_token
    file.write_text('{"tokens": []}')
    assert not Callers.configured(WebSettings(tokens_file=file)).needs_token


def test_a_broken_file_is_no_start(file: Path) -> None:
    file.write_text("{")
    with pytest.raises(InvalidSettings, match="broken"):
        Callers.configured(WebSettings(tokens_file=file))


def test_a_token_that_is_made_or_revoked_is_so_without_a_restart(file: Path) -> None:
    first = make(file)
    callers = Callers.configured(WebSettings(tokens_file=file))
    second = make(file, "second")
    assert callers.find(second) is None
    look(callers)
    old, new = found(callers, first), found(callers, second)
    tokens.revoke(file, "second")
    look(callers)
    assert callers.find(second) is None
    assert new.gone.is_set()
    assert found(callers, first) is old
    assert not old.gone.is_set()


def test_the_first_token_ends_the_time_of_those_without(file: Path) -> None:
    callers = Callers.configured(WebSettings(tokens_file=file))
    secret = make(file)
    look(callers)
    assert callers.needs_token
    assert callers.anybody.gone.is_set()
    assert callers.find(secret) is not None


def test_a_file_that_breaks_is_removed_or_emptied_opens_nothing_and_is_told_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = make(file)
    callers = Callers.configured(WebSettings(tokens_file=file))
    whole = file.read_bytes()
    for trouble, says in ((lambda: file.write_text("{"), "broken"), (file.unlink, "removed")):
        trouble()
        look(callers)
        look(callers)
        assert says in callers.warnings[0]
        assert str(file.parent) not in callers.warnings[0]
        assert callers.find(secret) is not None
        assert callers.needs_token
    assert len(caplog.records) == 2
    file.write_bytes(whole)
    file.chmod(0o600)
    look(callers)
    assert callers.warnings == []
    tokens.revoke(file, "ci")
    look(callers)
    assert callers.needs_token
    assert callers.find(secret) is None


def test_a_file_that_others_can_read_is_told_of(file: Path) -> None:
    make(file)
    file.chmod(0o644)
    callers = Callers.configured(WebSettings(tokens_file=file))
    assert "chmod 600" in callers.warnings[0]
    for mode in (0o600, 0o640):
        file.chmod(mode)
        look(callers)
        assert callers.warnings == []


def test_who_expires_is_gone(file: Path) -> None:
    clock = Clock()
    secret = tokens.create(file, "ci", [Scope.READ], now=NOW, expires_at=NOW + timedelta(hours=1))
    callers = Callers(file=file, now=clock)
    look(callers)
    caller = found(callers, secret)
    clock.at = NOW + timedelta(hours=1)
    assert callers.find(secret) is None
    look(callers)
    assert caller.gone.is_set()
    assert callers.needs_token


def test_a_token_of_few_scopes_gets_no_more_by_being_in_the_settings_too(file: Path) -> None:
    """Who exports BENCHWIRE_TOKEN for the command line, and starts the lab from the same shell, means no more by it."""
    secret = make(file)
    callers = Callers.configured(WebSettings(tokens_file=file, token=Secret(secret)))
    assert found(callers, secret).name == "ci"
    tokens.revoke(file, "ci")
    look(callers)
    assert callers.find(secret) is None
