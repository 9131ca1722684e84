import fcntl
import hashlib
from pathlib import Path
from typing import Any

import pytest

from benchwire.client.documents import Documents
from benchwire.deploy.doc import pulling


def test_two_that_pull_the_same_bytes_into_one_folder_do_not_mix_them(tmp_path: Path) -> None:
    """Both went on from the draft of the other, and both said that what arrived was damaged."""
    document: dict[str, Any] = {"id": "doc_1", "checksum": hashlib.sha256(b"").hexdigest(), "size_bytes": 0}
    draft = tmp_path / f".{document['checksum'][:16]}.part"
    with Documents("http://127.0.0.1:1") as store:
        with draft.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(ValueError, match="already"):
                pulling.to_file(store, document, tmp_path / "a", lambda _: None)
        pulling.to_file(store, document, tmp_path / "a", lambda _: None)
    assert (tmp_path / "a").read_bytes() == b""
