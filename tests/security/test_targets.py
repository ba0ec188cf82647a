"""Webhook targets: every way to write an address of our own is refused, and what is allowed is pinned."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sinks.targets import Target, TargetRefused, checked_target, why_not_public

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"


def resolving(*addresses: str):  # type: ignore[no-untyped-def]
    """A resolver that knows one answer, and keeps what it was asked."""
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return list(addresses)

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


PRIVATE = [
    pytest.param("127.0.0.1", "loopback", id="loopback"),
    pytest.param("127.255.255.254", "loopback", id="the far end of loopback"),
    pytest.param("::1", "loopback", id="loopback in IPv6"),
    pytest.param("::ffff:127.0.0.1", "loopback", id="loopback, mapped"),
    pytest.param("::127.0.0.1", "loopback", id="loopback, compatible"),
    pytest.param("64:ff9b::7f00:1", "loopback", id="loopback behind NAT64"),
    pytest.param("0.0.0.0", "unspecified", id="any address"),
    pytest.param("::", "unspecified", id="any address in IPv6"),
    pytest.param("169.254.169.254", "link-local", id="a cloud's metadata"),
    pytest.param("::ffff:169.254.169.254", "link-local", id="a cloud's metadata, mapped"),
    pytest.param("64:ff9b::a9fe:a9fe", "link-local", id="a cloud's metadata behind NAT64"),
    pytest.param("fe80::1", "link-local", id="link-local in IPv6"),
    pytest.param("fe80::1%eth0", "link-local", id="link-local with a zone"),
    pytest.param("224.0.0.1", "multicast", id="multicast"),
    pytest.param("ff02::1", "multicast", id="multicast in IPv6"),
    pytest.param("10.1.2.3", "private", id="10/8"),
    pytest.param("172.16.0.1", "private", id="172.16/12"),
    pytest.param("192.168.1.1", "private", id="192.168/16"),
    pytest.param("fd00::1", "private", id="unique local"),
    pytest.param("fd00:ec2::254", "private", id="a cloud's metadata in IPv6"),
    pytest.param("100.64.0.1", "reserved", id="shared by carriers"),
    pytest.param("255.255.255.255", "private", id="broadcast"),
    pytest.param("240.0.0.1", "private", id="future use"),
    pytest.param("192.0.2.1", "private", id="documentation"),
    pytest.param("198.18.0.1", "private", id="benchmarks"),
    pytest.param("fec0::1", "private", id="site-local"),
    pytest.param("2002:7f00:1::", "reserved", id="6to4"),
    pytest.param("2001:0:7f00:1::", "private", id="Teredo"),
]


@pytest.mark.parametrize(("address", "kind"), PRIVATE)
def test_a_name_for_an_address_of_ours_is_refused_with_its_kind(address: str, kind: str) -> None:
    with pytest.raises(TargetRefused, match=kind if kind != "private" else "private|reserved"):
        checked_target("https://hooks.example/x", resolving(address))


@pytest.mark.parametrize(("address", "kind"), PRIVATE)
def test_the_address_itself_is_refused_without_asking_anybody(address: str, kind: str) -> None:
    del kind
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    resolve = resolving(PUBLIC)
    with pytest.raises(TargetRefused):
        checked_target(f"http://{host}/x", resolve)
    assert resolve.asked == []


def test_one_private_address_among_public_ones_is_enough() -> None:
    for addresses in ([PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, PUBLIC6, "::1"]):
        with pytest.raises(TargetRefused):
            checked_target("https://hooks.example/", resolving(*addresses))


def test_what_is_allowed_is_pinned_to_all_its_addresses() -> None:
    found = checked_target("https://Hooks.Example:8443/a/b?c=d#e", resolving(PUBLIC, PUBLIC6, PUBLIC))
    pinned = (ip_address(PUBLIC), ip_address(PUBLIC6))
    assert found == Target("https", "hooks.example", 8443, "/a/b?c=d", pinned)
    assert "/a/b" not in repr(found)


@pytest.mark.parametrize(("url", "port"), [("http://h.example", 80), ("https://h.example", 443)])
def test_ports_are_those_of_the_scheme(url: str, port: int) -> None:
    found = checked_target(url, resolving(PUBLIC))
    assert (found.port, found.path) == (port, "/")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("fd00::1", "fd00::/8"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
    ],
)
def test_an_allowed_network_lets_its_own_addresses_in_and_no_other(address: str, network: str) -> None:
    assert checked_target("http://in.example/", resolving(address), [network]).host == "in.example"
    with pytest.raises(TargetRefused):
        checked_target("http://in.example/", resolving(address, "192.168.77.1"), [network])


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1.", "0", "010.0.0.1", "1.2.3.4.5"]
)
def test_numbers_that_resolvers_read_in_their_own_ways_are_refused(host: str) -> None:
    resolve = resolving(PUBLIC)
    with pytest.raises(TargetRefused):
        checked_target(f"http://{host}/", resolve)
    assert resolve.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example/x", "ftp://hooks.example/", "file:///etc/passwd", "gopher://h.example/", "//h.example/",
        "http://", "http:///x", "http://user:pass@h.example/", "http://user@h.example/", "http://@h.example/",
        "http://h.example:99999/", "http://h.example:x/", "http://h.example:0/", "http://[::1/", "http://h.example\\@127.0.0.1/",
        "http://h.example/ x", "http://h.example/\r\nHost: a", "http://h.exa\tmple/", "http://h.example/\x00",
    ],
)  # fmt: skip
def test_what_readers_differ_about_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        checked_target(url, resolving(PUBLIC))


def test_refusals_say_the_host_and_no_secret() -> None:
    with pytest.raises(TargetRefused) as refused:
        checked_target("https://in.example/services/T0/SECRET?key=SECRET", resolving("10.0.0.1"))
    assert "in.example" in str(refused.value) and "SECRET" not in str(refused.value)
    with pytest.raises(TargetRefused) as refused:
        checked_target("https://user:SECRET@in.example/", resolving(PUBLIC))
    assert "SECRET" not in str(refused.value)


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(TargetRefused, match="no address"):
        checked_target("https://nowhere.example/", resolving())


@given(st.ip_addresses())
def test_what_python_calls_global_and_we_call_public_never_differ_the_dangerous_way(address) -> None:  # type: ignore[no-untyped-def]
    if not why_not_public(address):
        assert address.is_global and not (address.is_multicast or address.is_private or address.is_loopback)


@given(st.text(max_size=60), st.lists(st.ip_addresses().map(str), max_size=3))
def test_any_text_is_a_target_or_is_refused(text: str, addresses: list[str]) -> None:
    for url in (text, f"http://{text}", f"https://h.example/{text}"):
        try:
            found = checked_target(url, resolving(*addresses))
        except TargetRefused:
            continue
        assert found.addresses and not any(why_not_public(address) for address in found.addresses)
