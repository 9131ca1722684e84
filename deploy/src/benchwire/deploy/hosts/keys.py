"""The keys of a lab: nkeys of its users, and a certificate authority of its own. What is there is never replaced."""

import ipaddress
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchwire.events import identity
from benchwire.events.settings import Secret

_AUTHORITY_FOR = timedelta(days=3653)
_CERTIFICATE_FOR = timedelta(days=825)
_RENEW_WITHIN = timedelta(days=90)
_YESTERDAY = timedelta(days=1)  # a host's clock may be late


def public_of(seed: Path) -> str:
    """The public key of the user whose seed is in that file; a new one is made when there is none."""
    if not seed.exists():
        write_secret(seed, identity.new_seed().encode())
    return identity.public_of(secret_in(seed))


def secret_in(path: Path) -> Secret:
    """What that file holds."""
    return Secret(path.read_text().strip())


def password_in(path: Path) -> Secret:
    """A long password; a new one is made when there is none."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32).encode() + b"\n")
    return secret_in(path)


class Authority:
    """The certificate authority of one lab, in ``ca.key`` and ``ca.pem`` of a folder; made there when it is not."""

    def __init__(self, folder: Path, lab: str) -> None:
        self._key_file, self.certificate_file = folder / "ca.key", folder / "ca.pem"
        if not self._key_file.exists():
            _make_authority(self._key_file, self.certificate_file, lab)
        self._key = _key_in(self._key_file)
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    def certify(self, folder: Path, kind: str, name: str, addresses: Iterable[str] = ()) -> bool:
        """``<kind>.key`` and ``<kind>.pem`` in ``folder``, for a server at ``addresses`` or, without any, for a client.

        A key that is there stays. The certificate is made anew when addresses have changed, or when it ends soon; whether it was.
        """
        key_file, certificate_file = folder / f"{kind}.key", folder / f"{kind}.pem"
        if not key_file.exists():
            write_secret(key_file, _pem(ec.generate_private_key(ec.SECP256R1())))
        wanted = _names(addresses)
        if certificate_file.exists() and _still_good(certificate_file, wanted):
            return False
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if wanted else [])]
        builder = _begun(name, self._certificate.subject, _key_in(key_file), _CERTIFICATE_FOR)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if wanted:
            builder = builder.add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        write_public(
            certificate_file, builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return True


def write_secret(path: Path, body: bytes) -> None:
    """Writes a file that only its owner may read, from its first byte on; a reader sees it whole or not at all."""
    _write(path, body, 0o600)


def write_public(path: Path, body: bytes) -> None:
    """Writes a file that everybody may read; a reader sees it whole or not at all."""
    _write(path, body, 0o644)


def _write(path: Path, body: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(opened, "wb") as file:
            os.fchmod(opened, mode)  # whatever the umask says
            file.write(body)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _make_authority(key_file: Path, certificate_file: Path, lab: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Benchwire {lab}")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _begun(f"Benchwire {lab}", name, key, _AUTHORITY_FOR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    # The certificate first: whoever finds the key finds both.
    write_public(certificate_file, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    write_secret(key_file, _pem(key))


def _begun(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _YESTERDAY).not_valid_after(now + lasts)


def _names(addresses: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for address in sorted(set(addresses)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    return names


def _still_good(path: Path, wanted: list[x509.GeneralName]) -> bool:
    there = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = list(there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    return names == wanted and there.not_valid_after_utc - datetime.now(UTC) > _RENEW_WITHIN


def _key_in(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds a key of another kind than this command makes")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
