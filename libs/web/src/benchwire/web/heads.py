"""What is wrong with the head of a call, as far as one could read it in two ways; and the head that a call has without its offer of a protocol."""

from collections.abc import Iterable, Mapping

from benchwire.web.refusal import Refused

_ONCE = frozenset({b"host", b"authorization"})
CLOSER_LOOK = _ONCE | {b"content-encoding", b"content-length", b"transfer-encoding", b"expect"}
_MOST_DIGITS = 20  # of a length: the parser takes any number of zeros in front of it, and int() does not
_OF_UPGRADES = frozenset({b"upgrade", b"http2-settings"})


def check_header(name: bytes, value: bytes, given: Mapping[bytes, bytes]) -> None:
    """Raises ``Refused`` for one of ``CLOSER_LOOK`` that is not taken; ``given`` are those of them that came before it."""
    if name in given and name in _ONCE:
        raise Refused(400, f"the header {name.decode()} stands there twice; send it once", "malformed")
    plain = value.strip().lower()
    if name == b"transfer-encoding" and plain != b"chunked":
        raise Refused(400, "of all transfer codings only 'chunked' is taken, and once", "malformed")
    if name == b"content-length" and len(plain) > _MOST_DIGITS:
        raise Refused(400, f"the length of the body has more than {_MOST_DIGITS} digits", "malformed")
    if name == b"content-encoding" and plain not in (b"", b"identity"):
        raise Refused(415, "the body is compressed; send it as it is, without Content-Encoding", "encoded")


def check_version(version: str, given: Mapping[bytes, bytes]) -> None:
    """Raises ``Refused`` when the call is not of HTTP/1.0 or 1.1, or not as that wants it."""
    if version not in ("1.1", "1.0"):
        raise Refused(400, "speak HTTP/1.1", "malformed")
    if version == "1.0" and b"transfer-encoding" in given:
        raise Refused(400, "HTTP/1.0 knows no transfer codings", "malformed")
    if version == "1.1" and b"host" not in given:
        raise Refused(400, "the header host is missing", "malformed")


def check_target(method: bytes, url: bytes, host: bytes) -> None:
    """One that names a host (RFC 9112, 3.2.2) names the one that ``Host`` does; who looks at one of the two has seen both."""
    if method == b"CONNECT":
        raise Refused(405, "CONNECT is not possible here", "malformed")
    _, _, after = url.partition(b"://")
    if url != b"*" and after.partition(b"/")[0].lower() != host.strip().lower():
        raise Refused(400, "the target of the call names another host than its header does", "malformed")


def without_offer(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head without what it offers to change to."""
    head = [method, b" ", url, b" HTTP/", version.encode(), b"\r\n"]
    for name, value in headers:
        if name == b"connection":
            named = [one.strip() for one in value.lower().split(b",")]
            value = b", ".join(one for one in named if one not in _OF_UPGRADES)  # noqa: PLW2901
        if name not in _OF_UPGRADES:
            head += [name, b": ", value, b"\r\n"]
    return b"".join([*head, b"\r\n"])
