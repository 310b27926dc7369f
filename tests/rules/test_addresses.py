"""Which addresses are public, in every form that a host name or a socket can have."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.rules.addresses import is_public, literal_address, names_this_host

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "52.216.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:800::200e",
    "2001:200::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    # Teredo: server 8.8.4.4, client 8.8.8.8 (RFC 4380 section 4).
    "2001:0:808:404:0:0:f7f7:f7f7",
    "2606:4700::5efe:8.8.8.8",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001:2::1",
    "2001:20::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "64:ff9b:1::a00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2002:c0a8:101::1",
    # Teredo with a private client, and with a private server.
    "2001:0:808:404:0:0:f5ff:fffe",
    "2001:0:a00:1:0:0:f7f7:f7f7",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
    "",
    "host.test",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Of the public Internet, up to the last address beside a special network."""
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    """Private, local, reserved or made for something else, or standing for such an address."""
    assert not is_public(address)


@given(st.ip_addresses())
@example(ip_address("192.0.0.9"))
def test_never_more_than_python_says(address: IPv4Address | IPv6Address) -> None:
    """What is public here is global to the standard library too, and no multicast."""
    inner = getattr(address, "ipv4_mapped", None) or address

    assert not is_public(str(address)) or (inner.is_global and not inner.is_multicast) or inner in NAT64_6TO4_TEREDO


class _Tunnels:
    """Prefixes that versions of the standard library judge differently."""

    networks = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32"))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv6Address) and any(address in network for network in self.networks)


NAT64_6TO4_TEREDO = _Tunnels()


@given(st.ip_addresses(v=4))
def test_embedding_changes_nothing(inner: IPv4Address) -> None:
    """Mapped, translated or tunnelled, an IPv4 address is what it is."""
    number = int(inner)
    forms = [
        f"::ffff:{inner}",
        f"64:ff9b::{inner}",
        str(IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(IPv6Address((0x2001_0000_0808_0404 << 64) | (number ^ 0xFFFF_FFFF))),
    ]

    assert [is_public(str(inner))] * len(forms) == [is_public(form) for form in forms]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0.1..",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "0x7f.0x0.0x0.0x1",
        "0000000000000000000000177.1",
    ],
)
def test_one_address_in_many_forms(host: str) -> None:
    """Whatever inet_aton(3) takes for loopback is loopback."""
    assert IPv4Address("127.0.0.1") == literal_address(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("fe80::1%25", "fe80::1"),
        ("FE80::1%eth0", "fe80::1"),
    ],
)
def test_ipv6_in_many_forms(host: str, expected: str) -> None:
    """With brackets or a zone, it is the same address."""
    assert IPv6Address(expected) == literal_address(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "host", "1.2.3.4.5", "256.0.0.1", "1.2.3.256", "4294967296", "1.16777216", "08", "1..2", "1.2.3.-4"),
        *("0xg", "1e3", "::g", "1.2.3.4x", "127.0.0.1.nip.io", "9" * 5000, "\u0661.1", "+1", " 1", "1_0"),
    ],
)
def test_no_address(host: str) -> None:
    """A name, or a number that no system takes for an address."""
    assert None is literal_address(host)


@given(st.text("0123456789abcdefx.", min_size=1, max_size=20))
@example("0x")
@example("0x.1")
@example("1.0x")
def test_as_the_system_reads_it(host: str) -> None:
    """Whatever the C library takes for an address is taken for the same one here."""
    try:
        expected = IPv4Address(socket.inet_aton(host))
    except OSError:
        return

    assert expected == literal_address(host)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.b.localhost", "localhost.localdomain", "ip6-loopback"]
)
def test_this_host(host: str) -> None:
    """Names that no resolver is needed for."""
    assert names_this_host(host)


@pytest.mark.parametrize("host", ["", "localhost.example", "mylocalhost", "local", "127.0.0.1"])
def test_other_hosts(host: str) -> None:
    """Names that only look like it."""
    assert not names_this_host(host)
