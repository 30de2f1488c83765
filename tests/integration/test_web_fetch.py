"""The guarded fetch reaches public machines only, once, and within its limits."""

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from milvus_parts import free_port

from relook.core.errors import AccessError, FetchError, ImageError, InputError, TooLargeError
from relook.core.settings import WebLimits
from relook.core.web import check_public, fetch, host_of
from relook.rag.fetching import subject_at
from relook.testing.web_server import Reply, WebServer, picture_bytes, serving

LONG_S = 120.0  # an answer that comes so late is one that nobody waited for
HERE = WebLimits(timeout_s=LONG_S, private_ok=True)
OUTSIDE = WebLimits(timeout_s=LONG_S)


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def test_a_page_comes_whole_and_names_who_asked(site: WebServer) -> None:
    site.replies["/a"] = Reply(b"<p>hi</p>", headers={"Content-Type": "Text/HTML; charset=utf-8"})
    got = fetch(f"{site.address}/a?q=1 2&x=%20#part", 100, HERE)
    assert (got.data, got.mime, got.charset) == (b"<p>hi</p>", "text/html", "utf-8")
    assert (got.status, got.peer, got.n_redirects) == (200, "127.0.0.1", 0)
    assert site.asked[0].headers["user-agent"].startswith("relook/")
    assert site.asked[0].query == {"q": "1 2", "x": " "}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,hi",
        "http://",
        "//example.org/a",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "http://[::1",
        "http://example.org:99999/",
        "http://example.org:0/",
        "",
        "not a url",
    ],
)
def test_only_http_addresses_are_fetched(url: str) -> None:
    with pytest.raises(InputError) as caught:
        fetch(url, 100, OUTSIDE, resolve=_never)
    assert caught.value.code == "bad_url"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.9", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused(address: str) -> None:
    with pytest.raises(AccessError) as caught:
        check_public(address, "name.example")
    assert caught.value.code == "private_address"
    with pytest.raises(AccessError):
        fetch("http://name.example/", 100, OUTSIDE, resolve=lambda host, port: [address])


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1"])
def test_public_addresses_pass(address: str) -> None:
    check_public(address, "name.example")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]"])
def test_numbers_in_other_clothes_are_seen_through(host: str, site: WebServer) -> None:
    with pytest.raises((AccessError, FetchError)) as caught:
        fetch(f"http://{host}:{site.address.rpartition(':')[2]}/", 100, OUTSIDE)
    assert caught.value.code in ("private_address", "fetch_failed")
    assert site.asked == []


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(AccessError):
        fetch("http://a.example/", 100, OUTSIDE, resolve=lambda h, p: ["93.184.215.14", "10.0.0.1"])


def test_a_name_is_resolved_once_and_that_address_is_used(site: WebServer) -> None:
    """DNS rebinding: the first answer is what is checked and what is connected to."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.3"]])
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(answers)

    site.replies["/"] = Reply(b"here")
    port = int(site.address.rpartition(":")[2])
    got = fetch(f"http://changing.example:{port}/", 100, HERE, resolve=resolve)
    assert (got.data, got.peer) == (b"here", "127.0.0.1")
    assert asked == [("changing.example", port)]
    assert site.asked[0].headers["host"] == f"changing.example:{port}"


def test_a_peer_that_is_not_the_checked_address_is_refused(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(site.address.rpartition(":")[2])
    real = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda where, **more: real(("127.0.0.1", port), **more)
    )
    with pytest.raises(AccessError, match=r"answered from 127\.0\.0\.1"):
        fetch(f"http://a.example:{port}/", 99, OUTSIDE, resolve=lambda h, p: ["93.184.215.14"])
    assert site.asked == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://169.254.169.254/latest/"])
def test_a_redirect_inside_is_refused(target: str, site: WebServer) -> None:
    """The first hop is let through as if it were public; the second one is checked anew."""
    site.replies["/go"] = Reply(status=302, headers={"Location": target})
    real_check = check_public
    port = int(site.address.rpartition(":")[2])

    def lenient(address: str, host: str) -> None:
        if host != "public.example":
            real_check(address, host)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relook.core.web.check_public", lenient)
        with pytest.raises(AccessError) as caught:
            fetch(f"http://public.example:{port}/go", 99, OUTSIDE, resolve=_here_or_itself)
    assert caught.value.code == "private_address"
    assert site.paths() == ["/go"]


def test_a_public_address_leads_inside_for_nobody(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for a person who may read their own network: the site is taken for a public one."""
    inside = site.address.replace("127.0.0.1", "127.0.0.2")
    site.replies["/go"] = Reply(status=302, headers={"Location": f"{inside}/secret"})
    site.replies["/own"] = Reply(status=302, headers={"Location": "/there"})
    site.replies["/there"] = Reply(b"there")
    assert fetch(f"{site.address}/own", 99, HERE).data == b"there"
    monkeypatch.setattr("relook.core.web.is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(AccessError, match=r"leads to 127\.0\.0\.2") as caught:
        fetch(f"{site.address}/go", 99, HERE)
    assert caught.value.code == "private_address"
    assert "/secret" not in site.paths()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, site: WebServer) -> None:
    site.replies["/go"] = Reply(status=status, headers={"Location": "sub/../there?x=1"})
    site.replies["/sub/../there"] = site.replies["/there"] = Reply(b"there")
    got = fetch(f"{site.address}/go", 100, HERE)
    assert (got.data, got.n_redirects) == (b"there", 1)
    assert got.url == f"{site.address}/there?x=1"


def test_redirects_end_somewhere(site: WebServer) -> None:
    site.replies["/go"] = Reply(status=302, headers={"Location": "/go"})
    with pytest.raises(FetchError, match="more than 5 times") as caught:
        fetch(f"{site.address}/go", 100, HERE)
    assert caught.value.code == "too_many_redirects"
    assert len(site.asked) == 6
    site.replies["/ftp"] = Reply(status=302, headers={"Location": "ftp://a.example/"})
    with pytest.raises(InputError, match="ftp"):
        fetch(f"{site.address}/ftp", 100, HERE)


def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(site: WebServer) -> None:
    site.replies["/long"] = Reply(b"x" * 5_000)
    site.replies["/zip"] = Reply(
        gzip.compress(b"x" * 50_000_000), headers={"Content-Encoding": "gzip"}
    )
    for path in ("/long", "/zip"):
        with pytest.raises(TooLargeError, match="more than 4,000 bytes"):
            fetch(f"{site.address}{path}", 4_000, HERE)
    assert len(fetch(f"{site.address}/long", 5_000, HERE).data) == 5_000


def test_compressed_bodies_are_unpacked_and_unknown_ones_refused(site: WebServer) -> None:
    site.replies["/gzip"] = Reply(gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
    site.replies["/br"] = Reply(b"hello", headers={"Content-Encoding": "br"})
    assert fetch(f"{site.address}/gzip", 100, HERE).data == b"hello"
    with pytest.raises(FetchError, match="'br'"):
        fetch(f"{site.address}/br", 100, HERE)


@pytest.mark.parametrize(
    "reply", [Reply(b"late", delay_s=LONG_S), Reply(b"x" * 100, drip_s=0.1)], ids=["silent", "drip"]
)
def test_time_is_limited_in_all(reply: Reply, site: WebServer) -> None:
    site.replies["/slow"] = reply
    with pytest.raises(FetchError) as caught:
        fetch(f"{site.address}/slow", 1_000, WebLimits(timeout_s=0.4, private_ok=True))
    assert caught.value.code == "fetch_timeout"


def test_a_resolver_that_hangs_is_left_behind() -> None:
    left = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        assert left.wait(LONG_S)
        return ["93.184.215.14"]

    with pytest.raises(FetchError) as caught:
        fetch("http://slow.example/", 10, WebLimits(timeout_s=0.2), resolve=hang)
    left.set()
    assert caught.value.code == "fetch_timeout"


def test_failures_say_what_failed(site: WebServer) -> None:
    site.replies["/gone"] = Reply(b"", 404)
    site.replies["/short"] = Reply(b"half", n_bytes_claimed=100)
    for path, told in (("/gone", "404"), ("/short", "before the end|IncompleteRead")):
        with pytest.raises(FetchError, match=told):
            fetch(f"{site.address}{path}", 1_000, HERE)
    with pytest.raises(FetchError, match="no address"):
        fetch("http://nowhere.invalid/", 10, OUTSIDE, resolve=_fails)
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(f"http://a.example:{free_port()}/", 10, HERE, resolve=lambda h, p: ["127.0.0.1"])


def test_a_server_that_speaks_no_http_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FetchError):
            fetch(f"http://127.0.0.1:{port}/", 100, HERE)
        thread.join()


def test_https_needs_a_certificate_that_can_be_trusted() -> None:
    """A plain server on the port is the simplest one without a good certificate."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 20)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FetchError) as caught:
            fetch(f"https://127.0.0.1:{port}/", 100, HERE)
        thread.join()
    assert isinstance(caught.value.__cause__, ssl.SSLError | ConnectionError)


def test_https_checks_the_name_against_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a connection to a resolved address, the name is still what must be certified."""
    key, certificate = _certificate(tmp_path, "tls.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(tls=context) as site:
        site.replies["/"] = Reply(b"safe")
        port = site.address.rpartition(":")[2]

        def get(host: str) -> bytes:
            url = f"https://{host}:{port}/"
            return fetch(url, 100, HERE, resolve=lambda h, p: ["127.0.0.1"]).data

        with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            get("tls.example")
        trusting = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
        assert get("tls.example") == b"safe"
        with pytest.raises(FetchError, match="Hostname mismatch"):
            get("other.example")
        assert len(site.asked) == 1


def _certificate(folder: Path, host: str) -> tuple[str, str]:
    """Files of a key and of a certificate that it signs for itself."""
    program = shutil.which("openssl")
    assert program, "this test needs the openssl program"
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={host}",
         "-addext", f"subjectAltName=DNS:{host}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


def test_a_picture_is_known_by_its_content(site: WebServer) -> None:
    data = picture_bytes()
    site.replies["/a.html"] = Reply(data, headers={"Content-Type": "text/html"})
    site.replies["/b.png"] = Reply(b"<html>no", headers={"Content-Type": "image/png"})
    subject = subject_at(f"{site.address}/a.html", HERE)
    assert (subject.data, subject.mime) == (data, "image/png")
    with pytest.raises(ImageError, match=r"b\.png"):
        subject_at(f"{site.address}/b.png", HERE)


def test_a_picture_in_a_private_network_has_no_public_address(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.replies["/a.png"] = Reply(picture_bytes())
    address = f"{site.address}/a.png"
    subject = subject_at(address, HERE)
    assert (subject.local, subject.url, subject.name) == (True, None, address)
    monkeypatch.setattr("relook.rag.fetching.check_public", lambda peer, host: None)
    assert subject_at(address, HERE).url == address
    with pytest.raises(AccessError):
        subject_at(address, OUTSIDE)


def test_host_of_takes_anything() -> None:
    assert host_of("https://WWW.Example.org:8080/a") == "example.org"
    assert host_of("http://[::1") == ""
    assert host_of("") == ""


def _never(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was resolved")


def _fails(host: str, port: int) -> list[str]:
    raise socket.gaierror(-2, "Name or service not known")


def _here_or_itself(host: str, port: int) -> list[str]:
    return ["127.0.0.1"] if host == "public.example" else [host]
