"""The entry of the command."""

import subprocess
import sys

from benchwire.events import child


def test_the_entry_imports_nothing_that_takes_long() -> None:
    """A Ctrl-C in the time of the imports ended in a traceback; the entry says what it does before it imports the commands."""
    told = "import sys, benchwire.deploy.main; print({'typer', 'rich', 'nats', 'asyncio'} & set(sys.modules))"
    done = subprocess.run(
        child.dying_with_owner([sys.executable, "-c", told]), capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
