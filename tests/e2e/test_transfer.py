"""A session that an agent ran, out of a lab that runs, in again beside itself, and on from its end: with the commands and calls of a user."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.deploy import lab_file
from benchwire.events import child


@pytest.fixture
def lab(lab_data: Path) -> httpx.Client:
    found = lab_file.read(lab_data)
    assert found is not None
    return httpx.Client(base_url=found.observability_url, timeout=30.0, trust_env=False)


@pytest.fixture
def told(quiet_environment: dict[str, str], lab_data: Path) -> dict[str, str]:
    """An environment in which the running lab is found."""
    return quiet_environment | {"BENCHWIRE_DATA": str(lab_data)}


def benchwire(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "benchwire.deploy", *map(str, arguments)]
    return subprocess.run(
        child.dying_with_owner(argv), env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def over(lab: httpx.Client, session_id: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (found := lab.get(f"/sessions/{session_id}").json()["session"])["status"] == "running":
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return dict(found)


def events(lab: httpx.Client, session_id: str) -> list[dict[str, Any]]:
    listed = lab.get(f"/sessions/{session_id}/events").json()["events"]
    return [{key: value for key, value in one.items() if key not in ("id", "session_id")} for one in listed]


def test_a_session_is_exported_imported_and_forked(lab: httpx.Client, told: dict[str, str], tmp_path: Path) -> None:
    with lab:
        assert lab.post("/agents", json={"name": "traveller", "system_prompt": "You travel."}).status_code == 201
        asked = {"session_id": "trip", "session_name": "Trip", "prompt": "where to?", "agent_name": "traveller"}
        lab.post("/sessions", json=asked).raise_for_status()
        assert over(lab, "trip")["status"] == "finished"
        file = tmp_path / "trip.ndjson"
        done = benchwire(told, "export", "trip", "-o", file)
        assert done.returncode == 0, done.stderr
        landed = []
        for _ in range(2):
            done = benchwire(told, "import", file, "--prefix", "old-")
            assert done.returncode == 0, done.stderr
            landed.append(done.stdout.splitlines()[0].removeprefix("old-trip, which was trip: "))
        assert landed[0] != landed[1] == "0 new events"
        assert events(lab, "old-trip") == events(lab, "trip")
        assert lab.get("/sessions/old-trip/result").json() == lab.get("/sessions/trip/result").json()
        assert over(lab, "old-trip")["status"] == "finished"
        fork = {"session_id": "onward", "prompt": "and then?"}
        made = lab.post("/sessions/trip/fork", json=fork).json()["session"]
        assert made["forked_from"]["session_id"] == "trip"
        assert over(lab, "onward")["status"] == "finished"
        said = [one["content"][0]["text"] for one in events(lab, "onward") if one.get("role") == "user"]
        assert said[0] == "where to?"
        assert said[-1] == "and then?"
