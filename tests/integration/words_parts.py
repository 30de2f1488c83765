"""A folder for pictures, and the words that a library has of each."""

from pathlib import Path

import pytest

import relook
from relook.library.records import Words

XMP = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/'
 xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='4'>
<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>Käse</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li xml:lang='de'>See</rdf:li>
<rdf:li xml:lang='x-default'>A lake</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def words_in(library: relook.Library) -> dict[str, Words]:
    return {
        record.path.name: Words(record.title, record.caption, record.metadata)
        for record in library.files.catalog.each_image()
    }


def captions(library: relook.Library) -> dict[str, str]:
    return {name: words.caption for name, words in words_in(library).items() if words.caption}
