"""Near-duplicates of a page become one hit; pictures that only share a subject do not."""

from dataclasses import replace
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relook.core.images import dhash
from relook.core.settings import SearchSettings
from relook.encoders.builtin import BuiltinEncoder
from relook.library.records import FileFacts, ImageRecord
from relook.search.ranking import fold
from relook.testing import MemorySource

SETTINGS = SearchSettings(fold_cosine=0.9, fold_bits=4)
BUSY = 0x5555_5555_5555_5555  # the hash of no page of text
SAME, NEAR, FAR = [1.0, 0.0], [0.95, 0.3122], [0.0, 1.0]


def image(row: int, content: bytes, dhash: int) -> ImageRecord:
    facts = FileFacts(b"/p/%d" % row, 1, 1)
    return ImageRecord(facts, content, 1, 1, "PNG", dhash ^ BUSY, first_row=row, image_id=row + 1)


def groups(*images: tuple[list[float], bytes, int]) -> list[list[int]]:
    vectors = MemorySource(np.array([vector for vector, _, _ in images], np.float32))
    records = [image(row, content, dhash) for row, (_, content, dhash) in enumerate(images)]
    return fold(records, vectors, SETTINGS)


def test_no_images() -> None:
    assert fold([], MemorySource(np.zeros((0, 2))), SETTINGS) == []


def test_the_same_file_is_one_whatever_the_vectors_say() -> None:
    assert groups((SAME, b"a", 0), (FAR, b"b", 0), (FAR, b"a", -1)) == [[0, 2], [1]]


def test_near_in_both_ways_is_one() -> None:
    assert groups((SAME, b"a", 0), (NEAR, b"b", 0b1111), (SAME, b"c", 0b11111)) == [[0, 1], [2]]


def test_near_in_one_way_only_is_two() -> None:
    assert groups((SAME, b"a", 0), (FAR, b"b", 0), (SAME, b"c", 0xFFF)) == [[0], [1], [2]]


def test_known_images_are_not_compared_with_each_other_but_with_those_after_them() -> None:
    vectors = MemorySource(np.array([SAME, NEAR, SAME, FAR], np.float32))
    records = [image(row, b"%d" % row, 0) for row in range(4)]
    assert fold(records, vectors, SETTINGS, n_known=2) == [[0, 2], [1], [3]]
    assert fold(records, vectors, SETTINGS) == [[0, 1, 2], [3]]


def test_hashes_below_zero_are_compared_as_64_bits() -> None:
    assert groups((SAME, b"a", -1), (SAME, b"b", -16), (SAME, b"c", -32)) == [[0, 1], [2]]


def test_groups_keep_the_order_of_their_best() -> None:
    found = groups((FAR, b"a", 0), (SAME, b"b", 0), (FAR, b"c", 1), (SAME, b"d", 1))
    assert found == [[0, 2], [1, 3]]


def test_a_long_page_is_folded_as_pair_by_pair() -> None:
    """The definition, one pair after another, is the oracle."""
    random = np.random.default_rng(4)
    kinds = random.integers(0, 90, 700)
    centres = random.standard_normal((90, 16))
    vectors = centres[kinds] + 0.12 * random.standard_normal((700, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    flips = random.integers(0, 60, (700, 3))
    hashes = [int(kind) << 8 for kind in kinds]
    for row, bits in enumerate(flips.tolist()):
        for bit in bits:
            hashes[row] ^= 1 << bit
    contents = [b"%d" % one for one in random.integers(0, 500, 700)]
    records = [image(row, contents[row], hashes[row]) for row in range(700)]
    expected: list[list[int]] = []
    for at in range(700):
        for group in expected:
            bits = (hashes[at] ^ hashes[group[0]]).bit_count()
            near = float(vectors[group[0]] @ vectors[at]) >= SETTINGS.fold_cosine
            if contents[at] == contents[group[0]] or (near and bits <= SETTINGS.fold_bits):
                group.append(at)
                break
        else:
            expected.append([at])
    assert 200 < len(expected) < 600
    assert fold(records, MemorySource(vectors), SETTINGS) == expected


def text_page(seed: int, n_lines: int) -> Image.Image:
    """A white page with words of its own."""
    random, font = Random(seed), ImageFont.load_default(26)
    page = Image.new("RGB", (700, 900), "white")
    for line in range(n_lines):
        words = ("".join(random.choices("abcdefghiklmnoprstuw", k=6)) for _ in range(5))
        ImageDraw.Draw(page).text((50, 60 + 40 * line), " ".join(words), "black", font)
    return page


def test_pages_of_text_are_no_copies_of_each_other() -> None:
    encoder = BuiltinEncoder()
    pages = [text_page(seed, n_lines) for n_lines in (5, 12) for seed in range(3)]
    pages += [page.resize((420, 540)) for page in pages]
    tiles = encoder.encode_prepared([encoder.prepare(page) for page in pages])
    records = [
        replace(image(6 * row, b"%d" % row, dhash(page) ^ BUSY), n_tiles=len(tiles[row]))
        for row, page in enumerate(pages)
    ]
    folded = fold(records, MemorySource(np.concatenate(tiles)), SearchSettings())

    assert folded == [[row, row + 6] for row in range(6)]
    bits = [(records[0].dhash ^ other.dhash).bit_count() for other in records[1:3]]
    assert max(bits) <= SearchSettings().fold_bits, "their hashes alone are near"
