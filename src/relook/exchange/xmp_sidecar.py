"""Keywords into an XMP file without touching anything else of it. Layer: exchange.

A file is never written anew: keywords are put into its text, at a place that the parser names. What
cannot be merged so is refused, and the file stays as it is.

Source: XMP Specification Part 1 (2012), 7 (RDF/XML) and Part 2, 2.1 (`dc:subject` is a Bag).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape

from relook.core.errors import InputError
from relook.library.picture_facts import read_xmp

_RDF, _DC = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/"
_BAGS = (f"{_RDF} Bag", f"{_RDF} Seq", f"{_RDF} Alt")
_SUBJECT, _WHOLE = f"{_DC} subject", f"{_RDF} RDF"
_NEW = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Relook">
 <rdf:RDF xmlns:rdf="{_RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()
MOST_BYTES = 1024**2
"""What is longer is not read by `relook index` either."""


@dataclass(slots=True)
class _Places:
    """Where keywords may be put, in bytes from the start; -1 for nowhere."""

    bag: int = -1
    whole: int = -1
    has_subject: bool = False


def with_keywords(packet: bytes, keywords: Iterable[str]) -> bytes:
    """An XMP file with more keywords; the same bytes when it has them all.

    Args:
        packet: The file; empty for a new one.
        keywords: Those that it lacks are added behind the others, in this order.

    Raises:
        InputError: `bad_xmp` with the reason why nothing can be added to this file.
    """
    known = read_xmp(packet) if packet else {}
    wanted = dict.fromkeys(filter(None, map(_clean, keywords)))
    new = [keyword for keyword in wanted if keyword not in known.get("dc:subject", ())]
    if not new:
        return packet
    text = packet or _NEW
    places = _places(text)
    items = "".join(f'<rdf:li xmlns:rdf="{_RDF}">{escape(keyword)}</rdf:li>' for keyword in new)
    if places.bag >= 0:
        at, more = places.bag, items
    elif places.has_subject or places.whole < 0:
        raise InputError("bad_xmp", "its keywords are written in a way that is not known here")
    else:
        at = places.whole
        more = (
            f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about="" xmlns:dc="{_DC}"><dc:subject>'
            f"<rdf:Bag>{items}</rdf:Bag></dc:subject></rdf:Description>\n"
        )
    merged = text[:at] + more.encode() + text[at:]
    _check(known, new, merged)
    return merged


def _clean(keyword: str) -> str:
    """A keyword as one line of what XML may hold."""
    text = " ".join(keyword.split())
    return "".join(c for c in text if c.isprintable() and ord(c) not in (0xFFFE, 0xFFFF))


def _places(text: bytes) -> _Places:
    if len(text) > MOST_BYTES:
        raise InputError("bad_xmp", f"it has {len(text):,} bytes, more than are read")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError("bad_xmp", "it defines entities, which no XMP needs")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("bad_xmp", "it is not UTF-8") from error
    places, open_elements = _Places(), list[str]()
    parser = expat.ParserCreate("UTF-8", namespace_separator=" ")

    def begin(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(name)
        places.has_subject |= name == _SUBJECT or _SUBJECT in attributes

    def end(name: str) -> None:
        open_elements.pop()
        at = parser.CurrentByteIndex
        tag = text[at : text.find(b">", at)].strip()
        if tag.rpartition(b":" if b":" in tag else b"/")[2] != name.rpartition(" ")[2].encode():
            return  # <rdf:Bag/>: there is no place within
        if name in _BAGS and open_elements[-1:] == [_SUBJECT] and places.bag < 0:
            places.bag = at
        elif name == _WHOLE and places.whole < 0:
            places.whole = at

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError("bad_xmp", f"it is damaged: {error}") from error
    return places


def _check(known: dict[str, list[str]], new: list[str], merged: bytes) -> None:
    """Refuses a result that lacks anything that was there, or any new keyword."""
    now = read_xmp(merged)
    kept = all(set(values) <= set(now.get(key, ())) for key, values in known.items())
    if not kept or not set(new) <= set(now.get("dc:subject", ())):
        raise InputError("bad_xmp", "its keywords are not where they are read")
