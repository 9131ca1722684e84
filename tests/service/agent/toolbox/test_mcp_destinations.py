"""A blueprint's address leads into the network of the runner: refused at the connection, whatever it looks like."""

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.errors import GivenUp
from benchwire.agent.sessions.calls import Tool
from benchwire.agent.toolbox.mcp import destinations
from benchwire.agent.toolbox.mcp.programs import Said

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "203.0.113.9",
    "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "100::1", "3fff::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_the_worlds_is_not_public(address: str) -> None:
    assert not destinations.is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"]
)
def test_what_is_the_worlds_is(address: str) -> None:
    assert destinations.is_public(ip_address(address))


@contextlib.asynccontextmanager
async def watched(host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[tuple[int, list[str]], None]:
    """A port inside, and who came to it."""
    came: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.read(4096)).decode(errors="replace"))
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, host, port) as server:
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0.0.0x1", "0.0.0.0", "[::1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "1.1.1.1@127.0.0.1", "127.0.0.1#@1.1.1.1", "①②⑦.0.0.1", "127。0。0。1",
    ],
)  # fmt: skip
async def test_an_address_inside_is_never_connected_to_however_it_is_spelled(tools: OpenTools, host: str) -> None:
    async with watched() as (port, came):
        where, _, behind = host.partition("#")
        url = f"http://{where}:{port}/mcp{'#' if behind else ''}{behind}"
        blueprint = Blueprint(name="spy", mcp_servers={"inside": {"type": "http", "url": url}})
        with pytest.raises(BaseException) as told:  # noqa: PT011 - the projection's task group wraps it
            async with tools(blueprint=blueprint, mcp_start_s=10.0):
                pass
        problem = _innermost(told.value)
        assert isinstance(problem, GivenUp)
        assert not came
    if host in ("127.0.0.1", "localhost", "2130706433", "[::1]"):
        assert f"allows it with BENCHWIRE_MCP_HOSTS={host.strip('[]')}" in str(problem)


def _innermost(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


async def test_what_the_operator_names_is_reached() -> None:
    async with watched() as (port, came):
        for allowed in (("127.0.0.1",), (f"127.0.0.1:{port}",)):
            with contextlib.suppress(Exception):
                await _post(f"http://127.0.0.1:{port}/mcp", allowed)
        assert len(came) == 2
        with pytest.raises(httpx2.ConnectError, match="inside"):
            await _post(f"http://127.0.0.1:{port}/mcp", (f"127.0.0.1:{port + 1}",))
        assert len(came) == 2


async def _post(url: str, allowed: tuple[str, ...]) -> None:
    from benchwire.agent.toolbox.mcp import addresses  # noqa: PLC0415 - its transport is what is attacked

    transport = addresses._Bounded(Said(), allowed)
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
        await client.post(url, content=b"{}")


async def test_a_name_that_means_another_address_a_moment_later_leads_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: 127.0.0.1 stands for a public address here, 127.0.0.2 for one inside."""
    answers = ["127.0.0.1", "127.0.0.2", "127.0.0.2"]
    real = asyncio.get_running_loop().getaddrinfo

    async def resolve(host: str, port: int, **more: Any) -> Any:
        return await real(answers.pop(0) if host == "rebind.test" else host, port, **more)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(destinations, "is_public", lambda address: str(address) == "127.0.0.1")
    async with watched() as (port, outside), watched("127.0.0.2", port) as (_, inside):
        with contextlib.suppress(httpx2.HTTPError):
            await _post(f"http://rebind.test:{port}/mcp", ())
        assert len(outside) == 1
        assert f"host: rebind.test:{port}" in outside[0].lower()
        with pytest.raises(httpx2.ConnectError, match="inside"):
            await _post(f"http://rebind.test:{port}/mcp", ())
        assert len(outside) == 1
        assert not inside


async def test_one_address_inside_among_public_ones_is_enough_to_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(httpx2.ConnectError, match=r"10\.0\.0\.1"):
        await _post("http://both.test/mcp", ())


async def test_an_unknown_name_is_told(tools: OpenTools) -> None:
    with pytest.raises(httpx2.ConnectError, match=r"nobody\.invalid is not known"):
        await _post("http://nobody.invalid/mcp", ())
    blueprint = Blueprint(name="lost", mcp_servers={"away": {"type": "http", "url": "http://nobody.invalid/mcp"}})
    with pytest.raises(BaseException) as told:  # noqa: PT011 - the projection's task group wraps it
        async with tools(blueprint=blueprint, mcp_start_s=30.0):
            pass
    assert "nobody.invalid is not known" in str(_innermost(told.value))


async def test_name_servers_that_do_not_answer_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    with pytest.raises(destinations.Unknown, match=r"no name server answered within 0\.01 s"):
        await destinations.checked(httpx2.URL("http://slow.test/mcp"), within_s=0.01)


async def test_tls_still_checks_the_name(tmp_path: Path) -> None:
    """The connection goes to an address; the certificate has to be that of the host."""
    key, certificate = _certificate("tools.test", tmp_path)
    names: list[str | None] = []
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    serving.sni_callback = lambda _socket, name, _context: names.append(name)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    trusted = ssl.create_default_context(cafile=str(certificate))
    async with (
        await asyncio.start_server(take, "127.0.0.1", 0, ssl=serving) as server,
        httpx2.AsyncHTTPTransport(verify=trusted) as transport,
    ):
        port = server.sockets[0].getsockname()[1]
        right = destinations.directed(httpx2.Request("GET", f"https://tools.test:{port}/"), ip_address("127.0.0.1"))
        assert (await transport.handle_async_request(right)).status_code == 200
        assert names == ["tools.test"]
        wrong = destinations.directed(httpx2.Request("GET", f"https://other.test:{port}/"), ip_address("127.0.0.1"))
        with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate"):
            await transport.handle_async_request(wrong)


def _certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "key.pem", folder / "certificate.pem"
    form = serialization.PrivateFormat.PKCS8
    paths[0].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    paths[1].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return paths
