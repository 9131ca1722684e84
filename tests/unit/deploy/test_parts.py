"""Settings in, processes out."""

from pathlib import Path

import pytest

from benchwire.deploy.parts import Announced, Part, Served, Site, Stage, board_names, has_model, nats_part, parts_of
from benchwire.deploy.settings import Settings
from benchwire.events.event import token
from benchwire.events.settings import Secret, load


def site(*, model_port: int | None = 3, environment: dict[str, str] | None = None, **given: object) -> Site:
    settings = Settings(host="bench", **given)  # type: ignore[arg-type]
    return Site(
        settings=settings,
        data=Path("/lab"),
        run_dir=Path("/lab/run"),
        observability_port=1,
        documents_port=2,
        model_port=model_port,
        nats_url="nats://127.0.0.1:4",
        nats_argv=["nats-server"],
        environment=environment or {"PATH": "/bin"},
    )


def parts(place: Site) -> dict[str, Part]:
    return {part.name: part for part in parts_of(place)}


def test_a_lab_has_the_four_services_its_boards_and_the_scripted_model() -> None:
    names = list(parts(site(virtual=["stm32f405", "esp32c3", "stm32f405"])))
    boards = ["board-stm32f405-1", "board-esp32c3-1", "board-stm32f405-2"]
    assert names == ["observability", "documents", "agent", "flash-agent", *boards, "scripted-model"]


def test_with_a_server_of_somebody_elses_there_is_no_nats_part() -> None:
    assert [part.name for part in nats_part(site())] == ["nats"]
    elsewhere = Site(**{**{name: getattr(site(), name) for name in Site.__struct_fields__}, "nats_argv": []})
    assert nats_part(elsewhere) == []


def test_every_part_is_told_where_nats_and_the_data_are() -> None:
    for part in parts(site()).values():
        assert part.env["BENCHWIRE_NATS_URL"] == "nats://127.0.0.1:4"
        assert part.env["BENCHWIRE_DATA"] == "/lab"
        assert part.env["BENCHWIRE_HOST"] == "bench"
        assert part.env["PATH"] == "/bin"


def test_the_key_of_a_real_model_reaches_the_agent_and_nobody_else() -> None:
    there = parts(site(model_port=None, environment={"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_BASE_URL": "http://x"}))
    assert "scripted-model" not in there
    assert there["agent"].env["ANTHROPIC_API_KEY"] == "secret"
    assert there["agent"].env["ANTHROPIC_BASE_URL"] == "http://x"
    assert [name for name, part in there.items() if "secret" in part.env.values()] == ["agent"]


def test_without_a_model_the_agent_alone_is_pointed_at_the_scripted_one() -> None:
    there = parts(site(environment={"NO_PROXY": "example.org"}))
    assert there["agent"].env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:3"
    assert there["agent"].env["NO_PROXY"] == "example.org,127.0.0.1"
    assert [name for name, part in there.items() if "ANTHROPIC_BASE_URL" in part.env] == ["agent"]


@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({}, False),
        ({"ANTHROPIC_API_KEY": ""}, False),
        ({"ANTHROPIC_API_KEY": "k"}, True),
        ({"ANTHROPIC_BASE_URL": "http://x"}, True),
        ({"ANTHROPIC_AUTH_TOKEN": "t"}, True),
        ({"ANTHROPIC_LOG": "debug"}, False),
    ],
)
def test_a_key_an_address_or_a_token_means_a_real_model(environment: dict[str, str], there: bool) -> None:
    assert has_model(environment) is there


def test_the_flash_agent_alone_looks_for_virtual_boards_because_some_may_be_added_later() -> None:
    for there in (parts(site()), parts(site(virtual=["esp32c3"]))):
        assert [name for name, part in there.items() if "BENCHWIRE_VIRTUAL_DIR" in part.env] == ["flash-agent"]


def test_agents_end_before_what_they_talk_to() -> None:
    stages = {name: part.stage for name, part in parts(site(virtual=["esp32c3"])).items()}
    assert {name for name, stage in stages.items() if stage is Stage.AGENTS} == {"agent", "flash-agent"}
    assert {stage for name, stage in stages.items() if name not in ("agent", "flash-agent")} == {Stage.SERVICES}
    assert list(Stage) == [Stage.AGENTS, Stage.SERVICES, Stage.NATS]


def test_all_stages_together_are_gone_in_under_five_seconds() -> None:
    assert (
        sum(next(iter(nats_part(site()))).grace_s if stage is Stage.NATS else _grace_s(stage) for stage in Stage) < 4.5
    )


def _grace_s(stage: Stage) -> float:
    return max(part.grace_s for part in parts_of(site()) if part.stage is stage)


def test_health_is_asked_on_loopback_also_when_a_service_listens_everywhere() -> None:
    there = parts(site(observability_host="0.0.0.0", documents_host="::"))
    assert there["observability"].health == Served("http://127.0.0.1:1/health")
    assert there["documents"].health == Served("http://[::1]:2/health")
    assert parts(site(documents_host="::1"))["documents"].health == Served("http://[::1]:2/health")


def test_the_page_is_told_where_documents_are_and_may_call_there() -> None:
    env = parts(site())["documents"].env
    assert env["BENCHWIRE_DOCUMENTS_URL"] == "http://127.0.0.1:2"
    assert (env["BENCHWIRE_OBSERVABILITY_HOST"], env["BENCHWIRE_OBSERVABILITY_PORT"]) == ("127.0.0.1", "1")
    own = {"BENCHWIRE_DOCUMENTS_URL": "https://docs.lab", "BENCHWIRE_CORS_ORIGINS": "https://dashboard.lab"}
    env = parts(site(environment=own))["observability"].env
    assert env["BENCHWIRE_DOCUMENTS_URL"] == "https://docs.lab"
    assert env["BENCHWIRE_CORS_ORIGINS"] == "https://dashboard.lab"


def test_the_agent_runner_has_the_hosts_name_unless_it_has_its_own() -> None:
    assert parts(site())["agent"].health == Announced("agent", "bench")
    own = parts(site(runner="runner-7"))["agent"]
    assert own.health == Announced("agent", "runner-7")
    assert own.env["BENCHWIRE_RUNNER"] == "runner-7"


def test_boards_are_numbered_by_profile() -> None:
    assert board_names(["a", "b", "a"]) == ["a-1", "b-1", "a-2"]


def test_settings_come_from_the_environment() -> None:
    settings = load(
        Settings,
        {
            "BENCHWIRE_DATA": "/d",
            "BENCHWIRE_NATS_PORT": "0",
            "BENCHWIRE_VIRTUAL": "esp32c3,stm32f405",
            "BENCHWIRE_TOKEN": "t",
        },
    )
    assert settings.data == Path("/d")
    assert settings.nats_port == 0
    assert settings.virtual == ["esp32c3", "stm32f405"]
    assert settings.token == Secret("t")
    assert "t'" not in repr(settings.token)
    assert token(settings.host, "host")
