"""What all sockets have in common, for the AsyncAPI document."""

import msgspec

TOKEN = {"token": "where one is needed, and the client cannot send an Authorization header"}


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Asks for a sign of life."""


class Pong(msgspec.Struct, tag_field="type", tag="pong"):
    """The answer to a ping."""
