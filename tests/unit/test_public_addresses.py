"""No address of a special-purpose block passes for public, on any version of Python."""

import pytest

from relook.core.errors import AccessError
from relook.core.web import check_public, is_public

# First and last address of each block of the registries.
BLOCKS = {
    "0.0.0.0/8": ("0.0.0.0", "0.255.255.255"),
    "10.0.0.0/8": ("10.0.0.0", "10.255.255.255"),
    "100.64.0.0/10": ("100.64.0.0", "100.127.255.255"),
    "127.0.0.0/8": ("127.0.0.0", "127.255.255.255"),
    "wire server": ("168.63.129.16", "168.63.129.16"),
    "169.254.0.0/16": ("169.254.0.0", "169.254.255.255"),
    "172.16.0.0/12": ("172.16.0.0", "172.31.255.255"),
    "192.0.0.0/24": ("192.0.0.0", "192.0.0.255"),
    "192.0.2.0/24": ("192.0.2.0", "192.0.2.255"),
    "192.31.196.0/24": ("192.31.196.0", "192.31.196.255"),
    "192.52.193.0/24": ("192.52.193.0", "192.52.193.255"),
    "192.88.99.0/24": ("192.88.99.0", "192.88.99.255"),
    "192.168.0.0/16": ("192.168.0.0", "192.168.255.255"),
    "192.175.48.0/24": ("192.175.48.0", "192.175.48.255"),
    "198.18.0.0/15": ("198.18.0.0", "198.19.255.255"),
    "198.51.100.0/24": ("198.51.100.0", "198.51.100.255"),
    "203.0.113.0/24": ("203.0.113.0", "203.0.113.255"),
    "224.0.0.0/4": ("224.0.0.0", "239.255.255.255"),
    "240.0.0.0/4": ("240.0.0.0", "255.255.255.255"),
    "::/96": ("::", "::8.8.8.8"),
    "mapped": ("::ffff:0.0.0.0", "::ffff:8.8.8.8"),
    "translated": ("::ffff:0:8.8.8.8", "::ffff:0:255.255.255.255"),
    "NAT64 at home": ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    "100::/64": ("100::", "100::ffff:ffff:ffff:ffff"),
    "100:0:0:1::/64": ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    "2001::/23": ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "Teredo": ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:808:808::1"),
    "benchmarks": ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    "ORCHID": ("2001:10::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
    "2001:db8::/32": ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    "2002::/16": ("2002::", "2002:808:808::1"),
    "2620:4f:8000::/48": ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    "3fff::/20": ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "5f00::/16": ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "fc00::/7": ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "fe80::/10": ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "fec0::/10": ("fec0::", "fec0::1"),
    "ff00::/8": ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "not given out": ("4000::", "e000::1"),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_both_ends_of_a_block_are_refused(block: str) -> None:
    for address in BLOCKS[block]:
        with pytest.raises(AccessError) as caught:
            check_public(address, "name.example")
        assert caught.value.code == "private_address"


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0",
        "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255",
        "203.0.114.0", "223.255.255.255",
        "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2001:ffff::1", "2003::",
        "2606:2800:21f:cb07::1", "3ffe:ffff::", "3fff:1000::", "2a00:1450::%eth0",
    ],
)  # fmt: skip
def test_what_lies_beside_the_blocks_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.88.99.1"])
def test_a_translated_address_is_the_one_inside(inside: str) -> None:
    """How an IPv6-only network reaches IPv4: the same machines, so the same answer."""
    assert is_public("64:ff9b::8.8.8.8")
    assert not is_public(f"64:ff9b::{inside}")
