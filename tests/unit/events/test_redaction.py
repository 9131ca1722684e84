"""Secrets are taken out on the way to the wire, and nothing else is."""

import base64
import hashlib
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.live import SerialLine, TaskLog
from benchwire.events.presence import Present
from benchwire.events.redaction import MARK, NAMES, Door, Speech, configured
from benchwire.events.serial import SerialWritten
from benchwire.events.session import MessageSent, SessionRequested, ToolCalled, ToolReturned
from benchwire.events.settings import InvalidSettings, NatsSettings, Secret
from benchwire.events.task import NodeGenerated
from benchwire.events.testing import samples

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
HEX = "0123456789abcdef"

# In two halves, so that nobody takes this file for a leak.
ANTHROPIC = "sk-" + "ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz012345-_67"
GITHUB = "gh" + "p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SEED = "SU" + "ACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PEM = "\n".join(
    [
        "-----BEGIN " + "EC PRIVATE KEY-----", "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49",
        "AwEHoUQDQgAEPR3tU2Fta9ktY+6P9G0cWO+0kETA6SFs38GecTyudlHz6xvCdz8q", "EKTcWGekdmdDPsHloRNtsiCa697B2O9IFA==",
        "-----END " + "EC PRIVATE KEY-----",
    ]
)  # fmt: skip
SECRETS = [
    ("anthropic key", ANTHROPIC),
    ("openai key", "sk-" + "proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123"),
    ("openai key", "sk-" + "AbCdEfGhIjKlMnOpQrStT3BlbkFJuVwXyZ0123456789AbCd"),
    ("aws key", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("google key", "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
    ("google key", "GOCSPX-" + "AbCdEfGhIjKlMnOpQrStUvWxYz01"),
    ("github token", GITHUB),
    ("github token", "github" + "_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz"),
    ("gitlab token", "glpat-" + "AbCdEfGhIjKlMnOpQrSt"),
    ("slack token", "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKl"),
    ("stripe key", "sk_" + "live_AbCdEfGhIjKlMnOpQrStUvWx"),
    ("npm token", "npm_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"),
    ("pypi token", "pypi-" + "AgEIcHlwaS5vcmcCJDNmAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"),
    ("hugging face token", "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"),
    ("jwt", JWT),
    ("nats seed", SEED),
    ("private key", PEM),
]
# Where the secret is only the part in the middle.
AROUND = [
    ("authorization", "Authorization: Basic ", "dXNlcjpodW50ZXIy", "\r\nHost: lab"),
    ("authorization", "curl -H 'authorization: bearer ", "abcdef-ghijkl-mnopqr", "' https://lab"),
    ("authorization", '{"Authorization": "Bearer ', "0123abcd0123abcd0123", '"}'),
    ("authorization", "X-Api-Key: ", "0123abcd0123abcd0123", ""),
    ("aws key", "aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", "\n"),
    ("password", "postgres://bob:", "tr0ub4dor", "@db.lab/bench"),
    ("password", "Server=db;User Id=sa;Password=", "Pa55-word", ";Encrypt=yes"),
    ("slack token", "https://hooks.slack.com/services/", "T00000000/B00000000/AbCdEfGhIjKl", " and"),
]  # fmt: skip


def returned(output: Any, **more: Any) -> ToolReturned:
    return ToolReturned(timestamp=NOW, session_id="s-1", tool_name="bash", tool_output=output, **more)


def through(door: Door, event: Event) -> Any:
    """What comes out; it is read again as it is on the wire."""
    body = door.body(event)
    again = codec.decode(body)
    assert isinstance(again, type(event))
    assert codec.encode(door.redacted(event)) == body
    assert door.body(again) == body, "what came out once stays as it is"
    return again


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("it is ", " now"),
        ('{"key": "', '"}'),
        ('{\\"key\\": \\"', '\\"}'),
        ("a\\n", "\\n"),
        ("(", ")."),
        ("KEY=", "\n"),
        ("é", "é"),
    ],
)
def test_each_kind_is_taken_out_wherever_it_stands(kind: str, secret: str, before: str, after: str) -> None:
    door = Door()
    event = through(door, returned(f"{before}{secret}{after}"))
    assert event.tool_output == f"{before}[redacted: {kind}]{after}"
    assert door.counts[kind] > 0


@pytest.mark.parametrize(("kind", "before", "secret", "after"), AROUND)
def test_what_stands_around_a_secret_stays(kind: str, before: str, secret: str, after: str) -> None:
    assert through(Door(), returned(f"{before}{secret}{after}")).tool_output == f"{before}[redacted: {kind}]{after}"


def test_a_key_that_is_json_in_json_or_cut_off_is_one_too() -> None:
    escaped = PEM.replace("\n", "\\n")
    assert Door().text(f'{{"private_key": "{escaped}\\n"}}') == '{"private_key": "[redacted: private key]\\n"}'
    assert Door().text(f"{PEM[:150]} …") == "[redacted: private key] …"
    assert (
        Door().text('if (strstr(line, "-----BEGIN PRIVATE KEY-----"))')
        == 'if (strstr(line, "-----BEGIN PRIVATE KEY-----"))'
    )


def test_every_place_of_a_record_is_looked_at() -> None:
    door = Door()
    given = {
        "command": f"export K={GITHUB}",
        "deep": [{"headers": {"Authorization": "Basic dXNlcjpodW50ZXIy", GITHUB: 1}}],
    }
    event = through(
        door, returned([{"type": "text", "text": f"it said {ANTHROPIC}"}], tool_input=given, error=f"no {JWT}")
    )
    assert event.tool_input == {
        "command": "export K=[redacted: github token]",
        "deep": [{"headers": {"Authorization": "Basic [redacted: authorization]", "[redacted: github token]": 1}}],
    }
    assert event.tool_output == [{"type": "text", "text": "it said [redacted: anthropic key]"}]
    assert event.error == "no [redacted: jwt]"
    sources = {"main.c": f'#define KEY "{ANTHROPIC}"\n', "plain.c": "int main(void);\n"}
    generated = NodeGenerated(timestamp=NOW, task_id="t", node_id="n", iteration=1, sources=sources)
    assert through(door, generated).sources == {
        "main.c": '#define KEY "[redacted: anthropic key]"\n',
        "plain.c": "int main(void);\n",
    }
    assert GITHUB not in str(
        door.redacted(Present(service="agent", name="a", version="1", pid=1, state=f"no {GITHUB}"))
    )


def test_keys_that_become_the_same_stay_several() -> None:
    event = through(Door(), returned({GITHUB: 1, GITHUB[:-1] + "x": 2}))
    assert list(event.tool_output.values()) == [1, 2]


def test_bytes_are_looked_at_too() -> None:
    data = b"\xff" + GITHUB.encode() + b"\xfe"
    line = SerialLine(timestamp=NOW, host="h", device="d", line=f"\\xff{GITHUB}\\xfe", number=1, data=data)
    event = through(Door(), line)
    assert event.data == b"\xff[redacted: github token]\xfe"
    assert event.line == "\\xff[redacted: github token]\\xfe"
    assert through(Door(), SerialWritten(timestamp=NOW, host="h", device="d", data=data)).data == event.data


def test_a_secret_without_a_form_is_known_when_this_process_has_it() -> None:
    settings = NatsSettings()
    environment = {
        "ANTHROPIC_API_KEY": "not-a-form", "LAB_PASSWORD": 'say "friend" ünd enter', "SHORT_TOKEN": "abc", "MAX_TOKENS": "100000000",
        "SSH_AUTH_SOCK": "/tmp/agent.sock", "TOKEN_FILE": "tokens.toml", "PGPASSWORD": "postgres", "AUTH_ROLE": "assistant",
    }  # fmt: skip
    door = configured(settings, environment)
    event = through(
        door, returned('not-a-form, say "friend" ünd enter, abc, 100000000, /tmp/agent.sock, tokens.toml, postgres')
    )
    assert (
        event.tool_output
        == "[redacted: own secret], [redacted: own secret], abc, 100000000, /tmp/agent.sock, tokens.toml, postgres"
    )


def test_each_kind_is_tried() -> None:
    """Also in pieces: how they begin is said once more there."""
    assert {kind for kind, *_ in (*SECRETS, *AROUND)} == {*NAMES} - {"own secret"}


def test_a_token_in_the_settings_is_one_of_them() -> None:
    class Own(NatsSettings, frozen=True, kw_only=True):
        token: Secret | None = None

    door = configured(Own(token=Secret("correct-horse")), {})
    assert door.text("Bearer correct-horse") == "Bearer [redacted: own secret]"


# -- what must stay


def ordinary() -> Iterator[str]:
    """What labs are full of."""
    rng = random.Random(7)
    for size in (16, 33, 1000, 50_000):
        data = rng.randbytes(size)
        yield data.hex()
        yield data.hex(" ")
        yield base64.b64encode(data).decode()
        yield base64.urlsafe_b64encode(data).decode()
        yield base64.b32encode(data).decode()
        yield "\n".join(
            f"{at:08x}  {data[at : at + 16].hex(' ')}  |{data[at : at + 16]!r}|" for at in range(0, min(size, 4000), 16)
        )
    for number in range(2000):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        yield f"{digest} {digest[:40]} {uuid.UUID(digest[:32])} task-{digest[:32]} disk-{digest[:20]} sha256:{digest}"
    yield "TASK-ONE sk-short sk_live skip-list risk-assessment-of-the-board-0123456789abcdef task_sk-learn AKIA AIza ghp_ npm_config_prefix"
    yield "Authorization: Bearer ${GITHUB_TOKEN}\nAuthorization: Bearer <token>\nAuthorization: Bearer YOUR_TOKEN_HERE"
    yield "the bearer of bad news, and basic authorization: it is token based"
    yield "https://user@example.com/a:b@c http://127.0.0.1:8765/x?a=1 git@github.com:org/repo.git scp a@b:/c http://${U}:${P}@host http://%s:%s@%s"
    yield 'static const char *password = "%s"; WiFi.begin(ssid, password); wifi_config.sta.password[0] = 0; connect(user=u, password=pw)'
    yield "main.c:12:5: error: 'GPIO_TypeDef' has no member named 'MODER' [-Werror]\nregion `FLASH' overflowed by 1024 bytes"
    yield "eyJ is how a jwt begins; SUBSCRIBE SNAPSHOT SOMETHINGTHATISVERYLONGINCAPITALSANDGOESONANDONFOREVERANDEVERYES"
    yield ":10010000214601360121470136007EFE09D2190140\nS1137AF00A0A0D0000000000000000000000000061"
    yield "GPG 0xE3FF2839C048B25C084DEBE9B26995E310250568 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b"
    yield "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAbcdefghijklmnop\n-----END CERTIFICATE-----"
    yield "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZI\n-----END PUBLIC KEY-----"


def test_ordinary_content_stays_as_it_is() -> None:
    door = Door()
    for text in ordinary():
        assert door.text(text) == text
        event = returned(text, tool_use_id=f"toolu_{len(text)}")
        assert door.body(event) == codec.encode(event)
        assert door.redacted(event) is event
    assert not door.counts


def test_the_projects_own_sources_stay_as_they_are() -> None:
    root = Path(__file__).parents[3]
    door = Door()
    files = [
        *root.glob("libs/boards/src/**/*"),
        *root.glob("services/agent/src/**/*.py"),
        *root.glob("libs/web/src/**/*.py"),
    ]
    read = [
        path.read_text(errors="replace")
        for path in files
        if path.is_file() and path.suffix in (".py", ".c", ".h", ".ld", ".s", ".toml")
    ]
    assert len(read) > 100
    assert [text for text in read if door.text(text) != text] == []


def test_every_sample_event_stays_as_it_is() -> None:
    door = Door()
    for event in samples.samples():
        assert door.body(event) == codec.encode(event)


def test_ids_and_digests_are_never_touched() -> None:
    """Whatever they look like: they are how things are found again."""
    event = ToolReturned(timestamp=NOW, session_id=GITHUB, tool_name="x", tool_use_id=GITHUB, tool_output=GITHUB)
    after = through(Door(), event)
    assert (after.session_id, after.tool_use_id, after.tool_output) == (GITHUB, GITHUB, "[redacted: github token]")


def test_what_only_the_endpoint_reads_is_not_damaged() -> None:
    """A signature that was changed, or a signed thought, would be refused, and the session with it."""
    opaque = "EqQB" + "AIza" + "A1b2" * 9 + "+/==" + "AKIA" + "ABCDEFGHIJKLMNOP"
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "where is it?", "signature": opaque},
        {"type": "redacted_thinking", "data": opaque},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": opaque}},
        {"type": "web_search_result", "encrypted_content": opaque, "url": "https://example.com"},
        {"type": "text", "text": f"here: {GITHUB}"},
    ]
    event = MessageSent(timestamp=NOW, session_id="s", role="assistant", content=blocks)
    after = through(Door(), event)
    assert after.content[:4] == blocks[:4]
    assert after.content[4]["text"] == "here: [redacted: github token]"


def test_a_signed_thought_that_holds_a_secret_is_left_out_whole() -> None:
    thought = {"type": "thinking", "thinking": f"the key is {GITHUB}", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": f"echo {GITHUB}"}}
    after = through(Door(), MessageSent(timestamp=NOW, session_id="s", role="assistant", content=[thought, use]))
    assert after.content[0] == {"type": "text", "text": "[redacted: a thought that held a secret]"}
    assert after.content[1] == {**use, "input": {"command": "echo [redacted: github token]"}}
    unsigned = {"type": "thinking", "thinking": f"the key is {GITHUB}"}
    after = through(Door(), MessageSent(timestamp=NOW, session_id="s", role="assistant", content=[unsigned]))
    assert after.content == [{"type": "thinking", "thinking": "the key is [redacted: github token]"}]


def test_what_claims_to_be_a_picture_hides_nothing() -> None:
    source = {"type": "base64", "data": ANTHROPIC}
    assert through(Door(), returned({"source": source})).tool_output["source"]["data"] == "[redacted: anthropic key]"


def test_what_is_nested_too_deeply_to_be_looked_through_is_left_out_when_it_holds_a_hint() -> None:
    def nested(inner: Any) -> Any:
        for _ in range(300):
            inner = [inner]
        return inner

    door = Door()
    assert GITHUB.encode() not in door.body(returned(nested(GITHUB)))
    plain = returned([nested("x"), GITHUB])
    body = door.body(plain)
    assert b'"x"' in body
    assert GITHUB.encode() not in body


# -- over several events


def test_a_private_key_that_a_board_prints_line_by_line_is_in_no_line() -> None:
    door = Door()
    printed = ["boot", *PEM.split("\n"), "ready", "AAAABBBBCCCC"]
    lines = [
        through_lines(door, SerialLine(timestamp=NOW, host="h", device="d", line=line, number=number))
        for number, line in enumerate(printed)
    ]
    assert lines == ["boot", printed[1], *["[redacted: private key]"] * 4, "ready", "AAAABBBBCCCC"]
    other = SerialLine(timestamp=NOW, host="h", device="e", line=printed[2], number=1)
    assert through_lines(door, other) == printed[2], "another board's line is its own"


def test_a_line_that_only_speaks_of_a_private_key_hides_nothing_behind_it() -> None:
    door = Door()
    said = ["no -----BEGIN RSA PRIVATE KEY----- found", "OK", "I (12) wifi: connected", "0123456789abcdef"]
    assert [through_lines(door, TaskLog(timestamp=NOW, task_id="t", line=line)) for line in said] == said


def through_lines(door: Door, event: Event) -> str:
    after: Any = codec.decode(door.body(event))
    return str(after.line)


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
@pytest.mark.parametrize("size", [1, 3, 7, 40])
def test_a_secret_that_is_spoken_in_pieces_is_never_heard(kind: str, secret: str, size: int) -> None:
    speech = Speech(Door())
    said = f"The key is {secret} and that was it.\nMore."
    heard = [speech.said(said[at : at + size]) for at in range(0, len(said), size)]
    assert "".join([*heard, speech.rest()]) == f"The key is [redacted: {kind}] and that was it.\nMore."


@pytest.mark.parametrize("size", [1, 5])
def test_what_says_that_a_secret_follows_is_held_with_it(size: int) -> None:
    speech = Speech(Door())
    said = "Send Authorization: Bearer abcdef-ghijkl-mnopqr now, or Authorization: Basic dXNlcjpodW50ZXIy"
    heard = "".join([*(speech.said(said[at : at + size]) for at in range(0, len(said), size)), speech.rest()])
    assert (
        heard
        == "Send Authorization: Bearer [redacted: authorization] now, or Authorization: Basic [redacted: authorization]"
    )


def test_ordinary_speech_is_held_for_a_word_at_most() -> None:
    speech = Speech(Door())
    said = "The board is flashed, and it prints what it should: hello 1, hello 2, done. " * 50
    told = 0
    for at, one in enumerate(said):
        told += len(speech.said(one))
        assert at + 1 - told < 20
    assert len(speech.rest()) + told == len(said)


@pytest.mark.parametrize(
    "word", ["ab", "hello", "GPIO_TypeDef", "0x08000000", "main.c", "done.", "tensor", "SysTick_Handler"]
)
def test_a_word_that_cannot_become_a_secret_is_not_held(word: str) -> None:
    assert Speech(Door(["hunter2-hunter2"])).said(f"so it is {word}") == f"so it is {word}"


@pytest.mark.parametrize("size", [1, 3, 9])
@pytest.mark.parametrize(("kind", "before", "secret", "after"), AROUND)
def test_what_stands_around_a_spoken_secret_stays(kind: str, before: str, secret: str, after: str, size: int) -> None:
    speech = Speech(Door())
    said = f"So it is\n{before}{secret}{after} there"
    heard = "".join([*(speech.said(said[at : at + size]) for at in range(0, len(said), size)), speech.rest()])
    assert heard == Door().text(said)
    assert secret not in heard


@pytest.mark.parametrize("size", [1, 3, 9])
def test_an_own_secret_is_held_until_it_is_whole(size: int) -> None:
    speech = Speech(Door(["hunter2-hunter2"]))
    said = "it is xhunter2-hunter2, or hunter2 alone, hunter2-h"
    heard = "".join([*(speech.said(said[at : at + size]) for at in range(0, len(said), size)), speech.rest()])
    assert heard == "it is x[redacted: own secret], or hunter2 alone, hunter2-h"


def test_speech_without_an_end_is_not_held_for_ever() -> None:
    speech = Speech(Door())
    heard = "".join(speech.said("A" * 100) for _ in range(1000))
    assert len(heard) > 80_000
    assert set(heard) == {"A"}
    jwt = Speech(Door())
    held = [jwt.said("eyJ" + "A" * 997) for _ in range(100)]
    assert len("".join(held)) > 80_000


# -- settings


def test_an_operator_adds_kinds_and_switches_others_off(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[patterns]\n\"acme key\" = 'acme_([0-9a-f]{8})'\n\"first word\" = '(?m)^hush\\b'\n")
    door = configured(NatsSettings(redact_patterns=file, redact_off=("github token",)), {})
    event = through(door, returned(f"acme_0123abcd {GITHUB}\nhush {ANTHROPIC}"))
    assert event.tool_output == f"acme_[redacted: acme key] {GITHUB}\n[redacted: first word] [redacted: anthropic key]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[patterns]\nx = "("', "the pattern of 'x' is no regular expression"),
        ('[patterns]\nx = "(?=a)"', "the pattern of 'x' is no regular expression"),
        ('[patterns]\nx = "a*"', "matches nothing at all"),
        ('[patterns]\nx = "redacted"', "which stands in the place of what it finds"),
        ('[patterns]\n"a]b" = "x"', "is no name for a kind"),
        ("[patterns]\nx = 1", "Expected `str`"),
        ("patterns", "cannot be used"),
        ("a = " + "[" * 100_000, "cannot be used"),
        ("x" * 300_000, "has more than"),
    ],
)  # fmt: skip
def test_patterns_that_cannot_be_used_are_told_at_the_start(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match="BENCHWIRE_REDACT_PATTERNS") as told:
        configured(NatsSettings(redact_patterns=file), {})
    assert sentence in str(told.value)


def test_a_kind_that_nobody_knows_cannot_be_switched_off() -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_REDACT_OFF: there is no kind of secrets 'passwords'"):
        configured(NatsSettings(redact_off=("passwords",)), {})
    everything = configured(NatsSettings(redact_off=NAMES), {"API_KEY": "0123456789"})
    assert everything.text(f"{GITHUB} 0123456789") == f"{GITHUB} 0123456789"


def test_a_flood_of_secrets_is_one_pass() -> None:
    """A megabyte of them: what is made is linear in what came."""
    many = f"{GITHUB} " * 20_000
    event = SessionRequested(timestamp=NOW, session_id="s", session_name="n", prompt=many)
    body = Door().body(event)
    assert body.count(MARK) == 20_000
    call = ToolCalled(timestamp=NOW, session_id="s", tool_name="n", tool_input={str(n): GITHUB for n in range(20_000)})
    assert msgspec.json.encode(call).count(GITHUB.encode()) == Door().body(call).count(MARK)


@pytest.mark.parametrize(
    "text",
    [
        ("-----BEGIN PRIVATE KEY-----" + "A" * 20) * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 30_000,
        "://a:" * 150_000,
        "user=x " * 100_000 + "password=",
        "eyJaaaaaaaa.eyJ" * 50_000,
    ],
    ids=["keys without end", "beginnings", "addresses", "pairs", "tokens"],
)
def test_no_text_is_read_to_its_end_again_and_again(text: str) -> None:
    """Each of these would take minutes if it was."""
    assert Door().text(text)
    speech = Speech(Door())
    assert all(speech.said(text[at : at + 50]) is not None for at in range(0, 30_000, 50))
