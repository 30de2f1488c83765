"""Which IP addresses are on the public internet. Layer: core.

The table is ours and not that of Python's `ipaddress`, whose idea of "global" differs from
version to version and lacks blocks that routers treat as inside (fec0::/10, 3fff::/20).

Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, as of 2025), the
IANA IPv6 address space registry (2000::/3 is all there is of global unicast), RFC 5771
(multicast), RFC 3879 (site-local), RFC 6052 (NAT64).
"""

import ipaddress

from relook.core.errors import AccessError

_IPv4 = ipaddress.IPv4Address
_IPv6 = ipaddress.IPv6Address

_SPECIAL_4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared by a provider's customers
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's wire server: public by number, reachable only from inside
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # relays of 6to4, given up
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, AS112 and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address behind a relay that nobody vouches for
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_public(address: str, host: str) -> None:
    """Lets public addresses pass: not loopback, private, link-local, metadata or multicast.

    Args:
        address: An IP address, as text.
        host: The name it belongs to, for the message.

    Raises:
        AccessError: `private_address`.
    """
    if not is_public(address):
        raise AccessError(
            "private_address",
            f"{host} is {address}, which is not on the public internet",
            "only public addresses are fetched for others",
        )


def is_public(address: str) -> bool:
    """Whether an IP address, as text, is a machine that anybody can reach.

    An IPv6 address outside 2000::/3 is not, whatever IPv4 address it holds: mapped
    (::ffff:0:0/96) and compatible (::/96) ones are other names of this machine's own IPv4. Only
    the well-known prefix of NAT64 is how an IPv6 network reaches all of IPv4; it counts as the
    address inside. So do tunnels (Teredo, 6to4) never count: nobody serves from one.
    """
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, _IPv6) and number in _NAT64:
        number = _IPv4(int(number) & 0xFFFF_FFFF)
    if isinstance(number, _IPv4):
        return not any(number in block for block in _SPECIAL_4)
    return number in _GLOBAL_6 and not any(number in block for block in _SPECIAL_6)
