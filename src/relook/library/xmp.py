"""What an XMP packet, in a picture or beside it, says of the picture. Layer: library.

Source: XMP Specification Part 1 (2012) and Part 2, 2 (Dublin Core, XMP, Photoshop) and 3 (EXIF);
digiKam's and Lightroom's lists of tags.
"""

from __future__ import annotations

import logging
import re
from xml.etree import ElementTree

__all__ = ["read_xmp"]

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


def read_xmp(packet: bytes) -> dict[str, list[str]]:
    """Properties of the namespaces that are known here, as lists of texts.

    Args:
        packet: The XML. One that cannot be read, or that defines entities, says nothing.

    Returns:
        "dc:subject" -> its values, in order; of a text in several languages, the default first.
    """
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return {}
    start, end = packet.find(b"<"), packet.rfind(b">")
    try:
        root = ElementTree.fromstring(packet[start : end + 1].decode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError) as error:
        _LOG.info("damaged XMP is left out: %s", error)
        return {}
    properties: dict[str, list[str]] = {}
    for about in root.iter(f"{_RDF}Description"):
        for name, text in about.attrib.items():
            _put(properties, name, [text])
        for child in about:
            _put(properties, child.tag, _values(child))
    return properties


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
