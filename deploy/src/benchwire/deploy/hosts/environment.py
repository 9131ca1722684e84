"""The environment files of the parts: what ``NatsSettings`` and each service's settings read. Pure."""

from pathlib import PurePosixPath

from benchwire.deploy.hosts.described import Lab
from benchwire.events.catalog import AGENT, DOCUMENTS, OBSERVABILITY
from benchwire.events.permissions import inbox_of

_DOCUMENTS_PORT = 8766


def of_part(lab: Lab, host: str, part: str, *, etc: PurePosixPath, data: PurePosixPath) -> str:
    """The file of one part on its host, where the host's folder is ``etc`` and data goes to ``data``."""
    lines = {
        "BENCHWIRE_HOST": host,
        "BENCHWIRE_DATA": str(data),
        **_of_nats(lab, lab.client_urls(host), f"{part}.nk", etc),
        "BENCHWIRE_NATS_INBOX": inbox_of(part, host),
    }
    if part == AGENT:
        lines["BENCHWIRE_RUNNER"] = host
    if part == OBSERVABILITY:
        lines["BENCHWIRE_DOCUMENTS_URL"] = f"http://{_documents(lab, host)}:{_DOCUMENTS_PORT}"
    return _file(lines)


def of_person(lab: Lab, user: str, *, folder: PurePosixPath) -> str:
    """The file of whoever looks after the lab, or only looks: ``folder`` is where the keys are on that machine."""
    lines = _of_nats(lab, ",".join(lab.urls("tls", lab.client_port)), f"{user}.nk", folder)
    return _file(lines | {"BENCHWIRE_NATS_INBOX": inbox_of(user, lab.name)})


def _of_nats(lab: Lab, urls: str, key: str, folder: PurePosixPath) -> dict[str, str]:
    return {
        "BENCHWIRE_NATS_URL": urls,
        "BENCHWIRE_NATS_NKEY": str(folder / "keys" / key),
        "BENCHWIRE_NATS_CA": str(folder / "tls" / "ca.pem"),
        "BENCHWIRE_NATS_CERTIFICATE": str(folder / "tls" / "client.pem"),
        "BENCHWIRE_NATS_KEY": str(folder / "tls" / "client.key"),
        "BENCHWIRE_NATS_REPLICAS": str(lab.replicas),
    }


def _documents(lab: Lab, host: str) -> str:
    """Where that host finds documents: with itself, if they are there."""
    there = [(name, one.address) for name, one in lab.hosts.items() if DOCUMENTS in one.parts]
    return "127.0.0.1" if not there or any(name == host for name, _ in there) else there[0][1]


def _file(lines: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in lines.items())
