"""What the picture's own file says: time, place, camera, software, an older thumbnail. Layer: rag.

It is item 0 of evidence. Whoever has the file can write all of it: it is shown with that warning,
and a model elsewhere does not get it: a person's place and time stay on this machine.

Notes say what a person should know before any evidence is read: look-alikes of a plain colour, or
of a few pixels, are chance; of a moving picture one frame is looked up.

Content credentials (C2PA) are verified here alone. A signature that holds says who signed and that
nothing changed since, not that what is claimed is true. Nothing is fetched: no manifest elsewhere,
no list of revoked certificates.

Source: C2PA Technical Specification 2; the package `c2pa-python`.
"""

import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from relook.core.converter import JsonValue
from relook.core.errors import ImageError
from relook.core.images import decode
from relook.core.plain_text import inert, plain
from relook.core.vectors import Floats
from relook.library.picture_facts import clean, embedded_words
from relook.providers.base import Subject

WARNING = "metadata can be forged"
LABELS = {
    "taken_at": "taken", "place": "place", "camera": "camera", "lens": "lens",
    "software": "software", "artist": "artist", "copyright": "copyright", "title": "title",
    "caption": "caption", "keywords": "keywords",
}  # fmt: skip
"""How facts are called for people, in their order."""
_PX, _LEAST_ALIKE = 24, 0.75
_LEAST_PX = 32
_LOOKED_AT_PX = 64
_LEAST_SPREAD = 8  # levels of 256: what saving as a JPEG adds to one colour
# A graphic control extension, and what may follow it: one stands before each frame of a GIF.
_GIF_FRAME = re.compile(rb"\x21\xf9\x04[\x00-\xff]{4}\x00[\x2c\x21]")
_OFFLINE = {
    "version": 1,
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_reading": True},
}
_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif",
          "image/heic", "image/heif")  # fmt: skip
_MARK = b"c2pa"


@dataclass(frozen=True, slots=True)
class Credentials(JsonValue):
    """What the content credentials of a file say.

    Args:
        holds: Whether the signature holds and nothing changed since; None where it could not be
            verified.
        signer: Who signed, by the certificate; may be empty.
        made_with: The program that made the claim; may be empty.
        signed_at: When, by the claim; may be empty.
        problems: What the check found wrong.
    """

    holds: bool | None
    signer: str = ""
    made_with: str = ""
    signed_at: str = ""
    problems: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of them."""
        if self.holds is None:
            return (f"it has content credentials that were not verified: {self.problems[0]}",)
        if not self.holds:
            return (f"its content credentials do NOT hold: {', '.join(self.problems)}",)
        who = f" by {self.signer}" if self.signer else ""
        return (
            f"its content credentials hold: signed{who}, unchanged since. That the signature holds"
            " does not make the claim true",
        )


def credentials_of(subject: Subject) -> Credentials | None:
    """The content credentials of a picture's file; None where it has none.

    Where the package that verifies them is not installed, a file that has some says so.
    """
    if _MARK not in subject.data or subject.mime not in _TYPES:
        return None
    try:
        import c2pa
    except ImportError:
        return Credentials(None, problems=("install relook[c2pa] to verify them",))
    try:
        with (
            c2pa.Settings.from_dict(_OFFLINE) as settings,
            c2pa.Context(settings) as context,
            c2pa.Reader(subject.mime, io.BytesIO(subject.data), context=context) as reader,
        ):
            store: Mapping[str, Any] = json.loads(reader.json())
    except c2pa.C2paError as error:
        text = str(error)
        if "ManifestNotFound" in text or "no JUMBF" in text:
            return None
        return Credentials(False, problems=(plain(text, 200),))
    return _told(store)


def _told(store: Mapping[str, Any]) -> Credentials:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    generators = manifest.get("claim_generator_info") or []
    made_with = generators[0].get("name", "") if generators else ""
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    failures = results.get("failure") or store.get("validation_status") or []
    codes = dict.fromkeys(str(failure.get("code", "unknown")) for failure in failures)
    # A certificate that nobody on a list vouches for is told, and no sign of a change.
    untrusted = [code for code in codes if code.startswith("signingCredential.untrusted")]
    broken = tuple(code for code in codes if code not in untrusted)
    signer = plain(str(signature.get("common_name") or signature.get("issuer") or ""), 120)
    if untrusted and signer:
        signer += " (a certificate that no list of trust names)"
    return Credentials(
        not broken, signer, plain(str(made_with or manifest.get("claim_generator") or ""), 120),
        plain(str(signature.get("time") or ""), 40), broken,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnEvidence(JsonValue):
    """What a picture's file says of itself.

    Args:
        facts: By name: `taken_at`, `place` ("46.2044, 6.1432"), `camera`, `software` and the like.
        notes: Things the person should know, with the warning that all of it can be forged.
        thumbnail_differs: Whether the small picture inside the file shows something else; None
            where there is none.
        credentials: Content credentials (C2PA), None where the file has none or they were not read.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    thumbnail_differs: bool | None = None
    credentials: Credentials | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.facts or self.thumbnail_differs or self.credentials)

    @property
    def report(self) -> str:
        """One sentence for people."""
        facts = [f"{LABELS.get(name, name)} {inert(value)}" for name, value in self.facts.items()]
        notes = [note for note in self.notes if note != WARNING]
        return f"The picture's own file says [0] ({WARNING}): {'; '.join([*facts, *notes])}."

    @property
    def text(self) -> str:
        """The lines that a model or a person reads, headed by the warning."""
        lines = [f"[0] the picture's own file says ({WARNING}):"]
        facts = [(LABELS.get(name, name), value) for name, value in self.facts.items()]
        lines += [f"    {label}: {inert(plain(value, 200))}" for label, value in facts]
        return "\n".join([*lines, *(f"    {note}" for note in self.notes if note != WARNING)])


def own_evidence(subject: Subject) -> OwnEvidence:
    """What the file of a picture says; nothing for one that cannot be read again."""
    try:
        picture = decode(subject.data, 256, subject.limits)
    except ImageError:
        return OwnEvidence()
    words = embedded_words(picture)
    values: dict[str, Any] = {"title": words.title, "caption": words.caption, **words.metadata}
    values["software"] = clean(picture.exif.get(ExifTags.Base.Software))
    if {"latitude", "longitude"} <= values.keys():
        values["place"] = f"{values['latitude']}, {values['longitude']}"
    camera = " ".join(str(values.get(name, "")) for name in ("camera_make", "camera")).strip()
    values["camera"] = camera
    facts = {name: plain(str(values[name]), 200) for name in LABELS if values.get(name)}
    differs = _thumbnail_differs(subject, picture.image)
    credentials = credentials_of(subject)
    notes = [WARNING] if facts else []
    if differs:
        notes.append(
            "the small picture inside the file shows something else: the picture was changed after"
            " it was made, or the small one was put there"
        )
    if credentials is not None:
        notes += credentials.notes
    return OwnEvidence(facts, tuple(notes), differs, credentials)


def _thumbnail_differs(subject: Subject, image: Image.Image) -> bool | None:
    data = embedded_thumbnail(subject.data)
    if data is None:
        return None
    try:
        small = decode(data, 0, subject.limits).image
    except ImageError:
        return None
    whole = _looks(image)
    # The small picture has no orientation of its own: it may lie on its side.
    turned = (small, *(small.transpose(turn) for turn in _TURNS))
    alike = max(float((whole * _looks(_without_bars(way))).mean()) for way in turned)
    return alike < _LEAST_ALIKE


_TURNS = (
    Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_LEFT_RIGHT,
)  # fmt: skip


def _looks(image: Image.Image) -> Floats:
    """A picture as numbers of mean 0 and spread 1 [24, 24]; a plain one as zeros and ones."""
    grey = np.asarray(image.convert("L").resize((_PX, _PX), Image.Resampling.BOX), np.float32)
    spread = float(grey.std())
    return (grey - grey.mean()) / spread if spread > 2 else np.ones_like(grey)


def _without_bars(image: Image.Image) -> Image.Image:
    """Without the black bars that cameras put above and below to fill 4:3."""
    bright = np.asarray(image.convert("L")) > 12
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    if not len(rows) or not len(columns):
        return image
    return image.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _exif_block(data: bytes) -> bytes:
    """Where the EXIF block of a file begins, and at most 64 KiB from there; else nothing.

    Sources: PNG (third edition), 11.3.4.5 eXIf; WebP container, the EXIF chunk.
    """
    if data.startswith(b"\xff\xd8"):
        start = data.find(b"Exif\0\0", 0, 65_536)
    elif data.startswith(b"\x89PNG"):
        start = data.find(b"eXIf")
        start += 4 if start >= 0 else 0
    elif data[8:12] == b"WEBP":
        start = data.find(b"EXIF", 12)
        start += 8 if start >= 0 else 0
    else:
        start = -1
    block = data[start : start + 6 + 65_536] if start >= 0 else b""
    return block.removeprefix(b"Exif\0\0")


def embedded_thumbnail(data: bytes) -> bytes | None:
    """The JPEG that the EXIF block of a JPEG, PNG or WebP keeps of it; None where there is none.

    Source: EXIF 2.32 (CIPA DC-008), 4.5.8: the second directory, tags 0x0201 and 0x0202.
    """
    block = _exif_block(data)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (n_tags,) = struct.unpack_from(f"{order}H", block, first)
        (second,) = struct.unpack_from(f"{order}I", block, first + 2 + 12 * n_tags)
        if not second:
            return None
        (n_tags,) = struct.unpack_from(f"{order}H", block, second)
        tags = {}
        for number in range(n_tags):
            tag, _, _, value = struct.unpack_from(f"{order}HHII", block, second + 2 + 12 * number)
            tags[tag] = value
    except struct.error:
        return None
    offset, length = tags.get(0x0201, 0), tags.get(0x0202, 0)
    thumbnail = block[offset : offset + length]
    is_whole = len(thumbnail) == length and thumbnail.startswith(b"\xff\xd8")
    return thumbnail if is_whole else None


def picture_notes(subject: Subject) -> tuple[str, ...]:
    """Sentences for people; none for a usual picture."""
    notes = []
    width, height = subject.width_px, subject.height_px
    if min(width, height) < _LEAST_PX:
        notes.append(f"the picture is {width} x {height} pixels: too few to tell what is like it")
    elif _is_of_one_colour(subject):
        notes.append("the picture is of one colour: that something looks like it means nothing")
    if is_moving(subject.data):
        notes.append("the picture moves: its first frame is what was looked up")
    return tuple(notes)


def _is_of_one_colour(subject: Subject) -> bool:
    try:
        image = subject.image(_LOOKED_AT_PX)
    except ImageError:
        return False
    levels = np.asarray(image.convert("RGB"))  # [h, w, 3]
    return int(np.ptp(levels, axis=(0, 1)).max()) <= _LEAST_SPREAD


def is_moving(data: bytes) -> bool:
    """Whether a file holds several frames: GIF, PNG, WebP, AVIF and HEIF sequences.

    Sources: GIF89a, 23; PNG (third edition), 11.3.6.1; WebP container, VP8X; ISO/IEC 23008-12, 7.
    """
    if data.startswith(b"GIF8"):
        return len(_GIF_FRAME.findall(data)) > 1
    if data.startswith(b"\x89PNG"):
        return data.find(b"acTL", 0, max(data.find(b"IDAT"), 0)) >= 0
    if data[8:16] == b"WEBPVP8X":
        return len(data) > 20 and bool(data[20] & 2)
    return data[4:8] == b"ftyp" and data[8:12] in (b"avis", b"msf1", b"hevc")
