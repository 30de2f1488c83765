"""Identification by evidence: what counts as named, and shares that can be checked by hand."""

import json
from pathlib import Path

import pytest

from relook.bench.identify import Labelled, bench_identify, labelled, mentions
from relook.bench.query_files import Wanted
from relook.core.errors import FetchError, InputError
from relook.library.records import FileFacts, ImageRecord
from relook.providers.base import Subject
from relook.providers.match import Match, MatchKind
from relook.rag.evidence import Evidence, Item
from relook.testing.web_server import picture_bytes


@pytest.mark.parametrize(
    ("text", "name", "has"),
    [
        ("A dog runs.", "dog", True),
        ("Two DOGS run", "dog", True),
        ("boxes", "box", True),
        ("hotdog", "dog", False),
        ("doggy", "dog", False),
        ("a ball for tennis", "tennis ball", True),
        ("a ball", "tennis ball", False),
        ("\u00c9t\u00e9 STRASSE", "stra\u00dfe", True),
        ("anything", "", False),
        ("a.b", "a.b", True),
    ],
)
def test_mentions(text: str, name: str, has: bool) -> None:
    assert mentions(text, name) == has


def record(image_id: int, caption: str) -> ImageRecord:
    facts = FileFacts(f"/p/{image_id}.png".encode(), 1, 1)
    return ImageRecord(facts, b"", 9, 9, "PNG", 0, caption=caption, image_id=image_id)


RECORDS = [record(n, "a red dog" if n in (1, 2, 5) else "a cat") for n in range(1, 11)]


def photograph(folder: Path, image_id: int, *names: str) -> Labelled:
    path = folder / f"{image_id}.png"
    path.write_bytes(picture_bytes(image_id))
    return Labelled(image_id, path, names)


def evidence(*image_ids: int, same: int = 0) -> Evidence:
    """Items with the words that the library has for these images."""
    return Evidence(
        tuple(
            Item(
                at,
                Match(
                    "library",
                    MatchKind.SAME if image_id == same else MatchKind.SIMILAR,
                    text=RECORDS[image_id - 1].caption,
                    image_id=image_id,
                    metadata={"file": "dog.jpg"},
                ),
            )
            for at, image_id in enumerate(image_ids, 1)
        ),
        took_s=0.01,
    )


def test_shares_by_hand(tmp_path: Path) -> None:
    """Right at the fourth place; two of the first five show it by the labels, wherever they are."""
    asked: list[Subject] = []

    def gather(subject: Subject) -> Evidence:
        asked.append(subject)
        return evidence(3, 4, 6, 2, 7, 5) if subject.image_id == 1 else evidence(3, 4, 6, 7, 8, 9)

    photographs = [photograph(tmp_path, 1, "dog"), photograph(tmp_path, 2, "dog")]
    result = bench_identify(photographs, RECORDS, gather)
    assert [one.image_id for one in asked] == [1, 2]
    assert result.name == {1: 0.0, 3: 0.0, 5: 0.5}
    # Of the first photograph's items only number 2 is labelled; 5 moves up behind it.
    assert result.struck == {1: 0.5, 3: 0.5, 5: 0.5}
    # Two others of nine have the name in their words: 1 - C(7, k) / C(9, k).
    assert result.chance == pytest.approx({1: 2 / 9, 3: 1 - 35 / 84, 5: 1 - 21 / 126})
    assert (result.n_labelled, result.n_names, result.n_images) == (2, 1, 10)
    assert result.evidence_ms == pytest.approx(10.0)
    told = json.loads(json.dumps(result.as_dict()))
    assert told["name@5"] == 0.5
    assert told["name@1_struck"] == 0.5
    assert told["name@1_chance"] == 0.2222


def test_copies_and_file_names_do_not_count(tmp_path: Path) -> None:
    photographs = [photograph(tmp_path, 1, "dog")]
    result = bench_identify(photographs, RECORDS, lambda _: evidence(5, 3, same=5))
    assert result.name == {1: 0.0, 3: 0.0, 5: 0.0}


def test_what_cannot_be_looked_up_is_a_miss_and_is_counted(tmp_path: Path) -> None:
    def fails(subject: Subject) -> Evidence:
        raise FetchError("fetch_failed", "no line")

    gone = Labelled(3, tmp_path / "gone.png", ("cat",))
    photographs = [photograph(tmp_path, 1, "dog"), gone]
    result = bench_identify(photographs, RECORDS, fails, n_unmatched=4)
    assert (result.name[5], result.n_failed, result.n_unmatched) == (0.0, 2, 4)


def test_labels_are_matched_by_file_name() -> None:
    wanted = [Wanted("dog", ("1.png", "x.png")), Wanted("red", ("1.png",)), Wanted("cat", ())]
    kept, n_unmatched = labelled(wanted, RECORDS)
    assert [(one.image_id, one.names) for one in kept] == [(1, ("dog", "red"))]
    assert n_unmatched == 1
    with pytest.raises(InputError, match="none of the labels"):
        labelled([Wanted("dog", ("x.png",))], RECORDS)
