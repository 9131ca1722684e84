"""This very interpreter, for what runs inside."""

import sys
from pathlib import Path

import benchwire.boards


def python_paths() -> tuple[Path, ...]:
    """What this interpreter and its packages need to be readable inside: the prefix, the base it links to, the boards package.

    With them, ``[sys.executable, "-I", "-m", "pytest"]`` runs inside, and so does whatever else is installed beside the runner.
    """
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(benchwire.boards.__path__[0]).parents[1]]
    hop = Path(sys.executable)
    while hop.is_symlink():  # a venv's python may point to a link beside the real installation
        hop = hop.parent / hop.readlink()
        found.append(hop.parent.parent)
    return tuple(dict.fromkeys(path for path in found if not path.is_relative_to("/usr")))
