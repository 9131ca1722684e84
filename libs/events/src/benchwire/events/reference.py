"""The event reference in ARCHITECTURE.md, written from the catalog: ``python -m benchwire.events.reference FILE``."""

import inspect
import sys
from pathlib import Path

import msgspec

from benchwire.events.catalog import CATALOG, Entry

BEGIN = "<!-- event reference: begin (written by `make docs`) -->"
END = "<!-- event reference: end -->"


def table() -> str:
    """The catalog as a Markdown table."""
    rows = ["| event | subject | fields | written by | what it says |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*rows, *(_row(entry) for entry in CATALOG)])


def _row(entry: Entry) -> str:
    fields = ", ".join(
        f"`{field.encode_name}`{'' if field.required else '?'}"
        for field in msgspec.structs.fields(entry.event)
        if field.name != "timestamp" and field.name not in entry.fields
    )
    sentence = (inspect.getdoc(entry.event) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ").replace("|", "\\|")
    version = "" if entry.version == 1 else f" (v{entry.version})"
    return f"| `{entry.tag}`{version} | `{entry.subject}` | {fields} | {', '.join(entry.writers)} | {sentence} |"


def with_table(text: str) -> str:
    """``text`` with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Writes the table into the file that is named."""
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text()))


if __name__ == "__main__":
    main()
