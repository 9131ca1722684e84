import os
import resource
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from benchwire.deploy.backup import restoring
from benchwire.deploy.backup.container import Backup, Draft, Manifest, Stream, drafted, opened
from benchwire.deploy.backup.errors import NotDone
from benchwire.deploy.backup.protocol import Head
from benchwire.deploy.backup.queues import Queue
from benchwire.events.streams import Origin

HEAD = Head({"name": "BENCH"}, {"last_seq": 7, "bytes": 70})


def written(draft: Draft, log: bytes = b"log" * 1000) -> Manifest:
    members = []
    for name, data in (("BENCH", log), ("OBJ_artifacts", b"artifacts"), ("late-records", b"[]")):
        draft.begin(name)
        draft.write(data[:5])
        draft.write(data[5:])
        members.append(draft.end())
    manifest = Manifest(
        made_at=datetime(2026, 1, 17, 12, tzinfo=UTC), origin=Origin("then"), lost_its_beginning=False,
        lab="lab", benchwire="0.1.0", nats_server="2.15.1",
        log=Stream(HEAD, members[0]), artifacts=Stream(HEAD, members[1]), late_records=members[2], queues=[Queue({"durable_name": "q"}, 3)],
    )  # fmt: skip
    draft.finish(manifest)
    return manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lab.tar"
    with drafted(path) as draft:
        written(draft)
    return path


def read(path: Path) -> Manifest:
    with opened(path) as backup:
        for member in backup.manifest.members:
            for _ in backup.checked(member):
                pass
        return backup.manifest


def test_what_was_written_is_read(path: Path) -> None:
    with opened(path) as backup:
        assert b"".join(backup.pieces(backup.manifest.log.member)) == b"log" * 1000
        assert backup.manifest.queues == [Queue({"durable_name": "q"}, 3)]
        assert backup.manifest.log.head.last_sequence == 7
    assert read(path).made_at == datetime(2026, 1, 17, 12, tzinfo=UTC)


def test_a_backup_is_for_its_owner_only(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_any_tar_lists_it_and_its_manifest_can_be_checked_by_hand(path: Path) -> None:
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["BENCH", "OBJ_artifacts", "late-records", "manifest.json", "manifest.json.sha256"]


def test_a_file_that_is_there_is_not_written_over(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(NotDone, match="is there already"), drafted(path):
        pass
    assert path.read_bytes() == before


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def broken_off() -> None:
        with drafted(tmp_path / "lab.tar") as draft:
            draft.begin("BENCH")
            raise NotDone("NATS fell silent")

    with pytest.raises(NotDone, match="NATS fell silent"):
        broken_off()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may be larger than 64 KiB: what a full disk does, for one process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full_ends_with_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(NotDone, match="cannot be written: File too large; nothing of it is left"),
        drafted(tmp_path / "lab.tar") as draft,
    ):
        written(draft, os.urandom(200_000))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotDone, match="No such file or directory"), drafted(tmp_path / "nowhere" / "lab.tar"):
        pass


def test_a_truncated_file_is_refused_wherever_it_ends(path: Path) -> None:
    whole = path.read_bytes()
    end_of_sum = len(whole) - 2 * tarfile.BLOCKSIZE
    for size in range(0, end_of_sum - tarfile.BLOCKSIZE, 131):
        path.write_bytes(whole[:size])
        with pytest.raises(NotDone):
            read(path)


def test_an_altered_byte_is_noticed_wherever_something_is_said(path: Path) -> None:
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        said = [at for one in tar.getmembers() for at in range(one.offset_data, one.offset_data + one.size, 101)]
    for at in said:
        altered = bytearray(whole)
        altered[at] ^= 1
        path.write_bytes(altered)
        with pytest.raises(NotDone, match="damaged"):
            read(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab.tar"
    path.write_text("not a backup at all")
    with pytest.raises(NotDone, match="is not a whole backup"):
        read(path)
    with tarfile.open(path, "w") as tar:
        tar.add(__file__, "BENCH")
    with pytest.raises(NotDone, match="it has no manifest"):
        read(path)


def test_a_later_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.tar"

    class Later(Draft):
        def finish(self, manifest: Manifest) -> None:
            super().finish(msgspec.structs.replace(manifest, format=2))

    with drafted(path) as draft:
        written(Later(draft._file))
    with pytest.raises(NotDone, match="format 2; this version reads format 1"), opened(path):
        pass


def test_a_backup_that_is_cut_while_it_is_read_is_refused(path: Path) -> None:
    with opened(path) as backup:
        assert isinstance(backup, Backup)
        os.truncate(path, 600)
        with pytest.raises(NotDone, match="ends in the middle"):
            list(backup.pieces(backup.manifest.log.member))


def test_a_backup_that_would_make_another_stream_is_refused(path: Path) -> None:
    whole = read(path)
    other = msgspec.structs.replace(whole.log, head=Head({"name": "OTHER"}, HEAD.state))
    restoring._check_names(msgspec.structs.replace(whole, artifacts=named("OBJ_artifacts", whole.artifacts)))
    with pytest.raises(NotDone, match="not a backup of a lab"):
        restoring._check_names(msgspec.structs.replace(whole, log=other))


def named(name: str, stream: Stream) -> Stream:
    return msgspec.structs.replace(stream, head=Head({"name": name}, stream.head.state))
