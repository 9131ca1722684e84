"""Which lab `benchwire mcp` means, where one runs here and another elsewhere."""

import os
from pathlib import Path

import msgspec
import pytest

from benchwire.client import documents, lab
from benchwire.deploy import lab_file
from benchwire.deploy.mcp.command import addresses
from benchwire.mcp.reach import Addresses

HERE = Addresses("http://127.0.0.1:7001", "http://127.0.0.1:7002")
THERE = "http://lab-b:8765"


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("BENCHWIRE_DATA", str(tmp_path))
    for name in ("BENCHWIRE_URL", "BENCHWIRE_DOCUMENTS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def runs_here(data: Path) -> None:
    told = lab_file.Whereabouts(
        pid=os.getpid(), host="h", nats_url="", observability_url=HERE.lab, documents_url=HERE.documents
    )
    (data / lab_file.NAME).write_bytes(msgspec.json.encode(told))


@pytest.mark.usefixtures("runs_here")
def test_the_documents_of_the_lab_here_are_not_taken_for_those_of_a_lab_that_is_named() -> None:
    assert addresses(None, None) == HERE
    assert addresses(HERE.lab, None) == HERE
    assert addresses(THERE, None) == Addresses(THERE, "")
    assert addresses(THERE, "http://lab-b:8766") == Addresses(THERE, "http://lab-b:8766")


def test_where_no_lab_runs_the_environment_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses(None, None) == Addresses(lab.DEFAULT_URL, documents.DEFAULT_URL)
    monkeypatch.setenv("BENCHWIRE_URL", THERE)
    monkeypatch.setenv("BENCHWIRE_DOCUMENTS_URL", "http://lab-b:8766")
    assert addresses(None, None) == Addresses(THERE, "http://lab-b:8766")
