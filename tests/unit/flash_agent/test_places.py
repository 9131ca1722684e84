"""Where a host looks for boards, by its settings."""

from pathlib import Path

from benchwire.flash_agent.finding.places import Places
from benchwire.flash_agent.settings import Settings


def looked_at(settings: Settings) -> list[str]:
    return [source.name for source in Places(settings).sources]


def test_real_boards_are_left_alone_where_that_is_wanted(tmp_path: Path) -> None:
    assert looked_at(Settings(virtual_dir=tmp_path, probes="off")) == ["serial ports", "drives", "virtual boards"]
    assert looked_at(Settings(virtual_dir=tmp_path, ports="off", probes="off")) == ["virtual boards"]
