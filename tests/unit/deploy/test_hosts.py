"""`benchwire deploy init`: what it takes, what it writes, and what it keeps."""

import os
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from benchwire.deploy.hosts import described, nats_conf, writing
from benchwire.deploy.hosts.described import BadLab, Host, Lab, checked, host_of
from benchwire.deploy.hosts.watch import Refusals, _end_of, _read
from benchwire.events import permissions
from benchwire.events.permissions import Permissions, all_of, covers, of
from benchwire.events.settings import NatsSettings, load

THREE = {name: Host(address=f"10.0.0.{number}", parts=["nats"]) for number, name in enumerate("abc", start=1)}
LAB = Lab(hosts={**THREE, "room": Host(parts=["leaf", "flash-agent"]), "desk": Host(parts=["agent"])})


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_running_it_again_changes_nothing(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())
    before = files(tmp_path)
    writing.write(tmp_path, described.read(tmp_path / described.NAME), writing.Places())
    assert files(tmp_path) == before


def test_a_host_that_is_added_gets_keys_and_all_others_keep_theirs(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())
    before = files(tmp_path)
    more = msgspec.structs.replace(LAB, hosts=LAB.hosts | {"attic": Host(parts=["flash-agent"])})
    writing.write(tmp_path, more, writing.Places())
    after = files(tmp_path)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"lab.toml", *(f"hosts/{name}/nats-server.conf" for name in ("a", "b", "c", "room"))}
    assert {name for name in after if name not in before and name.endswith(".nk")} == {
        "hosts/attic/keys/flash-agent.nk"
    }
    assert (
        b"CONSUMER.MSG.NEXT.BENCH.flash-attic" in after["hosts/room/nats-server.conf"]
    )  # withheld from the other host's agent


def test_a_host_that_is_taken_out_is_let_in_no_more(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())
    less = msgspec.structs.replace(LAB, hosts={name: one for name, one in LAB.hosts.items() if name != "desk"})
    writing.write(tmp_path, less, writing.Places())
    assert writing.left_over(tmp_path, less) == ["desk"]
    assert "agent on desk" not in (tmp_path / "hosts/a/nats-server.conf").read_text()


def test_secrets_are_for_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        writing.write(tmp_path, LAB, writing.Places())
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.suffix in (".nk", ".key", ".password", ".conf"):
            assert mode == 0o600, path
        elif path.is_file():
            assert mode == 0o644, path
    assert stat.S_IMODE((tmp_path / "admin").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "hosts/room").stat().st_mode) == 0o700


def test_no_seed_and_no_password_stands_in_a_file_that_others_may_read(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())
    secrets = [path.read_bytes().strip() for path in tmp_path.rglob("*") if path.suffix in (".nk", ".password")]
    shown = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mode & 0o044]
    assert shown
    assert [path for path in shown for secret in secrets if secret in path.read_bytes()] == []


def test_the_environment_of_a_part_is_one_that_its_settings_take(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())
    lines = (tmp_path / "hosts/room/flash-agent.env").read_text().splitlines()
    told = load(NatsSettings, dict(line.split("=", 1) for line in lines))
    assert told.nats_url == "tls://127.0.0.1:4222"
    assert told.nats_nkey == Path("/etc/benchwire/keys/flash-agent.nk")
    assert (told.nats_inbox, told.nats_replicas) == ("_INBOX.flash-agent.room", 3)
    assert "tls://10.0.0.1:4222,tls://10.0.0.2:4222" in (tmp_path / "hosts/desk/agent.env").read_text()


def test_only_servers_have_certificates_for_servers(tmp_path: Path) -> None:
    writing.write(tmp_path, LAB, writing.Places())

    def of_server(path: str) -> bool:
        found = x509.load_pem_x509_certificate((tmp_path / "hosts" / path).read_bytes())
        usages = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return ExtendedKeyUsageOID.SERVER_AUTH in usages

    assert of_server("a/tls/server.pem")
    assert not of_server("a/tls/client.pem")
    assert not (tmp_path / "hosts/desk/tls/server.pem").exists()


@pytest.mark.parametrize(
    ("lab", "sentence"),
    [
        (Lab(hosts={"a": Host(parts=["agent"])}), "somebody has to keep the log"),
        (Lab(hosts=dict(list(THREE.items())[:2])), "of two servers none can go on"),
        (Lab(hosts={"a": Host(parts=["nats", "toaster"])}), "there is no part 'toaster'"),
        (Lab(hosts={"a": Host(address="10.0.0.1", parts=["nats", "leaf"])}), "needs no leaf node beside it"),
        (
            Lab(hosts={"a": Host(address="10.0.0.1", parts=["nats"]), "b": Host(parts=["leaf", "backup"])}),
            "not behind a leaf node",
        ),
        (Lab(hosts={"a.b": Host(parts=["nats"])}), "a.b"),
        (Lab(hosts={"a": Host(parts=["nats"]), "b": Host(parts=["agent"])}), "needs an address that is not 127.0.0.1"),
        (Lab(hosts={"a": Host(address='x" }', parts=["nats"])}), "is no address"),
    ],
)
def test_a_lab_that_cannot_be_is_refused_in_one_sentence(lab: Lab, sentence: str) -> None:
    with pytest.raises(BadLab, match=sentence):
        checked(lab)


def test_a_file_that_describes_something_else_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for text in ("hosts = 1", "[hosts.a]\nparts = ['nats']\ncolour = 'red'", "]", "[hosts.a]\nparts = ['nats']\n[x]\n"):
        (tmp_path / "lab.toml").write_text(text)
        with pytest.raises(BadLab, match=r"lab\.toml"):
            described.read(tmp_path / "lab.toml")


def test_a_host_in_one_line() -> None:
    assert host_of("a=10.0.0.1:nats,agent") == ("a", Host(address="10.0.0.1", parts=["nats", "agent"]))
    assert host_of("a=[fd00::1]:nats") == ("a", Host(address="fd00::1", parts=["nats"]))
    assert host_of("a:agent") == ("a", Host(parts=["agent"]))
    with pytest.raises(BadLab, match="is no host"):
        host_of("agent")


def test_what_a_lab_is_told_as_is_read_as_the_same(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(LAB, name="x", client_port=1, monitor_port=0)
    (tmp_path / "lab.toml").write_text(described.told(odd))
    assert described.read(tmp_path / "lab.toml") == odd


def test_a_leaf_node_may_do_what_the_parts_behind_it_may_and_no_more() -> None:
    parts = ["flash-agent", "agent", "nats"]
    both = all_of(parts, "a", ["a", "b"])
    each = [of(part, "a", ["a", "b"]) for part in parts]
    subjects = {subject for one in each for subject in (*one.publish, *one.withheld)}
    for subject in subjects:
        assert both.may_publish(subject) == any(one.may_publish(subject) for one in each), subject
    assert not both.may_publish("$JS.API.CONSUMER.MSG.NEXT.BENCH.flash-b")
    assert both.may_publish("$JS.API.CONSUMER.MSG.NEXT.BENCH.flash-a")
    assert both.may_publish("$JS.API.CONSUMER.MSG.NEXT.BENCH.agents-tasks")
    behind = nats_conf.of_leaf(both)
    assert not [one for one in behind.publish if one.startswith(("$JS.API.", "_INBOX"))]


def test_subjects_are_covered_as_nats_sees_it() -> None:
    assert covers("a.*", "a.b")
    assert covers("a.>", "a.b.c")
    assert not covers("a.*", "a.b.c")
    assert not covers("a.>", "a")
    assert not covers("a.*", "a.>")
    assert covers("a.*", "a.*")
    assert not covers("a.b", "a.*")


def test_there_is_no_part_of_another_name() -> None:
    with pytest.raises(LookupError, match="there is no part 'toaster'"):
        of("toaster", "a", [])
    assert of("admin", "a", []) == Permissions(free=True)
    assert permissions.inbox_of("agent", "a") == "_INBOX.agent.a"


def test_refusals_in_the_log_of_a_server_are_counted_and_other_lines_are_not() -> None:
    head, user = "[1] 2026/11/21 20:46:01.937410 [ERR] 127.0.0.1:56 - cid:22 -", f'"x" - "LAB/nkey:U{"A" * 55}"'
    refusals = Refusals()
    for line in (
        f'{head} {user} - Publish Violation - Subject "bench.x"',
        f'{head} {user} - Subscription Violation - Subject "ask.x"',
        f"{head} authentication error",
        "[1] 2026/11/21 20:46:01.937410 [INF] Server is ready",
        f"{head} Publish Violation".replace("[ERR]", "[INF]"),
    ):
        refusals.take(line)
    assert refusals.number == 3


def test_a_log_that_is_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    place = _end_of(path)
    with path.open("ab") as file:
        file.write(b"one\n")
    place, came = _read(path, place)
    assert came == b"one\n"
    path.rename(tmp_path / "log.1")
    place, came = _read(path, place)
    assert came == b""
    path.write_bytes(b"two\n")
    place, came = _read(path, place)
    assert came == b"two\n"
