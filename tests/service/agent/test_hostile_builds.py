"""What a build leaves is looked at as if its sources had taken over the compiler: no link is followed, nothing waits at a pipe."""

import asyncio
import os
from pathlib import Path

import pytest

from benchwire.agent import sandbox as sandboxes
from benchwire.agent.tools import compiler, platformio
from benchwire.boards import profile as profiles

MAIN = {"main.c": '#include "board.h"\nint main(void) { board_init(); for (;;) { } }'}


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ln -s /etc/passwd firmware.bin", "Too many levels of symbolic links"),
        ("mkfifo firmware.bin", "firmware.bin is no file"),
        ("touch firmware.bin; rm firmware.elf; ln -s /etc/passwd firmware.elf", "Too many levels of symbolic links"),
        ("true", "No such file or directory"),
    ],
)
async def test_only_a_file_is_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    profile = profiles.load("stm32f405")
    if lacking := profiles.missing(profile):
        pytest.skip("; ".join(map(str, lacking)))
    limited = await sandboxes.detect("limits")  # with bubblewrap, only the real program would be found
    program(tmp_path / "bin", profile.compiler.objcopy, script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    made = await compiler.build(profile, MAIN, tmp_path, limited, timeout_s=60)
    assert not made.ok
    assert made.image is None
    assert said in made.diagnostics


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo x > .pio/build/board/firmware.bin", None),
        ("mkfifo .pio/build/board/firmware.bin", "firmware.bin is no file"),
        ("ln -s /etc/passwd .pio/build/board/firmware.bin", "Too many levels of symbolic links"),
        ("rm -r .pio/build; ln -s /etc .pio/build", "Not a directory"),
        ("echo x > .pio/build/board/firmware.bin; ln -s /etc/passwd firmware.bin", "left no room for its image"),
    ],
)
async def test_only_files_are_what_platformio_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str | None
) -> None:
    core = tmp_path / "core"
    for made in ("platforms/atmelsam/platform.json", *(f"packages/{one}/package.json" for one in _packages())):
        (core / made).parent.mkdir(parents=True)
        (core / made).touch()
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(core))
    begins = "mkdir -p .pio/build/board; echo elf > .pio/build/board/firmware.elf"
    program(tmp_path / "bin", "pio", f"{begins}; {script}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "work").mkdir()
    built = await compiler.build(
        profiles.load("arduino_due"), {"main.cpp": ""}, tmp_path / "work", await sandboxes.detect(), timeout_s=60
    )
    if said is None:
        assert built.image is not None, built.diagnostics
        assert await asyncio.to_thread(built.image.read_bytes) == b"x\n"
        assert built.elf == tmp_path / "work" / platformio.ELF
    else:
        assert not built.ok
        assert said in built.diagnostics


def _packages() -> list[str]:
    project = profiles.load("arduino_due").platformio
    assert project is not None
    return ["tool-scons", *project.packages]
