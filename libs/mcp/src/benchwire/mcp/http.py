"""The server over streamable HTTP, as an ASGI app. Who may call is for whoever serves it to say."""

from collections.abc import Iterable

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from benchwire.mcp.reach import Reached

PATH = "/mcp"
_MOST_BODY_BYTES = 32 << 20  # firmware comes in base64
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def app(server: MCPServer[Reached], *, names: Iterable[str] = ()) -> Starlette:
    """``server`` at ``PATH``; ``names`` are the hosts, beside this machine's loopback, under which it may be called.

    A call that names another one is refused: that is a page of some website whose name was made to lead here. Between calls nothing is kept,
    so a restart is not noticed by clients.
    """
    hosts = [*_LOOPBACK, *names]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[pattern for host in hosts for pattern in (host, f"{host}:*")],
        allowed_origins=[
            f"{scheme}://{host}{port}" for host in hosts for scheme in ("http", "https") for port in ("", ":*")
        ],
    )
    return server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=_MOST_BODY_BYTES,
        transport_security=security,
    )
