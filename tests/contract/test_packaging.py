"""The files of deploy/systemd, deploy/udev and deploy/compose: that they agree with each other, with the services, and with what
`benchwire deploy init` writes. That a real systemd runs the units, and a real Docker the containers, no test shows."""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from benchwire.deploy.hosts.described import Host, Lab
from benchwire.deploy.hosts.writing import Places, write
from benchwire.events import child
from benchwire.events.permissions import BACKUP, NATS, SERVICES
from benchwire.events.service import CANNOT_START
from benchwire.flash_agent.finding.usb import RASPBERRY_PI, USB_IDS

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = DEPLOY / "systemd"
HARDENING = UNITS / "benchwire-.service.d" / "hardening.conf"
COMPOSE = DEPLOY / "compose"
SERVICE_UNITS = sorted(UNITS.glob("*.service"))
RULES = DEPLOY / "udev" / "70-benchwire.rules"
MOST_EXPOSED = {"benchwire-agent": 35, "benchwire-flash-agent": 20}  # in tenths, as systemd counts; the others 15

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def said(path: Path) -> dict[str, list[str]]:
    """What a unit says, with what is said for all of them."""
    found = defaultdict(list)
    for line in (HARDENING.read_text() + path.read_text()).splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """The folder of the one host of a lab, as `benchwire deploy init` writes it."""
    lab = Lab(hosts={"here": Host(parts=[NATS, *SERVICES, BACKUP])})
    write(tmp_path, lab, Places(etc=PurePosixPath("/etc/benchwire"), data=PurePosixPath("/var/lib/benchwire")))
    return tmp_path / "hosts" / "here"


# -- systemd


@pytest.mark.parametrize("path", SERVICE_UNITS, ids=lambda path: path.stem)
def test_a_unit_begins_where_its_part_was_deployed_and_with_the_files_that_are_there(path: Path, hosts: Path) -> None:
    unit = said(path)
    (condition,) = unit["ConditionPathExists"]
    assert (hosts / Path(condition).name).is_file()
    assert unit["EnvironmentFile"] in ([], [condition])


@pytest.mark.parametrize("path", SERVICE_UNITS, ids=lambda path: path.stem)
def test_a_unit_has_a_user_of_its_own_limits_and_no_privileges(path: Path) -> None:
    unit = said(path)
    users = (UNITS / "sysusers.conf").read_text()
    assert re.search(rf"^u {unit['User'][0]} ", users, re.MULTILINE)
    assert unit["NoNewPrivileges"] == unit["PrivateTmp"] == unit["ProtectHome"] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["DevicePolicy"] == ["closed"]
    assert unit["RestrictAddressFamilies"]
    assert unit["SystemCallFilter"]
    assert unit["MemoryMax"]
    assert unit["TasksMax"]


@pytest.mark.parametrize("path", SERVICE_UNITS, ids=lambda path: path.stem)
def test_a_part_whose_configuration_is_of_no_use_is_not_started_again(path: Path) -> None:
    assert said(path)["RestartPreventExitStatus"] == [str(CANNOT_START)]
    assert said(path)["Restart"] == ([] if path.stem == "benchwire-backup" else ["on-failure"])


def test_only_the_flash_agent_gets_devices_and_only_the_agent_namespaces() -> None:
    assert [path.stem for path in SERVICE_UNITS if said(path)["DeviceAllow"]] == ["benchwire-flash-agent"]
    assert [path.stem for path in SERVICE_UNITS if said(path)["RestrictNamespaces"] != ["yes"]] == ["benchwire-agent"]
    agent = said(UNITS / "benchwire-agent.service")
    for covers_proc in ("ProtectKernelTunables", "ProtectKernelLogs", "ProtectProc", "ProcSubset", "ProtectHostname"):
        assert agent[covers_proc] == [], "its sandbox could not have a /proc"


def test_every_secret_of_a_host_is_given_to_one_who_needs_it(hosts: Path) -> None:
    lines = [line.split() for line in (UNITS / "tmpfiles.conf").read_text().splitlines() if line.startswith("z ")]
    for path in sorted(hosts.rglob("*")):
        if path.is_dir() or path.stat().st_mode & 0o077:
            continue
        place = f"/etc/benchwire/{path.relative_to(hosts)}"
        modes = [mode for _, pattern, mode, *_ in lines if fnmatch(place, pattern)]
        assert modes, f"nobody but root can read {place}"
        assert all(int(mode, 8) & 0o037 == 0 for mode in modes), place


@needs_systemd
def test_systemd_takes_the_units_and_finds_them_closed_enough(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder, ignore=shutil.ignore_patterns("sysusers.conf", "tmpfiles.conf"))
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/benchwire/.venv/bin/", "/bin/true "))
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"}
    units = [str(path) for path in folder.iterdir() if path.is_file()]
    verified = subprocess.run(
        child.dying_with_owner(["systemd-analyze", "verify", *units]),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "benchwire" not in verified.stderr, verified.stderr
    for path in SERVICE_UNITS:
        most = MOST_EXPOSED.get(path.stem, 15)
        analyzed = subprocess.run(
            child.dying_with_owner(
                ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", path.name]
            ),
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert analyzed.returncode == 0, analyzed.stdout


# -- udev


def test_the_rules_know_the_usb_ids_that_the_flash_agent_knows_and_no_others() -> None:
    serial: set[tuple[int, int]] = set()
    for vendor, products in re.findall(
        r'ATTRS\{idVendor\}=="(\w+)", ATTRS\{idProduct\}=="([\w|]+)", ENV', RULES.read_text()
    ):
        serial |= {(int(vendor, 16), int(product, 16)) for product in products.split("|")}
    assert serial == {one for one in USB_IDS if one[0] != RASPBERRY_PI}, "of that vendor every id is known"
    assert f'ATTRS{{idVendor}}=="{RASPBERRY_PI:04x}", ENV' in RULES.read_text()


def test_every_probe_is_for_the_group_of_probes() -> None:
    probes: set[tuple[int, int]] = set()
    pattern = r'^ATTR\{idVendor\}=="(\w+)", ATTR\{idProduct\}=="([\w|]+)", .*GROUP="plugdev"'
    for vendor, products in re.findall(pattern, RULES.read_text(), re.MULTILINE):
        probes |= {(int(vendor, 16), int(product, 16)) for product in products.split("|")}
    assert probes == {one for one, kind in USB_IDS.items() if kind.is_probe and one[0] != RASPBERRY_PI}


def test_each_line_of_the_rules_is_a_rule() -> None:
    pair = r'[A-Z]+(\{[\w/]+\})?(==|!=|=|\+=)"[^"]*"'
    lines = [line for line in RULES.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(rf"{pair}(, {pair})*", line)] == []
    assert set(re.findall(r'GOTO="(\w+)"', RULES.read_text())) == set(re.findall(r'LABEL="(\w+)"', RULES.read_text()))


# -- Compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return read


def test_every_container_that_stays_says_whether_it_is_healthy(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name in ("streams", "backup"):  # these end
            assert service["restart"] in ("on-failure", "no")
        else:
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name


def test_no_container_is_root_can_write_its_image_or_has_a_capability_too_much(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert ("device_cgroup_rules" in service) == (name == "flash-agent")


def test_no_port_is_open_beyond_this_machine_and_nats_not_even_there(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports.keys() == {"observability", "documents"}
    assert all(port.startswith("127.0.0.1:") for some in ports.values() for port in some)


def test_no_secret_and_no_registry_is_in_these_files(compose: dict[str, Any]) -> None:
    for path in (COMPOSE / "compose.yaml", COMPOSE / "admin.env", COMPOSE / "Dockerfile"):
        assert not re.search(r"SU[A-Z2-7]{56}|BEGIN [A-Z ]*PRIVATE KEY|bw_\w{20}|sk-ant-", path.read_text())
    images = [service["image"] for service in compose["services"].values()]
    images += re.findall(r"^FROM (\S+)", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    assert not [image for image in images if "." in image.partition("/")[0].partition(":")[0]]


def test_each_image_is_a_target_of_the_dockerfile_that_does_not_end_as_root(compose: dict[str, Any]) -> None:
    stages = re.split(r"^FROM ", (COMPOSE / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    users = {stage.split()[2]: re.findall(r"^USER (\w+)", stage, re.MULTILINE) for stage in stages}
    for service in compose["services"].values():
        if "build" in service:
            assert users[service["build"]["target"]] == ["benchwire"]
            assert service["image"] == f"benchwire-{service['build']['target']}"


def test_the_containers_find_the_files_that_init_writes_for_them(tmp_path: Path) -> None:
    parts = {
        "nats": NATS,
        "window": "observability",
        "store": "documents",
        "runner-1": "agent",
        "bench-1": "flash-agent",
        "keeper": BACKUP,
    }
    lab = Lab(hosts={name: Host(address=name, parts=[part]) for name, part in parts.items()})
    write(tmp_path, lab, Places())
    named = set(re.findall(r"\$\{BENCHWIRE_LAB:-\./lab\}/([\w./-]+)", (COMPOSE / "compose.yaml").read_text()))
    by_hand = {"model.env", "tokens"}
    assert by_hand < named
    assert [one for one in named - by_hand if not (tmp_path / one).exists()] == []


def test_the_admins_environment_of_a_container_says_what_init_says_of_another_place(tmp_path: Path) -> None:
    write(tmp_path, Lab(hosts={"nats": Host(address="nats", parts=[NATS])}), Places())
    written = (tmp_path / "admin" / "admin.env").read_text().replace(str(tmp_path / "admin"), "/etc/benchwire")
    ours = [line for line in (COMPOSE / "admin.env").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in written.splitlines() if "REPLICAS" not in line] == ours
