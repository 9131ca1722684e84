"""The socket."""

from litestar import websocket
from litestar.di import NamedDependency

from benchwire.documents.live import Live, Socket


@websocket("/ws")
async def follow(socket: Socket, live: NamedDependency[Live]) -> None:
    """What happens to documents, as it happens."""
    await live.attend(socket)


ROUTES = [follow]
