"""Who a service is to NATS: its key, the authority that it believes, and the certificate that it shows."""

import os
import ssl
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]

from benchwire.events.settings import InvalidSettings, NatsSettings, Secret

_SEED = "SU"  # how the seed of a user's key begins


def options_of(settings: NatsSettings) -> dict[str, Any]:
    """What nats-py's ``connect`` is told about it. Reads files. Raises ``InvalidSettings`` with a sentence that names the variable."""
    options: dict[str, Any] = {"inbox_prefix": settings.nats_inbox}
    if settings.nats_credentials is not None:
        _read("NATS_CREDENTIALS", settings.nats_credentials)
        options["user_credentials"] = str(settings.nats_credentials)
    elif settings.nats_nkey is not None:
        options["nkeys_seed_str"] = _seed(settings.nats_nkey)
    if (context := _tls(settings)) is not None:
        options["tls"] = context
    return options


def new_seed() -> Secret:
    """The seed of a new user's key."""
    return Secret(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def public_of(seed: Secret) -> str:
    """The public key of the user with that seed: what a server's configuration has. Raises ``ValueError`` when it is no seed."""
    try:
        pair = nkeys.from_seed(bytearray(seed.encode()))
    except nkeys.NkeysError as error:
        raise ValueError("that is not the nkey seed of a user") from error
    return bytes(pair.public_key).decode()


def _seed(path: Path) -> Secret:
    seed = Secret(_read("NATS_NKEY", path).strip())
    if not _is_of_user(seed):
        raise InvalidSettings(f"BENCHWIRE_NATS_NKEY: {path} does not hold the nkey seed of a user")
    return seed


def _is_of_user(seed: Secret) -> bool:
    try:
        public_of(seed)
    except ValueError:
        return False
    return seed.startswith(_SEED)


def _tls(settings: NatsSettings) -> ssl.SSLContext | None:
    if settings.nats_ca is None:
        if settings.nats_certificate is not None or settings.nats_key is not None:
            raise InvalidSettings("BENCHWIRE_NATS_CA: a certificate needs the authority of the server beside it")
        return None
    if (settings.nats_certificate is None) != (settings.nats_key is None):
        raise InvalidSettings("BENCHWIRE_NATS_CERTIFICATE and BENCHWIRE_NATS_KEY go together")
    _read("NATS_CA", settings.nats_ca)
    try:
        context = ssl.create_default_context(cafile=settings.nats_ca)
    except ssl.SSLError:
        raise InvalidSettings(f"BENCHWIRE_NATS_CA: {settings.nats_ca} holds no certificate") from None
    if settings.nats_certificate is not None and settings.nats_key is not None:
        _read("NATS_CERTIFICATE", settings.nats_certificate)
        _read("NATS_KEY", settings.nats_key)
        try:
            context.load_cert_chain(settings.nats_certificate, settings.nats_key, password=_none_asked)
        except (ssl.SSLError, ValueError):
            raise InvalidSettings(
                f"BENCHWIRE_NATS_KEY: {settings.nats_key} is not the key of {settings.nats_certificate}"
            ) from None
    return context


def _none_asked() -> str:
    raise ValueError("the key has a passphrase, and nobody is there to type it")  # OpenSSL would ask the terminal


def _read(variable: str, path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidSettings(f"BENCHWIRE_{variable}: {path} cannot be read: {why}") from None
