"""Request and reply: only what may be forgotten. What must happen is a fact in the log."""

import msgspec


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", tag_field="answer"):
    """A reply that says no: ``code`` for programs, ``detail`` for people."""

    code: str
    detail: str


class ScanHost(msgspec.Struct, frozen=True, kw_only=True):
    """Asks a host's flash agent to look for boards now. Subject ``ask.host.{host}.scan``."""

    host: str


class HostScanned(msgspec.Struct, frozen=True, kw_only=True, tag="host_scanned", tag_field="answer"):
    """What is plugged in at this moment."""

    host: str
    devices: list[str]
