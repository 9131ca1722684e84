"""What every answer tells browsers, also the refusals: the one place for headers that keep pages apart.

A handler that has set one of them keeps its own: the bytes of documents come with a policy that is stricter still.
"""

from litestar.types import Message, Send

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self' ws: wss: http: https:",  # the services of one lab are several origins
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # a URL may hold a token
    (b"cross-origin-opener-policy", b"same-origin"),
    # The services of one machine are one site, whatever their ports; who fetches with CORS is asked for that instead.
    (b"cross-origin-resource-policy", b"same-site"),
)
_NOT_KEPT = (b"cache-control", b"no-store")
_SAY_WHAT_IS_KEPT = (b"cache-control", b"etag", b"last-modified")


def guarding(send: Send) -> Send:
    """``send``, with these headers on each answer; one that does not say how it may be kept is not."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message["headers"])
            names = {name.lower() for name, _ in given}
            given += [header for header in ALWAYS if header[0] not in names]
            if names.isdisjoint(_SAY_WHAT_IS_KEPT):
                given.append(_NOT_KEPT)
            message["headers"] = given
        await send(message)

    return sent
