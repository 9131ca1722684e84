"""What all sockets have in common, for the AsyncAPI document: what their query may say, and signs of life."""

import msgspec

QUERY = {
    "batch": "`1`: every frame is a JSON array of such objects, in their order, of up to 256 KiB unless one alone has more; for who reads many",
    "token": "where one is needed, and the client cannot send an Authorization header",
}


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Asks for a sign of life."""


class Pong(msgspec.Struct, tag_field="type", tag="pong"):
    """The answer to a ping."""
