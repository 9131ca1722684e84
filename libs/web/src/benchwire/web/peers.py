"""Who counts as one client, as far as an address tells."""

import ipaddress
from functools import lru_cache


@lru_cache(4096)
def peer_of(host: str) -> str:
    """Who ``host`` is one with: of IPv6 everybody has a whole network of addresses, so that the network is one peer."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
