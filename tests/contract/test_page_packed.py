"""The page travels with the service."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from benchwire.events import child

SERVICE = Path(__file__).parents[2] / "services" / "observability"
PAGE = SERVICE / "src" / "benchwire" / "observability" / "page"


def test_every_file_of_the_page_is_in_the_wheel(tmp_path: Path) -> None:
    code = f"import uv_build; uv_build.build_wheel({str(tmp_path)!r})"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where uv-build is
    subprocess.run(
        child.dying_with_owner([sys.executable, "-c", code]),
        cwd=SERVICE,
        env={**os.environ, "PATH": path},
        check=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(SERVICE / "src").as_posix() for path in PAGE.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [file for file in files if file not in packed] == []
