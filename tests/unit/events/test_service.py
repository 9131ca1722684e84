from nats.micro.service import ServiceConfig

from benchwire.events.service import version_of


def test_what_is_not_installed_has_a_version_that_a_service_may_have() -> None:
    version = version_of("benchwire-nowhere")
    assert ServiceConfig(name="nowhere", version=version).version == "0.0.0"
