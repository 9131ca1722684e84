"""The table of commands: each is there, and its sentence is its own."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from benchwire.deploy.app import COMMANDS, app, loaded
from benchwire.events import child


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_the_command_says_of_itself(name: str) -> None:
    assert (loaded(name).help or "").startswith(COMMANDS[name].told)
    assert loaded(name).name == name


def test_a_command_that_is_not_there_is_said_with_those_that_are_like_it() -> None:
    told = CliRunner().invoke(app, ["flahs"])
    assert (told.exit_code, "flash" in told.stderr) == (2, True)


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = """
import sys
from typer.testing import CliRunner
from benchwire.deploy.app import app
told = CliRunner().invoke(app, ["--help"])
assert told.exit_code == 0 and "monitor" in told.stdout, told.output
assert not {"nats", "httpx", "websockets", "sqlite_utils"} & set(sys.modules)
"""
    subprocess.run(child.dying_with_owner([sys.executable, "-c", code]), check=True)
