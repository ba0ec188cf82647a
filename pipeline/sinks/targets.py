"""Where a webhook may go: the addresses behind its URL, judged by what they are.

Pure: who resolves names is the caller's. Law: a target is refused when any of its addresses is, so that a name with
two faces does not get in; what is allowed is pinned, so that the name cannot mean another address a moment later.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: host name -> addresses, as text
Resolve = Callable[[str], Iterable[str]]

PORTS = {"http": 80, "https": 443}
NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are the IPv4 address that is meant
#: not global by their nature, though Python's ipaddress does not say so of all of them in all versions
NEVER_GLOBAL = tuple(map(ip_network, ("100.64.0.0/10", "192.88.99.0/24", "fec0::/10", "2001::/32", "2002::/16")))


class TargetRefused(ValueError):
    """The target may not be called; the message says why, and how to allow it."""


@dataclass(frozen=True)
class Target:
    """A webhook that may be called: connect to one of `addresses`, and speak to `host`.

    `host` is what the Host header and the certificate's name are: the connection goes to the pinned address.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)  # many receivers put their secret there
    addresses: tuple[Address, ...]


def checked_target(url: str, resolve: Resolve, allowed: Sequence[str] = ()) -> Target:
    """Judge a URL. `allowed`: networks as CIDR whose addresses are fine though they are not public.

    Raises: TargetRefused; the message holds scheme, host and port, never path or query.
    """
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    networks = [ip_network(network, strict=False) for network in allowed]
    addresses = tuple(dict.fromkeys(_addresses(host, resolve)))
    if not addresses:
        raise TargetRefused(f"{host} has no address: check the name")
    for address in addresses:
        kind = why_not_public(address)
        if kind and not any(_is_in(address, network) for network in networks):
            raise TargetRefused(
                f"{host} is {address}, which is {kind}: a webhook there could reach what only this machine should; "
                "if it is meant, allow its network"
            )
    path = parts.path or "/"
    return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path, addresses)


def _split(url: str) -> SplitResult:
    """Take a URL apart.

    Raises: TargetRefused for everything but http and https to a host without user and password.
    """
    if any(ord(char) <= 32 or ord(char) == 127 for char in url) or "\\" in url:
        raise TargetRefused("the URL holds blanks, control characters or backslashes: readers differ on what it means")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("the URL cannot be read: write https://host/path") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise TargetRefused("a webhook's URL begins with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused(f"the URL of {parts.hostname} holds a user or password: put them into a header's file")
    if port == 0:
        raise TargetRefused(f"{parts.hostname}: port 0 cannot be called")
    return parts


def _addresses(host: str, resolve: Resolve) -> Iterable[Address]:
    """Every address of a host; a literal is its own.

    Raises: TargetRefused for numbers that some resolvers read as addresses and others do not.
    """
    try:
        return [ip_address(host.partition("%")[0])]
    except ValueError:
        pass
    if all(_is_number(label) for label in host.rstrip(".").split(".")):
        raise TargetRefused(f"{host} is an address in an unusual notation: write it as a.b.c.d")
    return [ip_address(text.partition("%")[0]) for text in resolve(host)]


def _is_number(label: str) -> bool:
    """Whether inet_aton would read a part of a host so: decimal, octal or hexadecimal."""
    digits = label.lower()
    return digits.isascii() and (
        digits.isdigit() or (digits.startswith("0x") and set(digits[2:]) <= set("0123456789abcdef"))
    )


def embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it; else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # ::a.b.c.d, long deprecated
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


#: what an address may be, the narrowest word first
KINDS: tuple[tuple[str, Callable[[Address], bool]], ...] = (
    ("loopback", lambda a: a.is_loopback),
    ("unspecified", lambda a: a.is_unspecified),
    ("link-local", lambda a: a.is_link_local),
    ("multicast", lambda a: a.is_multicast),
    ("private", lambda a: a.is_private),
    ("reserved", lambda a: a.is_reserved or not a.is_global or any(_is_in(a, network) for network in NEVER_GLOBAL)),
)


def why_not_public(address: Address) -> str:
    """Say what keeps an address from being a public one; empty: nothing does."""
    meant = embedded(address)
    return next((kind for kind, holds in KINDS if holds(meant)), "")


def _is_in(address: Address, network: Network) -> bool:
    meant = embedded(address)
    return meant.version == network.version and meant in network
