import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchwire.deploy.app import app
from benchwire.web import tokens
from benchwire.web.tokens import Scope


def run(*arguments: str, **environment: str) -> Result:
    given = {"BENCHWIRE_TOKENS_FILE": "", "BENCHWIRE_DATA": "", "COLUMNS": "200", **environment}
    return CliRunner().invoke(app, ["token", *arguments], env=given)


def test_a_token_is_printed_once_and_works_by_what_is_kept_of_it(tmp_path: Path) -> None:
    made = run("create", "ci", "--scope", "read", "--scope", "write", "--expires", "30d", "--data", str(tmp_path))
    assert made.exit_code == 0
    secret = made.stdout.strip()
    (kept,) = tokens.read(tmp_path / "tokens.json")
    assert kept.sha256 == tokens.hashed(secret)
    assert kept.scopes == (Scope.READ, Scope.WRITE)
    assert kept.expires_at is not None
    assert 29 <= (kept.expires_at - datetime.now(UTC)).days <= 30
    assert "not be shown again" in made.stderr
    for listed in (run("list", "--data", str(tmp_path)), run("list", "--json", "--data", str(tmp_path))):
        assert secret not in listed.output
        assert kept.sha256 not in listed.output
        assert "ci" in listed.output


def test_a_list_says_who_has_expired(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    past = datetime(2026, 1, 17, tzinfo=UTC)
    tokens.create(file, "old", [Scope.READ], now=past, expires_at=past)
    assert "old" in run("list", BENCHWIRE_TOKENS_FILE=str(file)).output
    assert "expired" in run("list", BENCHWIRE_TOKENS_FILE=str(file)).output
    listed = json.loads(run("list", "--json", BENCHWIRE_TOKENS_FILE=str(file)).output)["tokens"]
    assert [(one["name"], one["scopes"]) for one in listed] == [("old", ["read"])]


def test_a_token_is_revoked(tmp_path: Path) -> None:
    run("create", "ci", "--scope", "control", BENCHWIRE_DATA=str(tmp_path))
    assert run("revoke", "ci", BENCHWIRE_DATA=str(tmp_path)).exit_code == 0
    again = run("revoke", "ci", BENCHWIRE_DATA=str(tmp_path))
    assert (again.exit_code, "no token 'ci'" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "Big", "--scope", "read"], "cannot be a token's name"),
        (["create", "ci", "--scope", "read", "--expires", "3 years"], "is no time"),
        (["create", "ci", "--scope", "read", "--expires", "0d"], "is no time"),
        (["create", "ci", "--scope", "admin"], "admin"),
        (["create", "ci"], "scope"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    refused = run(*arguments, "--data", str(tmp_path))
    assert refused.exit_code in (1, 2)
    assert says in refused.stderr
    assert "Traceback" not in refused.output
    assert not (tmp_path / "tokens.json").exists()


def test_a_broken_file_is_said_to_be_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text("{")
    for arguments in (["list"], ["create", "ci", "--scope", "read"], ["revoke", "ci"]):
        refused = run(*arguments, "--data", str(tmp_path))
        assert (refused.exit_code, "broken" in refused.stderr) == (1, True)
    assert file.read_text() == "{"
