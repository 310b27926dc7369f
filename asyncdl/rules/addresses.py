"""Which addresses belong to the public Internet, and which address a host name spells out.

Rule: an address is public only if it is known to be; what is reserved, local, or stands for such a one, is not.
Rule: a host is read as the system's resolver would read it (inet_aton(3)), not only as it should be written.

Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and what is named below.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from asyncdl.patterns import Pattern

#: Hosts whose spelling is remembered.
_HOSTS = 64

#: IPv4 that is not the public Internet's.
_SPECIAL_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791); connecting to it reaches this host
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared by carriers (RFC 6598); also Alibaba Cloud's metadata
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # Azure's platform address, "What is IP address 168.63.129.16?" (Microsoft Learn)
        "169.254.0.0/16",  # link-local (RFC 3927); also the metadata of most clouds
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); also Oracle Cloud's metadata
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # relays of 6to4, withdrawn (RFC 7526)
        "192.168.0.0/16",  # private use (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), and broadcast
    )
)
#: All of IPv6 that is given out for use on the Internet (RFC 4291 section 2.4, IANA's unicast assignments).
_GLOBAL_6 = IPv6Network("2000::/3")
#: What is special within it.
_SPECIAL_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2
#: Interface identifiers that end in an IPv4 address, whatever the prefix (ISATAP, RFC 5214 section 6.1).
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
#: Names of the host itself: RFC 6761 section 6.3, and what Linux distributions write into /etc/hosts.
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_NUMBER = Pattern(r"0x[0-9a-f]*|[0-9]+", re.ASCII | re.IGNORECASE)
_LONGEST_NUMBER = 64


def is_public(address: str) -> bool:
    """Whether an address, as a socket has it (a zone may follow `%`), is one of the public Internet's.

    An IPv6 address that stands for IPv4 ones (mapped, NAT64, 6to4, Teredo, ISATAP) is public if all of them are. What
    is no address is not public.
    """
    found = literal_address(address)
    return found is not None and _is_public(found)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    if address in _MAPPED or address in _NAT64:
        return _is_public(_low_half(address))
    if address not in _GLOBAL_6:
        return False
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP and not _is_public(_low_half(address)):
        return False
    if address.sixtofour is not None:
        return _is_public(address.sixtofour)
    if address.teredo is not None:
        return all(_is_public(inner) for inner in address.teredo)
    return not any(address in network for network in _SPECIAL_6)


def _low_half(address: IPv6Address) -> IPv4Address:
    """The IPv4 address in the last 32 bits."""
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def names_this_host(host: str) -> bool:
    """Whether `host` is a name that always means the machine it is used on."""
    name = host.rstrip(".").lower()
    return name in _LOCAL_NAMES or name.endswith(".localhost")


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host spells out, in any form that inet_aton(3) takes; None for a name.

    `2130706433`, `0x7f.1`, `127.1` and `0177.0.0.1` are 127.0.0.1 to the system. Brackets, a zone and trailing dots
    make no difference.
    """
    text = host.removeprefix("[").removesuffix("]").rstrip(".")
    try:
        return IPv6Address(text.partition("%")[0]) if ":" in text else _ipv4(text)
    except ValueError:
        return None


def _ipv4(text: str) -> IPv4Address | None:
    """One to four numbers: the last fills the bytes that the others leave."""
    pieces = text.split(".")
    if len(pieces) > 4 or not all(_NUMBER.fullmatch(piece) for piece in pieces):
        return None
    *first, last = (_number(piece) for piece in pieces)
    left = 4 - len(first)
    if any(number > 0xFF for number in first) or last >= 1 << (8 * left):
        return None
    value = last
    for place, number in enumerate(first):
        value |= number << (8 * (3 - place))
    return IPv4Address(value)


def _number(text: str) -> int:
    """Decimal, octal after 0, hexadecimal after 0x.

    Raises:
        ValueError: an octal digit above 7, or more digits than any address has.
    """
    if len(text) > _LONGEST_NUMBER:
        raise ValueError
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


@lru_cache(_HOSTS)
def may_be_public(host: str) -> bool:
    """Whether the host, by its spelling alone, may be one of the public Internet."""
    if literal_address(host) is not None:
        return is_public(host)
    return not names_this_host(host)
