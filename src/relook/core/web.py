"""Fetching addresses that strangers chose. Layer: core.

One GET, guarded: http or https only; the name is resolved once, every address it has is
checked, the connection goes to a checked address and its peer is verified, so a name that
changes its mind between check and use (DNS rebinding) gains nothing; each redirect starts
over; size and total time have an end. Proxies from the environment are not used, because
behind a proxy none of this could be checked. The caller looks at the content, never at the
declared type.

Which addresses are public is a table of ours and not that of Python's `ipaddress`, whose idea of
"global" differs from version to version and lacks blocks that routers treat as inside (fec0::/10,
3fff::/20).

Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, as of 2025), the
IANA IPv6 address space registry (2000::/3 is all there is of global unicast), RFC 5771
(multicast), RFC 3879 (site-local), RFC 6052 (NAT64).
"""

import functools
import http.client
import importlib.metadata
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from relook.core.errors import AccessError, FetchError, InputError, RelookError, TooLargeError
from relook.core.settings import WebLimits

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


AGENT = "relook"
"""How robots.txt files name us."""

Resolver = Callable[[str, int], Sequence[str]]
"""A name and a port to addresses, in the order to try them."""

_CHUNK = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)


@functools.cache
def user_agent() -> str:
    """What requests say of who sends them: name and version."""
    return f"{AGENT}/{importlib.metadata.version('relook')}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back.

    Args:
        url: The address after redirects.
        status: The HTTP status.
        mime: The declared type, in lower case and without parameters; not to be believed.
        charset: The declared encoding, or empty.
        data: The body.
        peer: The address that was connected to.
        n_redirects: How many redirects were followed.
    """

    url: str
    status: int
    mime: str
    charset: str
    data: bytes
    peer: str
    n_redirects: int = 0


def fetch(
    url: str,
    max_bytes: int,
    limits: WebLimits | None = None,
    *,
    accept: str = "*/*",
    any_status: bool = False,
    resolve: Resolver | None = None,
) -> Fetched:
    """Gets one address.

    Args:
        url: Where from.
        max_bytes: A larger body is refused.
        limits: Time, redirects, and whether private addresses may be reached.
        accept: The Accept header.
        any_status: Whether an answer other than 200 is returned instead of raised.
        resolve: Finds addresses of names; the system when None.

    Raises:
        InputError: `bad_url`.
        AccessError: `private_address` when it is, or leads to, a machine that is not public. A
            public address leads to none even where `limits` allows them.
        TooLargeError: `too_large`.
        FetchError: `fetch_failed`, `fetch_timeout`, `too_many_redirects`, or `http_status`.
    """
    limits = limits or WebLimits()
    deadline = time.monotonic() + limits.timeout_s
    requested = url
    was_outside = False
    for n_redirects in range(limits.max_redirects + 1):
        parts = check_url(url)
        addresses = _addresses(parts, deadline, resolve or _system)
        if not limits.private_ok:
            for address in addresses:
                check_public(address, str(parts.hostname))
        elif was_outside and not all(map(is_public, addresses)):
            what = f"{requested} leads to {parts.hostname}, which is not on the public internet"
            raise AccessError("private_address", what, "give that address itself if you want it")
        got, location = _get(parts, addresses, deadline, max_bytes, accept)
        was_outside = was_outside or is_public(got[4])
        if location is None:
            if got[0] != 200 and not any_status:
                what = f"{parts.hostname} answered {got[0]}"
                raise FetchError("http_status", what, "open it in a browser: is it still there?")
            return Fetched(url, *got, n_redirects=n_redirects)
        url = urljoin(url, location)
    raise FetchError(
        "too_many_redirects",
        f"{requested} redirects more than {limits.max_redirects} times",
        "open it in a browser and give the address it ends at",
    )


def check_url(url: str) -> SplitResult:
    """The parts of an http or https address.

    Raises:
        InputError: `bad_url` for anything else, or one with a name and password in it.
    """
    try:
        parts = urlsplit(url.strip())
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_ok = SplitResult("", "", "", "", ""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise InputError(
            "bad_url", f"not an address that can be fetched: {url[:200]!r}", "give http(s)://..."
        )
    if parts.username is not None or parts.password is not None:
        raise InputError("bad_url", "the address has a user name or password in it", "leave it out")
    return parts


def host_of(url: str) -> str:
    """The host of an address, without a leading `www.`; empty when it has none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _system(host: str, port: int) -> list[str]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


def _addresses(parts: SplitResult, deadline: float, resolve: Resolver) -> list[str]:
    """Resolves a name once, in a thread of its own, because the system's resolver has no limit."""
    host, port = str(parts.hostname), _port(parts)
    collected: list[str] = []
    failed: list[Exception] = []

    def look() -> None:
        try:
            collected.extend(resolve(host, port))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    worker = threading.Thread(target=look, name="resolve", daemon=True)
    worker.start()
    worker.join(max(deadline - time.monotonic(), 0.0))
    if worker.is_alive():
        raise _timeout(parts)
    if failed or not collected:
        raise FetchError("fetch_failed", f"{host} has no address", "check the spelling")
    return list(dict.fromkeys(collected))


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _get(
    parts: SplitResult, addresses: Sequence[str], deadline: float, max_bytes: int, accept: str
) -> tuple[tuple[int, str, str, bytes, str], str | None]:
    """One request: (status, mime, charset, body, peer), and where it redirects to."""
    sock = _connect(parts, addresses, deadline)
    late = threading.Event()

    def cut() -> None:  # a body or a handshake that drips would otherwise go on for ever
        late.set()
        _shut(sock)

    timer = threading.Timer(max(deadline - time.monotonic(), 0.001), cut)
    timer.daemon = True
    timer.start()
    try:
        peer = str(sock.getpeername()[0])
        if peer.partition("%")[0] not in {address.partition("%")[0] for address in addresses}:
            raise AccessError("private_address", f"{parts.hostname} answered from {peer}")
        if parts.scheme == "https":
            context = ssl.create_default_context()
            host = _ascii_host(parts)
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            sock.do_handshake()
        got = _exchange(parts, sock, peer, max_bytes, accept)
        if late.is_set():  # cut by us: it looks complete, and is not
            raise _timeout(parts)
        return got
    except RelookError as error:
        if late.is_set() and isinstance(error, FetchError):
            raise _timeout(parts) from error
        raise
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise _timeout(parts) from error
        reason = str(error) or type(error).__name__
        raise FetchError("fetch_failed", f"{parts.hostname}: {reason}") from error
    finally:
        timer.cancel()
        sock.close()


def _exchange(
    parts: SplitResult, sock: socket.socket, peer: str, max_bytes: int, accept: str
) -> tuple[tuple[int, str, str, bytes, str], str | None]:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(_ascii_host(parts), _port(parts))
    connection.sock = sock
    headers = {"User-Agent": user_agent(), "Accept": accept, "Accept-Encoding": "identity"}
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="=&%+/?:@!$'()*,;~-._[]")
    connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
    with closing(connection), connection.getresponse() as response:
        return _read(response, parts, peer, max_bytes)


def _read(
    response: http.client.HTTPResponse, parts: SplitResult, peer: str, max_bytes: int
) -> tuple[tuple[int, str, str, bytes, str], str | None]:
    location = response.getheader("Location")
    if response.status in _REDIRECTS and location:
        return (response.status, "", "", b"", peer), location
    if response.status != 200:
        return (response.status, "", "", b"", peer), None
    mime = response.headers.get_content_type()
    charset = response.headers.get_content_charset() or ""
    return (response.status, mime, charset, _body(response, parts, max_bytes), peer), None


def _body(response: http.client.HTTPResponse, parts: SplitResult, max_bytes: int) -> bytes:
    coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if coding not in ("identity", "gzip", "deflate"):
        raise FetchError("fetch_failed", f"{parts.hostname} sent the encoding {coding[:40]!r}")
    # We asked for no compression; a body that comes compressed is unpacked up to the limit.
    inflate = None if coding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk if inflate is None else inflate.decompress(chunk, max_bytes + 1 - len(body))
        if len(body) > max_bytes or (inflate and inflate.unconsumed_tail):
            raise TooLargeError(
                "too_large",
                f"{parts.hostname} sent more than {max_bytes:,} bytes",
                "only the first part was read, and thrown away",
            )
    declared = response.getheader("Content-Length")
    if inflate is None and declared and declared.isdigit() and len(body) < int(declared):
        raise FetchError("fetch_failed", f"{parts.hostname} stopped before the end")
    return bytes(body)


def _connect(parts: SplitResult, addresses: Sequence[str], deadline: float) -> socket.socket:
    """A connection to the first address that takes one."""
    trouble: Exception | None = None
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, _port(parts)), timeout=left)
        except OSError as error:
            trouble = error
    if deadline <= time.monotonic() or isinstance(trouble, TimeoutError):
        raise _timeout(parts)
    what = f"{parts.hostname} cannot be reached: {trouble}"
    raise FetchError("fetch_failed", what, "open it in a browser: is it still there?")


def _ascii_host(parts: SplitResult) -> str:
    host = str(parts.hostname)
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise InputError("bad_url", f"{host!r} is no host name") from None


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        sock.close()  # it was gone already


def _timeout(parts: SplitResult) -> FetchError:
    return FetchError("fetch_timeout", f"{parts.hostname} took too long", "try again later")
