"""What is sent for messages, as a server reads it."""

import pytest
from nats.errors import BadSubjectError
from nats.protocol.command import hpub_cmd, pub_cmd

from benchwire.events.outgoing import Outgoing, framed


def test_messages_are_framed_as_the_client_library_does_it_one_behind_the_other() -> None:
    messages = [
        Outgoing("a.b", b"one"),
        Outgoing("a.c", b"", {"Nats-Msg-Id": "7", "Who": "Grün "}),
        Outgoing("a.d", memoryview(b"\r\nthree")),
    ]
    headers = "NATS/1.0\r\nNats-Msg-Id: 7\r\nWho: Grün\r\n\r\n".encode()
    expected = (
        pub_cmd("a.b", "r.1", b"one") + hpub_cmd("a.c", "r.2", headers, b"") + pub_cmd("a.d", "r.3", b"\r\nthree")
    )
    assert framed(messages, ["r.1", "r.2", "r.3"]) == expected


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b  0", "a\tb", "a\n"])
def test_a_subject_that_is_not_one_word_is_refused(subject: str) -> None:
    with pytest.raises(BadSubjectError):
        framed([Outgoing("a", b""), Outgoing(subject, b"")], ["r.1", "r.2"])


@pytest.mark.parametrize("value", ["x\r\nAnother: header", "x\nAnother: header", "x\rAnother: header"])
def test_a_value_of_several_lines_begins_no_other_header(value: str) -> None:
    (sent,) = [framed([Outgoing("a", b"body", {"One": value, "Two": "2"})], ["r"])]
    lines = sent.split(b"\r\n")
    assert lines[1] == b"NATS/1.0"
    assert lines[2].startswith(b"One: x ")
    assert lines[2].endswith(b"Another: header")
    assert lines[3:] == [b"Two: 2", b"", b"body", b""]


def test_lengths_are_counted_in_bytes() -> None:
    assert framed([Outgoing("a", "ü".encode(), {"W": "ü"})], ["r"]).startswith(b"HPUB a r 19 21\r\n")
