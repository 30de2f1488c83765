"""Fetching addresses that strangers chose. Layer: core.

One GET, guarded: http or https only; the name is resolved once, every address it has is
checked, the connection goes to a checked address and its peer is verified, so a name that
changes its mind between check and use (DNS rebinding) gains nothing; each redirect starts
over; size and total time have an end. Proxies from the environment are not used, because
behind a proxy none of this could be checked. The caller looks at the content, never at the
declared type.
"""

import functools
import http.client
import importlib.metadata
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
from relook.core.public_addresses import check_public
from relook.core.settings import WebLimits

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
        AccessError: `private_address` when it is, or leads to, a machine that is not public.
        TooLargeError: `too_large`.
        FetchError: `fetch_failed`, `fetch_timeout`, `too_many_redirects`, or `http_status`.
    """
    limits = limits or WebLimits()
    deadline = time.monotonic() + limits.timeout_s
    requested = url
    for n_redirects in range(limits.max_redirects + 1):
        parts = check_url(url)
        addresses = _addresses(parts, deadline, resolve or _system)
        if not limits.private_ok:
            for address in addresses:
                check_public(address, str(parts.hostname))
        got, location = _get(parts, addresses, deadline, max_bytes, accept)
        if location is None:
            if got[0] != 200 and not any_status:
                raise FetchError("http_status", f"{parts.hostname} answered {got[0]}")
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
    raise FetchError("fetch_failed", f"{parts.hostname} cannot be reached: {trouble}")


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
