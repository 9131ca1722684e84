"""Where a server's address leads: never into the network that this runner stands in, unless the operator says so by name.

A blueprint comes from whoever may write one, and this runner can reach what they cannot: other services of its host, the lab's NATS, a cloud's
metadata. So each connection is checked when it is made, after the name was resolved, and goes to the very address that was checked: a name
that means another address a moment later, a redirect, or an address in an odd spelling change nothing.
"""

import asyncio
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx2

_EVERYWHERE = IPv6Network("2000::/3")  # what is given out of IPv6; all else is local, multicast, or nobody's
_NAT64 = IPv6Network("64:ff9b::/96")
_TRANSITION = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
# What Python's table calls global: protocols' own (a cloud's metadata is there, too), relays into 6to4, and what is inside of another cloud.
_NOWHERE = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv4Network("168.63.129.16/32"))

Address = IPv4Address | IPv6Address


class Refused(httpx2.ConnectError):
    """The address leads where servers of agents are not."""

    def __init__(self, host: str, address: Address) -> None:
        is_itself = host.strip("[]") == str(address)
        super().__init__(
            f"{host[:200]} is {'an address' if is_itself else f'{address}, which is'} inside of the lab's own network, or nobody's; whoever "
            f"operates the agent runner allows it with BENCHWIRE_MCP_HOSTS={host[:200]}"
        )


class Unknown(httpx2.ConnectError):
    """No address belongs to that name."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host[:200]} is not known: {why}")


def is_public(address: Address) -> bool:
    """Whether anybody in the world means the same by it: what is local, shared, reserved or for many at once is not."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in one for one in _NOWHERE)
    within = address.ipv4_mapped or address.sixtofour
    if within is None and address in _NAT64:
        within = IPv4Address(int(address) & 0xFFFF_FFFF)
    if within is not None:
        return is_public(within)
    return address in _EVERYWHERE and address.is_global and not any(address in one for one in _TRANSITION)


def is_allowed(url: httpx2.URL, allowed: Collection[str]) -> bool:
    """Whether the operator named the host, or the host with its port."""
    host, port = url.host.lower(), url.port or (443 if url.scheme == "https" else 80)
    names = {one.lower() for one in allowed}
    return not names.isdisjoint((host, f"[{host}]", f"{host}:{port}", f"[{host}]:{port}"))


async def checked(url: httpx2.URL, *, within_s: float) -> list[Address]:
    """The addresses of the host of ``url``, all of them public. Raises ``Refused`` and ``Unknown``."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        async with asyncio.timeout(within_s):
            found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Unknown(url.host, f"no name server answered within {within_s:g} s") from error
    except (OSError, UnicodeError) as error:
        raise Unknown(url.host, str(error)) from error
    addresses = list(dict.fromkeys(ip_address(str(one[4][0]).partition("%")[0]) for one in found))
    for address in addresses:
        if not is_public(address):
            raise Refused(url.host, address)
    return addresses


def directed(request: httpx2.Request, address: Address) -> httpx2.Request:
    """``request`` to that address and no other; what it says of itself, and the name that TLS checks, stay."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
