"""Firmware sources that a person hands in: what may be built, read from a file or a folder."""

from pathlib import Path

SUFFIXES = (".c", ".h", ".s", ".S")
COMPILED = (".c", ".s", ".S")
MAX_FILES = 32
MAX_FILE_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 1024 * 1024


class BadSources(ValueError):
    """The sources cannot be handed in; the sentence names the file and says what to do."""


def read(path: Path) -> dict[str, str]:
    """The sources at ``path``, by their path below it. Raises ``BadSources``.

    Of a folder, all files with the endings in ``SUFFIXES`` count, those of its folders too; hidden ones don't.
    """
    files = _files(path)
    if len(files) > MAX_FILES:
        raise BadSources(f"{path} holds {len(files)} source files; at most {MAX_FILES} are built")
    sources = {name: _text(file) for name, file in files.items()}
    if not any(name.endswith(COMPILED) for name in sources):
        raise BadSources(f"there is nothing to compile in {path}: no {', '.join(COMPILED)} file")
    total_bytes = sum(len(text.encode()) for text in sources.values())
    if total_bytes > MAX_TOTAL_BYTES:
        raise BadSources(f"the sources in {path} have {total_bytes} bytes; at most {MAX_TOTAL_BYTES} are built")
    return sources


def _files(path: Path) -> dict[str, Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        named = {file.relative_to(path): file for file in found}
        return {name.as_posix(): file for name, file in named.items() if not any(p.startswith(".") for p in name.parts)}
    if not path.exists():
        raise BadSources(f"{path} is not there")
    if path.suffix not in SUFFIXES:
        raise BadSources(f"{path} is no source file: its name ends with none of {', '.join(SUFFIXES)}")
    return {path.name: path}


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            body = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadSources(f"{file} cannot be read: {error.strerror}") from error
    if len(body) > MAX_FILE_BYTES:
        raise BadSources(f"{file} is too big: more than {MAX_FILE_BYTES} bytes")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadSources(f"{file} is no text: its byte {error.start} is not UTF-8") from error
    if "\0" in text:
        raise BadSources(f"{file} is no text: it has zero bytes")
    return text
