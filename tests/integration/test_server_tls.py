"""The server over https, and what a phone needs to put the page on its home screen."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from process_parts import PATIENCE_S
from server_parts import serving, small_library

from relook.core.errors import InputError
from relook.server import ServerSettings, app


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relook test")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(own, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kinds = (
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip
    key_file.write_bytes(key.private_bytes(*kinds))
    return cert_file, key_file


def test_the_page_is_served_over_https(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    how = {"cache": tmp_path / "cache", "tls_cert": cert, "tls_key": key}
    with serving(small_library(tmp_path), **how) as running:
        address = running.address.replace("http:", "https:")
        trusted = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(verify=trusted, trust_env=False, timeout=PATIENCE_S) as client:
            assert client.get(f"{address}/api/v1/health").json() == {"status": "ok"}
            assert "<title>Relook</title>" in client.get(f"{address}/").text
        with pytest.raises(httpx.HTTPError):
            running.http.get("/api/v1/health")  # not in the clear


def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_served(
    tmp_path: Path,
) -> None:
    cert, key = certificate(tmp_path)
    (tmp_path / "text.pem").write_text("no certificate")
    for pair in (
        (tmp_path / "none.pem", key), (tmp_path / "text.pem", key), (cert, tmp_path / "none.pem"),
        (None, key),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            ServerSettings(tls_cert=pair[0], tls_key=pair[1])
        assert refused.value.code == "bad_certificate"


def test_the_page_can_be_installed(tmp_path: Path) -> None:
    static = Path(app.__file__).with_name("static")
    with serving(small_library(tmp_path), cache=tmp_path / "cache") as running:
        answer = running.http.get("/static/relook.webmanifest")
        assert answer.headers["content-type"] == "application/manifest+json"
        manifest = json.loads(answer.text)
        assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
        for icon in manifest["icons"]:
            shown = running.http.get(icon["src"])
            assert (shown.status_code, shown.headers["content-type"]) == (200, icon["type"])
            if icon["type"] == "image/png":
                with Image.open(static / Path(icon["src"]).name) as picture:
                    assert f"{picture.width}x{picture.height}" == icon["sizes"]
        assert 'rel="manifest"' in running.http.get("/").text
