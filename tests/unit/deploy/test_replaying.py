"""What a replay takes from a cassette, and what it leaves alone."""

import pytest
from msgspec.structs import replace

from benchwire.deploy.alone import with_virtual_boards_only
from benchwire.deploy.recording import NotRecordable, replaying
from benchwire.deploy.scripted.cassette import Cassette, Conversation, Result, Said, SessionAsked, Spoken, TaskAsked

SAID = [Said(text="hurry", during=2), Said(text="and now", during=3, resumed=True)]
OF_SESSION = Cassette(
    cassette=1,
    request=SessionAsked(body={"session_id": "s", "prompt": "p"}, said=SAID),
    conversation=[Conversation(name="s", turn=[Spoken(text=text) for text in ("one", "two", "three")])],
)


def of_node(board: str, *names: str) -> Conversation:
    turn = Spoken(text="x", results=[Result(name=name) for name in names])
    return Conversation(name=board, contains=[f"Board profile: {board}\n", "Write this firmware:\nx\n"], turn=[turn])


def test_a_board_is_plugged_in_for_each_node_that_went_onto_one() -> None:
    plan = Conversation(name="plan", structured=True, turn=[])
    nodes = [
        plan,
        of_node("esp32c3", "compile", "deploy"),
        of_node("stm32f405", "compile"),
        of_node("esp32c3", "deploy"),
    ]
    cassette = Cassette(cassette=1, request=TaskAsked(body={}), conversation=nodes)
    assert replaying.boards_of(cassette) == ["esp32c3", "esp32c3"]


def test_the_answer_during_which_somebody_spoke_waits_for_what_is_said_again() -> None:
    held = replaying._held(OF_SESSION)
    assert [turn.delay_s > 0 for turn in held.conversation[0].turn] == [False, True, False]
    assert replaying._held(replace(OF_SESSION, request=SessionAsked(body={}))).conversation == OF_SESSION.conversation


def test_nothing_of_another_lab_or_a_model_reaches_the_one_that_is_played_in() -> None:
    told = replaying._of_its_own(
        {
            "PATH": "/bin", "ANTHROPIC_API_KEY": "k", "NATS_URL": "n", "BENCHWIRE_NATS_URL": "n", "BENCHWIRE_TOKEN": "t",
            "BENCHWIRE_DATA": "d", "BENCHWIRE_BOARDS": "b", "BENCHWIRE_CASSETTE": "c", "BENCHWIRE_SANDBOX": "limits",
        }
    )  # fmt: skip
    assert told == {
        "PATH": "/bin",
        "BENCHWIRE_SANDBOX": "limits",
        "BENCHWIRE_PORTS": "off",
        "BENCHWIRE_PROBES": "off",
        "BENCHWIRE_IDENTIFY": "off",
    }


def test_a_cassette_that_does_not_say_what_was_asked_cannot_be_replayed() -> None:
    with pytest.raises(NotRecordable, match="up --cassette"):
        replaying.playable(Cassette(cassette=1))


def test_a_cassette_that_was_written_by_hand_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(NotRecordable, match="no session_id"):
        replaying.playable(Cassette(cassette=1, request=SessionAsked(body={"prompt": "p"})))
    with pytest.raises(NotRecordable, match="no conversation"):
        replaying.playable(replace(OF_SESSION, conversation=[]))


def test_a_lab_beside_another_keeps_the_model_and_leaves_the_boards() -> None:
    told = with_virtual_boards_only(
        {"ANTHROPIC_API_KEY": "k", "BENCHWIRE_BOARDS": "b", "BENCHWIRE_PROBES": "on", "BENCHWIRE_IDENTIFY": "on"}
    )
    assert told == {
        "ANTHROPIC_API_KEY": "k",
        "BENCHWIRE_PORTS": "off",
        "BENCHWIRE_PROBES": "off",
        "BENCHWIRE_IDENTIFY": "off",
    }
