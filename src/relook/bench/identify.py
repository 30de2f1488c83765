"""Does the evidence about a photograph name what it shows? No model, no network. Layer: bench.

A labelled photograph is one picture and one right name. Its evidence is gathered exactly as
for a question, by the library that holds the picture, with the picture itself left out; so
are copies of it, which would make the task a look-up. Reported, for k = 1, 3, 5:

- `name`: share of labelled photographs with the right name among the first k items;
- `struck`: the same after somebody who sees what is what struck, among the first five items,
  every picture that does not show it. Items behind move up. It is the most that striking can
  do, not what a person will do;
- `chance`: the same for k pictures drawn from the library at random, computed exactly.

An item has a name when its title, caption or page text, or those merged into it, has every
word of it, alone or with a plural's -s or -es. File names do not count. A picture whose
caption leaves the name out counts as a miss even if it shows the thing, and one whose caption
has the word in another sense counts as a hit.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from relook.bench.query_files import Wanted
from relook.core.converter import JsonValue
from relook.core.errors import InputError, RelookError
from relook.core.json_form import HIDDEN, INLINE, SHOWN, Digits
from relook.core.sources import read_file
from relook.library.records import ImageRecord
from relook.providers.base import Subject
from relook.providers.match import MatchKind
from relook.rag.evidence import Evidence, Item

AT = (1, 3, 5)
_LOOKED_AT = 5

Counter = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One photograph of the library and the names that are right for it."""

    image_id: int
    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdentifyResult(JsonValue):
    """How well evidence names photographs.

    Args:
        name, struck, chance: Shares by k, as the module says.
        n_labelled: Photographs times right names.
        n_photographs, n_names, n_images: How many of each; images is the library's size.
        n_unmatched: Files of the labels that the library does not hold.
        n_failed: Photographs that could not be read or looked up; they count as misses.
        evidence_ms: Mean wall time of gathering evidence, in milliseconds.
    """

    name: Annotated[Mapping[int, float], HIDDEN]
    struck: Annotated[Mapping[int, float], HIDDEN]
    chance: Annotated[Mapping[int, float], HIDDEN]
    n_labelled: int
    n_photographs: int
    n_names: int
    n_images: int
    n_unmatched: int
    n_failed: int
    evidence_ms: Annotated[float, Digits(2)]

    @property
    def shares(self) -> Annotated[dict[str, float], SHOWN, INLINE, Digits(4)]:
        """All shares under the names they are reported by: `name@1`, `name@1_struck`, ..."""
        kinds = (("", self.name), ("_struck", self.struck), ("_chance", self.chance))
        return {f"name@{k}{kind}": share for kind, by_k in kinds for k, share in by_k.items()}


def labelled(
    wanted: Iterable[Wanted], records: Iterable[ImageRecord]
) -> tuple[list[Labelled], int]:
    """Photographs with their right names, by file name, and how many files are not there.

    Raises:
        InputError: `no_match` when the library holds none of them.
    """
    by_file = {record.path.name: record for record in records}
    names: dict[str, list[str]] = {}
    for wish in wanted:
        for file in wish.files:
            names.setdefault(file, []).append(wish.words)
    kept = [
        Labelled(by_file[file].image_id, by_file[file].path, tuple(dict.fromkeys(named)))
        for file, named in names.items()
        if file in by_file
    ]
    if not kept:
        raise InputError(
            "no_match",
            "none of the labels is about a picture of this library",
            "pictures are matched by file name; index the ones the labels are about",
        )
    return kept, len(names) - len(kept)


def mentions(text: str, name: str) -> bool:
    """Whether a text has every word of a name, alone or with a plural's -s or -es."""
    low = text.casefold()
    words = re.findall(r"\w+", name.casefold())
    return bool(words) and all(re.search(rf"\b{re.escape(w)}(e?s)?\b", low) for w in words)


def bench_identify(
    photographs: Sequence[Labelled],
    records: Sequence[ImageRecord],
    gather: Callable[[Subject], Evidence],
    n_unmatched: int = 0,
    counter: Counter | None = None,
) -> IdentifyResult:
    """Gathers evidence about every labelled photograph and looks for its names in it.

    Args:
        photographs: What is asked about.
        records: Every image of the library, with its words.
        gather: Makes evidence; given subjects that know their image id.
        n_unmatched: Files of the labels that the library does not hold, to be reported.
        counter: Called with how many photographs are done, and of how many.
    """
    shown = _shown_by_name(photographs)
    having = _having_by_name(shown, records)
    shares: list[dict[str, dict[int, float]]] = []
    took_s, n_failed = 0.0, 0
    for at, photograph in enumerate(photographs, 1):
        evidence = _evidence(photograph, gather)
        n_failed += evidence is None
        took_s += 0.0 if evidence is None else evidence.took_s
        items = [] if evidence is None else _without_copies(evidence)
        for name in photograph.names:
            chance = _chances(having[name], photograph.image_id, len(records))
            seen = _shares(items, name)
            kept = _shares(_struck(items, shown[name]), name)
            shares.append({"name": seen, "struck": kept, "chance": chance})
        if counter is not None:
            counter(at, len(photographs))
    answered = max(len(photographs) - n_failed, 1)
    return IdentifyResult(
        name=_means([share["name"] for share in shares]),
        struck=_means([share["struck"] for share in shares]),
        chance=_means([share["chance"] for share in shares]),
        n_labelled=len(shares),
        n_photographs=len(photographs),
        n_names=len(shown),
        n_images=len(records),
        n_unmatched=n_unmatched,
        n_failed=n_failed,
        evidence_ms=took_s / answered * 1e3,
    )


def _shown_by_name(photographs: Iterable[Labelled]) -> dict[str, set[int]]:
    """Images that show what a name says, by the labels."""
    shown: dict[str, set[int]] = {}
    for photograph in photographs:
        for name in photograph.names:
            shown.setdefault(name, set()).add(photograph.image_id)
    return shown


def _having_by_name(
    names: Iterable[str], records: Sequence[ImageRecord]
) -> dict[str, frozenset[int]]:
    """Images whose words have a name."""
    texts = [(record.image_id, f"{record.title} {record.caption}") for record in records]
    return {
        name: frozenset(image_id for image_id, text in texts if mentions(text, name))
        for name in names
    }


def _evidence(photograph: Labelled, gather: Callable[[Subject], Evidence]) -> Evidence | None:
    try:
        subject = Subject.of(read_file(photograph.path), image_id=photograph.image_id)
        return gather(subject)
    except RelookError:
        return None


def _without_copies(evidence: Evidence) -> list[Item]:
    return [item for item in evidence.shown if item.match.kind is not MatchKind.SAME]


def _struck(items: Sequence[Item], shown: set[int]) -> list[Item]:
    """What is left when the wrong ones of the first five are struck."""
    looked_at, behind = items[:_LOOKED_AT], items[_LOOKED_AT:]
    return [*(item for item in looked_at if item.match.image_id in shown), *behind]


def _shares(items: Sequence[Item], name: str) -> dict[int, float]:
    """1 for each k whose first items have the name, else 0."""
    has = [mentions(_words(item), name) for item in items[: max(AT)]]
    return {k: float(any(has[:k])) for k in AT}


def _words(item: Item) -> str:
    texts = [text for match in (item.match, *item.others) for text in (match.title, match.text)]
    return " ".join([*texts, item.text])


def _chances(having: frozenset[int], image_id: int, n_images: int) -> dict[int, float]:
    """That k other pictures drawn without putting back have the name at least once."""
    n, n_having = n_images - 1, len(having - {image_id})
    return {k: 1.0 - math.comb(n - n_having, k) / math.comb(n, k) if n >= k else 0.0 for k in AT}


def _means(shares: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {k: sum(share[k] for share in shares) / max(len(shares), 1) for k in AT}
