"""What a picture's own file says: its facts, an older thumbnail, its content credentials."""

import io
import sys
from datetime import datetime

import c2pa
import pytest
import skimage
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import ExifTags, Image

from relook.providers.base import Subject
from relook.rag.evidence import Evidence, evidence_text
from relook.rag.own_evidence import WARNING, credentials_of, embedded_thumbnail, own_evidence

_DATA = f"{skimage.__path__[0]}/data"


def photograph(thumbnail: str = "", **tags: object) -> bytes:
    """A JPEG of a cup of coffee, taken in Geneva, and perhaps a small picture inside it."""
    image = Image.open(f"{_DATA}/coffee.png").convert("RGB")
    image.thumbnail((240, 240))
    exif = Image.Exif()
    exif[ExifTags.Base.Model], exif[ExifTags.Base.Software] = "Camera 7", "Editor 3.1"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:07:14 10:20:30"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (46.0, 12.0, 15.8)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (6.0, 8.0, 35.5)
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    data = out.getvalue()
    return _with_thumbnail(data, thumbnail) if thumbnail else data


def _with_thumbnail(data: bytes, name: str) -> bytes:
    """The file with an EXIF block of nothing but a small picture."""
    small = Image.open(f"{_DATA}/{name}").convert("RGB")
    small.thumbnail((120, 120))
    out = io.BytesIO()
    small.save(out, "JPEG")
    jpeg = out.getvalue()

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little")

    tags = [(0x0201, 44), (0x0202, len(jpeg))]
    second = number(2, 2) + b"".join(
        number(tag, 2) + number(4, 2) + number(1, 4) + number(value, 4) for tag, value in tags
    )
    tiff = b"II*\0" + number(8, 4) + number(0, 2) + number(14, 4) + second + number(0, 4) + jpeg
    block = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]


def test_facts_are_item_0_with_the_warning() -> None:
    own = own_evidence(Subject.of(photograph()))
    assert own.facts == {
        "taken_at": "2019-07-14T10:20:30", "place": "46.2043889, 6.1431944", "camera": "Camera 7",
        "software": "Editor 3.1",
    }  # fmt: skip
    assert own.notes == (WARNING,)
    text = evidence_text(Evidence(own=own))
    assert text.startswith(f"[0] the picture's own file says ({WARNING}):")
    assert "place: 46.2043889, 6.1431944" in text
    assert Evidence.from_dict(Evidence(own=own).as_dict()).own == own


def test_a_file_that_says_nothing_gives_no_item() -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    own = own_evidence(Subject.of(out.getvalue()))
    assert not own.says_something
    assert evidence_text(Evidence(own=own)) == ""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("name", "differs"), [("coffee.png", False), ("chelsea.png", True)])
def test_a_small_picture_inside_that_shows_something_else_is_told(
    name: str, differs: bool, form: str
) -> None:
    data = photograph(name)
    if form != "JPEG":
        image, out = Image.open(io.BytesIO(data)), io.BytesIO()
        image.save(out, form, exif=image.info["exif"])
        data = out.getvalue()
    assert embedded_thumbnail(data) is not None
    own = own_evidence(Subject.of(data))
    assert own.thumbnail_differs is differs
    assert any("shows something else" in note for note in own.notes) is differs


@pytest.mark.parametrize("cut", [30, 60, 100, 200])
def test_a_damaged_block_has_no_small_picture(cut: int) -> None:
    data = photograph("coffee.png")
    assert embedded_thumbnail(data[:cut]) is None
    assert embedded_thumbnail(b"") is None


def signed() -> bytes:
    """A photograph with content credentials of a newspaper that no list of trust names."""
    key, root = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def certificate(who: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        def name(text: str) -> x509.Name:
            return x509.Name(
                [x509.NameAttribute(oid, text)
                 for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)]
            )  # fmt: skip

        return x509.CertificateBuilder(
            name("A root"), name(who), public, x509.random_serial_number(),
            datetime(2025, 1, 1), datetime(2045, 1, 1),
        )  # fmt: skip

    ours = certificate("A root", root.public_key())
    ours = ours.add_extension(x509.BasicConstraints(True, None), critical=True)
    theirs = certificate("A Newspaper", key.public_key())
    usage = x509.KeyUsage(True, *[False] * 8)
    for extension, critical in (
        (x509.BasicConstraints(False, None), True), (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ):  # fmt: skip
        theirs = theirs.add_extension(extension, critical=critical)
    chain = b"".join(
        made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        for made in (theirs, ours)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, private, None)
    claim = {
        "claim_generator_info": [{"name": "A camera", "version": "1"}],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [{
                "action": "c2pa.created",
                "digitalSourceType":
                    "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
            }]}},
        ],
    }  # fmt: skip
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(claim) as builder:
        builder.sign(signer, "image/jpeg", io.BytesIO(photograph()), out)
    return out.getvalue()


@pytest.fixture(scope="module")
def credentialed() -> bytes:
    return signed()


def test_credentials_that_hold_are_not_called_true(credentialed: bytes) -> None:
    credentials = credentials_of(Subject.of(credentialed))
    assert credentials is not None
    assert (credentials.holds, credentials.made_with) == (True, "A camera")
    assert "A Newspaper (a certificate that no list of trust names)" in credentials.signer
    assert "does not make the claim true" in credentials.notes[0]
    assert own_evidence(Subject.of(credentialed)).credentials == credentials


def test_a_change_after_signing_is_found(credentialed: bytes) -> None:
    changed = bytearray(credentialed)
    changed[-40] ^= 0xFF
    credentials = credentials_of(Subject.of(bytes(changed)))
    assert credentials is not None
    assert credentials.holds is False
    assert "assertion.dataHash.mismatch" in credentials.problems
    assert "do NOT hold" in credentials.notes[0]


def test_without_the_package_credentials_are_told_as_not_verified(
    credentialed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    credentials = credentials_of(Subject.of(credentialed))
    assert credentials is not None
    assert credentials.holds is None
    assert "relook[c2pa]" in credentials.notes[0]
    assert credentials_of(Subject.of(photograph())) is None
