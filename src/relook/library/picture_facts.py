"""Titles, captions and facts with types: from a picture file, XMP, Takeout's JSON. Layer: library.

Times are ISO 8601, with the zone where it is known; `taken_from` says where the time stands.
Places are degrees, ratings whole numbers. People's words (IPTC, XMP, Windows) count before
cameras' (EXIF).

Sources: EXIF 2.32 (CIPA DC-008) tags; IPTC-IIM 4.2 datasets 2:05, 2:25, 2:80, 2:116, 2:120;
Windows' XPTitle to XPSubject (40091 to 40095) and Rating (18246); PNG 1.2, 11.3.4 (keywords); XMP
Specification Part 1 (2012) and Part 2, 2 (Dublin Core, XMP, Photoshop) and 3 (EXIF); digiKam's and
Lightroom's lists of tags; files of Google Takeout, 2018 to 2025.
"""

import bisect
import itertools
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from PIL import ExifTags

from relook.core.picture import Picture
from relook.core.text_encoding import encoding_of
from relook.library.records import Words

_LOG = logging.getLogger(__name__)
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_NAMESPACES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://www.digikam.org/ns/1.0/": "digiKam",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
}
_TAG = re.compile(r"\{(.*)\}(.*)")
_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z][\w.-]*)""")
# How a "<" begins a file in an encoding that no mark says.
_BARE = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def read_xmp(packet: bytes) -> dict[str, list[str]]:
    """Properties of the namespaces that are known here, as lists of texts.

    Args:
        packet: The XML. One that cannot be read, or that defines entities, says nothing; letters
            that cannot be become U+FFFD.

    Returns:
        "dc:subject" -> its values, in order; of a text in several languages, the default first.
    """
    if not packet:
        return {}
    try:
        return parsed_xmp(packet, "replace")
    except ValueError as error:
        _LOG.info("damaged XMP is left out: %s", error)
        return {}


def parsed_xmp(packet: bytes, errors: str = "strict") -> dict[str, list[str]]:
    """The same of a packet that must be readable.

    Args:
        packet: The XML, in the encoding that its byte order mark or declaration says, else UTF-8.
        errors: What becomes of letters that are not of it, as in `bytes.decode`.

    Raises:
        ValueError: when it cannot be read, or defines entities.
    """
    text = _xml_text(packet, errors)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it defines entities, which no XMP needs")
    try:
        root = ElementTree.fromstring(text[text.find("<") : text.rfind(">") + 1])
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no whole XML: {error}") from error
    properties: dict[str, list[str]] = {}
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f".//{_RDF}RDF")
    for about in () if rdf is None else rdf.findall(f"{_RDF}Description"):
        for name, value in about.attrib.items():
            _put(properties, name, [value])
        for child in about:
            _put(properties, child.tag, _values(child))
    return properties


def _xml_text(packet: bytes, errors: str) -> str:
    """The letters of an XML file; a packet in UTF-16 or UTF-32 may come without a mark."""
    encoding = encoding_of(packet)
    if encoding == "utf-8":
        bare = (name for begin, name in _BARE if packet.startswith(begin))
        encoding = next(bare, None) or _declared(packet)
    try:
        return packet.decode(encoding, errors)
    except LookupError:
        raise ValueError(f"it is in {encoding}, which is not known here") from None


def _declared(packet: bytes) -> str:
    """The encoding that a declaration says, if its letters can be read at all; else UTF-8."""
    declaration = _DECLARATION.match(packet)
    name = declaration[1].decode() if declaration else "utf-8"
    return "utf-8" if name.lower().startswith(("utf-16", "utf-32", "ucs")) else name


def _put(properties: dict[str, list[str]], tag: str, values: list[str]) -> None:
    match = _TAG.fullmatch(tag)
    prefix = _NAMESPACES.get(match[1]) if match else None
    texts = [" ".join(value.split()) for value in values]
    if prefix and match and any(texts):
        properties.setdefault(f"{prefix}:{match[2]}", []).extend(filter(None, texts))


def _values(element: ElementTree.Element) -> list[str]:
    items = list(element.iter(f"{_RDF}li"))
    if not items:
        return [element.text or ""]
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    items.sort(key=lambda item: item.get(language, "x-default") != "x-default")
    return [item.text or "" for item in items]


_MOST_JOINED = 8192  # letters of all keywords together; nobody types more
_XP_TITLE, _XP_COMMENT, _XP_AUTHOR, _XP_KEYWORDS, _RATING = 40091, 40092, 40093, 40094, 18246
_TITLE, _CAPTION, _KEYWORDS, _ARTIST, _COPYRIGHT = (2, 5), (2, 120), (2, 25), (2, 80), (2, 116)
# Where the time stands, best first: its name, and the tags of the time and of its zone.
_TIMES = (
    ("original", ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    ("digitized", ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    ("modified", ExifTags.Base.DateTime, ExifTags.Base.OffsetTime),
)
_XMP_TIMES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_XMP_KEYWORDS = ("dc:subject", "digiKam:TagsList", "lr:hierarchicalSubject")
_TIME = re.compile(
    r"(\d{4})[:-](\d\d)(?:[:-](\d\d))?(?:[T ]+(\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?"
)
_YEAR = re.compile(r"(\d{4})[:\s-]*")  # EXIF has blanks for what is not known
# What cameras and programs write where a caption belongs. Source: descriptions of photographs in
# public collections (Wikimedia Commons' list of default captions of cameras, among others).
_PROGRAMS = (
    r"adobe|photoshop|gimp|picasa|vsco|lightroom|paint|imagemagick|inkscape|canva|snapseed|jpegmini"
    r"|ebay|acdsee|irfanview|corel|xv\b|\S+ v?\d+\.\d"
)
_BY_PROGRAMS = re.compile(
    r"(?:(?:olympus|konica minolta|minolta|kodak|samsung|panasonic|ricoh|nikon|canon|sony)?\W*"
    r"digital (?:still )?camera|sony dsc|dcf ?1\.\d|dsc\d*|dig|image|picture|photo|untitled"
    r"|(?:file )?(?:written|created|made|generated|optimi[sz]ed|processed|compressed|edited)"
    rf" (?:by|with|using|in) (?:the )?(?:{_PROGRAMS}).*"
    r"|creator: gd-jpeg.*|lead technologies.*|applemark|jfif.*|exif_.*|default|ascii|picasa"
    r'|\{"shape":.*|imagej=.*|<\?xml.*'
    r"|(?:charset|binary|software|user) ?(?:=|:|comments?\b).*|[\W_]*)",
    re.IGNORECASE | re.DOTALL,
)
_COORDINATE = re.compile(r"(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])")


def embedded_words(picture: Picture) -> Words:
    """Everything that a picture file says of itself; keywords of all its blocks together."""
    blocks = (
        _iptc(picture), xmp_words(read_xmp(picture.xmp)), _windows(picture), _exif(picture),
        _texts(picture),
    )  # fmt: skip
    words = Words()
    for block in blocks:
        words = words.over(
            Words(_of_people(block.title), _of_people(block.caption), block.metadata)
        )
    keywords = [block.metadata.get("keywords", "") for block in blocks]
    facts = {**words.metadata, **_joined("keywords", ", ".join(keywords).split(", "))}
    if exif_time := _exif_time(picture):  # the camera's own, before an editor's
        facts |= exif_time
    return Words(words.title, words.caption, facts)


def _of_people(text: str) -> str:
    """A text; empty when a camera or a program wrote it."""
    return "" if _BY_PROGRAMS.fullmatch(text.strip()) else text


def xmp_words(properties: Mapping[str, list[str]]) -> Words:
    """What the properties of an XMP packet say, as `read_xmp` gives them."""
    if not properties:
        return Words()

    def first(*names: str) -> str:
        return next((properties[name][0] for name in names if name in properties), "")

    facts: dict[str, Any] = _texts_of(
        camera_make=first("tiff:Make"), camera=first("tiff:Model"),
        lens=first("exifEX:LensModel", "aux:Lens"), artist=first("dc:creator"),
        copyright=first("dc:rights"),
    )  # fmt: skip
    tags = [tag for name in _XMP_KEYWORDS for tag in properties.get(name, ())]
    facts |= _joined("keywords", [re.split(r"[/|]", tag)[-1] for tag in tags])
    facts |= _rating(first("xmp:Rating"))
    facts |= place_facts(
        _coordinate(first("exif:GPSLatitude")), _coordinate(first("exif:GPSLongitude"))
    )
    for name in _XMP_TIMES:
        if taken := iso_time(first(name)):
            facts |= {"taken_at": taken, "taken_from": "xmp"}
            break
    return Words(first("dc:title", "photoshop:Headline"), first("dc:description"), facts)


def iso_time(text: str, zone: str = "") -> str:
    """A time as ISO 8601, no more exact than it is given; empty for none that there was.

    Args:
        text: As EXIF, XMP or a person writes it; a month or day 00 is not known.
        zone: "+02:00", where it stands apart.
    """
    if match := _YEAR.fullmatch(text.strip()):
        return match[1] if int(match[1]) else ""
    if (match := _TIME.match(text.strip())) is None:
        return ""
    year, month, day, hour, minute, second, own_zone = match.groups()
    month = None if month == "00" else month
    day = None if day == "00" or not month else day
    try:
        datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
                 min(int(second or 0), 59))  # fmt: skip
    except ValueError:
        return ""
    date = "-".join(filter(None, (year, month, day)))
    if hour is None or not day:
        return date
    zone = (own_zone or zone).strip()
    known = zone if re.fullmatch(r"Z|[+-]\d\d:?\d\d", zone) else ""
    return f"{date}T{hour}:{minute}:{second or '00'}{'+00:00' if known == 'Z' else known}"


def place_facts(latitude: object, longitude: object) -> dict[str, float]:
    """Latitude and longitude in degrees, unless they are no place: 0, 0 stands for none."""
    try:
        north, east = float(str(latitude)), float(str(longitude))
    except ValueError:
        return {}
    if not (abs(north) <= 90 and abs(east) <= 180 and (north or east)):
        return {}
    return {"latitude": round(north, 7), "longitude": round(east, 7)}


def _exif(picture: Picture) -> Words:
    exif = picture.exif
    facts: dict[str, Any] = _texts_of(
        camera_make=clean(exif.get(ExifTags.Base.Make)),
        camera=clean(exif.get(ExifTags.Base.Model)),
        lens=clean(exif.get(ExifTags.Base.LensModel)),
        artist=clean(exif.get(ExifTags.Base.Artist)),
        copyright=clean(exif.get(ExifTags.Base.Copyright)),
    )
    facts |= _rating(str(exif.get(_RATING, "")))
    place = exif.get(ExifTags.Base.GPSInfo)
    if isinstance(place, list) and len(place) == 2:
        facts |= place_facts(*place)
    return Words("", clean(exif.get(ExifTags.Base.ImageDescription)), facts)


def _exif_time(picture: Picture) -> dict[str, str]:
    for name, tag, zone in _TIMES:
        taken = iso_time(clean(picture.exif.get(tag)), clean(picture.exif.get(zone)))
        if taken:
            return {"taken_at": taken, "taken_from": name}
    return {}


def _windows(picture: Picture) -> Words:
    """What the properties of a file in Windows say."""

    def text(tag: int) -> str:
        value = picture.exif.get(tag)
        value = bytes(value) if isinstance(value, tuple) else value
        return clean(value.decode("utf-16-le", "replace")) if isinstance(value, bytes) else ""

    facts = _texts_of(artist=text(_XP_AUTHOR))
    facts |= _joined("keywords", text(_XP_KEYWORDS).split(";"))
    return Words(text(_XP_TITLE), text(_XP_COMMENT), facts)


def _iptc(picture: Picture) -> Words:
    iptc = picture.iptc
    facts = _texts_of(artist=clean(iptc.get(_ARTIST)), copyright=clean(iptc.get(_COPYRIGHT)))
    keywords = iptc.get(_KEYWORDS)
    facts |= _joined("keywords", map(clean, keywords if isinstance(keywords, list) else [keywords]))
    return Words(clean(iptc.get(_TITLE)), clean(iptc.get(_CAPTION)), facts)


def _texts(picture: Picture) -> Words:
    """The texts of a PNG."""
    texts = {key.lower(): clean(text) for key, text in picture.texts.items()}
    facts: dict[str, Any] = _texts_of(
        artist=texts.get("author", ""), copyright=texts.get("copyright", "")
    )
    facts |= _joined("keywords", re.split("[;,]", texts.get("keywords", "")))
    if taken := iso_time(texts.get("creation time", "")):
        facts |= {"taken_at": taken, "taken_from": "text"}
    caption = texts.get("description") or texts.get("comment", "")
    return Words(texts.get("title", ""), caption, facts)


def _texts_of(**texts: str) -> dict[str, Any]:
    return {key: text for key, text in texts.items() if text}


def _joined(key: str, texts: Iterable[str]) -> dict[str, Any]:
    several = list(dict.fromkeys(filter(None, (text.strip() for text in texts))))
    n_letters = list(itertools.accumulate(len(text) + 2 for text in several))
    several = several[: bisect.bisect_right(n_letters, _MOST_JOINED)]
    return {key: ", ".join(several)} if several else {}


def _rating(text: str) -> dict[str, Any]:
    try:
        rating = int(float(text))
    except (ValueError, OverflowError):
        return {}
    return {"rating": rating} if -1 <= rating <= 5 and rating else {}


def _coordinate(text: str) -> float | None:
    """Degrees of XMP's "48,51.5N"; None for none."""
    match = _COORDINATE.fullmatch(text.replace(" ", ""))
    if match is None:
        return None
    degrees = float(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
    return -degrees if match[4] in "SW" else degrees


def clean(value: object) -> str:
    """Clean text of a field; cameras pad with NULs and write Latin-1 now and then."""
    if isinstance(value, bytes):
        data = value
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            value = data.decode("latin-1")
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""


def is_takeout(values: Mapping[str, Any]) -> bool:
    """Whether an object is of Takeout's photographs, and not any other JSON."""
    taken, place = values.get("photoTakenTime"), values.get("geoData")
    return isinstance(taken, Mapping) or isinstance(place, Mapping)


def takeout_words(values: Mapping[str, Any]) -> Words:
    """Caption, time, place and people; its title is but the name of the file."""
    facts: dict[str, Any] = {}
    if taken := _time(values.get("photoTakenTime")):
        facts |= {"taken_at": taken, "taken_from": "takeout"}
    for key in ("geoData", "geoDataExif"):
        place = values.get(key)
        if isinstance(place, Mapping) and "latitude" not in facts:
            facts |= place_facts(place.get("latitude"), place.get("longitude"))
    people = values.get("people")
    names = [person.get("name") for person in people or () if isinstance(person, Mapping)]
    if texts := [name for name in names if isinstance(name, str) and name]:
        facts["people"] = ", ".join(texts)
    if values.get("favorited") is True:
        facts["favorite"] = True
    description = values.get("description")
    return Words("", description.strip() if isinstance(description, str) else "", facts)


def _time(value: object) -> str:
    try:
        seconds = int(value["timestamp"])  # type: ignore[index]
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""
