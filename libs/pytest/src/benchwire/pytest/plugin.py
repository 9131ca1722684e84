"""The fixtures ``device``, ``flash`` and ``serial``: a lab's own hardware tests, through leases, on any host.

@pytest.mark.board("esp32c3", camera="yes")
def test_boots(flash, serial):
    flash("build/app.bin")
    serial.expect("READY")
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from benchwire.client import Lab, NoBoard, NoLab, Refused
from benchwire.pytest import wanted
from benchwire.pytest.board import Board, Flash, Serial

LEASE_S = 120.0
PATIENCE_S = 300.0
_HEARD = pytest.StashKey[Serial]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be said on the command line."""
    group = parser.getgroup("benchwire", "boards of a Benchwire lab")
    group.addoption(
        "--benchwire", dest="benchwire_url", metavar="URL",
        help="the lab; BENCHWIRE_URL unless told, else this machine's. Its token is in BENCHWIRE_TOKEN",
    )  # fmt: skip
    group.addoption(
        "--benchwire-holder", dest="benchwire_holder", metavar="NAME", help="who leases; this run unless told"
    )
    group.addoption(
        "--benchwire-patience", dest="benchwire_patience", metavar="S", type=float, default=PATIENCE_S,
        help="how long a test waits for its board (default: %(default)g s)",
    )  # fmt: skip
    group.addoption(
        "--benchwire-missing", dest="benchwire_missing", choices=("fail", "skip"), default="fail",
        help="what becomes of a test whose board does not come free (default: %(default)s)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Tells the marker."""
    config.addinivalue_line(
        "markers", "board(profile, device=, host=, **labels): the board of the lab that the test needs"
    )


@pytest.fixture(scope="session")
def benchwire_lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """The lab."""
    with Lab(pytestconfig.getoption("benchwire_url")) as lab:
        yield lab


@pytest.fixture
def device(request: pytest.FixtureRequest, benchwire_lab: Lab) -> Iterator[Board]:
    """A board for this test alone: the one that the marker ``board`` asks for, given back after the test."""
    asked = wanted.of_marker(request.node.get_closest_marker("board"))
    patience_s: float = request.config.getoption("benchwire_patience")
    leasing = benchwire_lab.leased(
        wanted.holder(request.config), for_s=LEASE_S, patience_s=patience_s,
        device=asked.device, host=asked.host, profile=asked.profile, labels=asked.labels,
    )  # fmt: skip
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(leasing)
        except NoBoard as error:
            if request.config.getoption("benchwire_missing") == "skip":
                pytest.skip(f"{asked}: {error}")
            pytest.fail(f"{asked}: {error}", pytrace=False)
        except (NoLab, Refused) as error:
            pytest.fail(f"{asked}: {error}", pytrace=False)
        board = Board(benchwire_lab, lease)
        request.node.add_report_section("setup", "board", f"{board.name} on {board.host}")
        yield board


@pytest.fixture
def flash(device: Board) -> Flash:
    """Flashes the test's board: ``flash("app.bin")``."""
    return Flash(device)


@pytest.fixture
def serial(request: pytest.FixtureRequest, device: Board, benchwire_lab: Lab) -> Iterator[Serial]:
    """What the test's board prints from now on; it stands in the report of a test that failed."""
    with benchwire_lab.listening(device.name, device.host) as listener:
        heard = Serial(device, listener)
        request.node.stash[_HEARD] = heard
        yield heard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Shows what the board printed when the test failed."""
    report = yield
    heard = item.stash.get(_HEARD, None)
    if report.when == "call" and report.failed and heard is not None:
        report.sections.append(("serial", "\n".join(heard.lines) or "the board printed nothing"))
    return report
