"""Groups of equal and near-equal pictures, and which of each to keep. Nothing is deleted here.

Two pictures are copies as `search.ranking` folds them. Candidates are found by parts of hashes:
hashes that differ in few bits have a part in common. Layer: search.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import JsonValue
from relook.core.errors import ImageError
from relook.core.images import load
from relook.core.json_form import Digits
from relook.core.progress import check_cancelled
from relook.core.settings import SearchSettings
from relook.core.vectors import Ints
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord
from relook.library.tombstones import referred
from relook.search.ranking import same_pictures

_MANY = 200_000  # images from which hashes must have a longer part in common
_WINDOW = 3_000  # neighbours in a list of equal parts that a hash is compared with
_SHARP_PX, _SOFT = 512, 0.8
_DERIVED = "groups of copies"
# What copies are called: "x (1)", "x - Copy", "x copy 2", "x-edited", "Copy of x".
_COPY_NAME = re.compile(
    r"^(copy|kopie|copi[ae]) of |\(\d{1,2}\)$|[ _-](copy|kopie|copi[ae])( ?\d+)?$"
    r"|[-_](edited|bearbeitet|small|thumb|\d+x\d+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Copy(JsonValue):
    """One picture of a group.

    Args:
        image_id: Which.
        path: Its file.
        size_bytes: Of the file.
        width_px, height_px: Of the picture.
        format: Its container.
        taken_at: When it says that it was taken; empty when it does not.
        n_facts: How many things it tells of itself: title, caption, and metadata.
        is_same_file: Whether its bytes are those of the one to keep.
        sharpness: Mean difference of neighbouring pixels, at the size of the group's smallest
            picture and at most 512 px; None where it was not measured.
    """

    image_id: int
    path: Path
    size_bytes: int
    width_px: int
    height_px: int
    format: str
    taken_at: str
    n_facts: int
    is_same_file: bool
    sharpness: Annotated[float | None, Digits(2)] = None


@dataclass(frozen=True, slots=True)
class CopyGroup(JsonValue):
    """Pictures that are copies of each other, the one to keep first.

    Args:
        copies: At least two.
        why: Why the first is suggested.
        differs: In what they differ: "file", "size", "format", "sharpness", "metadata", "folder".
        n_bytes: What the others take.
    """

    copies: tuple[Copy, ...]
    why: str
    differs: tuple[str, ...]
    n_bytes: int

    @property
    def is_equal(self) -> bool:
        """Whether all are the same file, byte for byte."""
        return all(copy.is_same_file for copy in self.copies)


@dataclass(frozen=True, slots=True)
class Copies(JsonValue):
    """The groups of a library, those that take most first.

    Args:
        n_groups: How many there are.
        n_others: How many pictures are not the one to keep of their group.
        n_bytes: What these take.
        groups: The wanted part.
    """

    n_groups: int
    n_others: int
    n_bytes: int
    groups: tuple[CopyGroup, ...]


def find_copies(
    files: LibraryFiles,
    settings: SearchSettings,
    *,
    equal_only: bool = False,
    limit: int | None = None,
    skip: int = 0,
    measure: bool = False,
) -> Copies:
    """Finds the groups of a library.

    Args:
        files: The open library, in a `moment`.
        settings: How near is near.
        equal_only: Leave out groups of pictures that are not the same file.
        limit: How many groups; all when None.
        skip: How many are left out before.
        measure: Read the pictures of these groups to tell which is sharpest.
    """
    groups: list[CopyGroup] | None = files.derived.get(_DERIVED)
    if groups is None:
        groups = files.derived[_DERIVED] = _groups(files, settings)
    if equal_only:
        groups = [group for group in groups if group.is_equal]
    part = groups[skip : None if limit is None else skip + limit]
    if measure:
        part = [measured(files, group) for group in part]
    named = referred(files.catalog.ask)
    part = [_keeping(group, named) for group in part]
    n_others = sum(len(group.copies) - 1 for group in groups)
    return Copies(len(groups), n_others, sum(group.n_bytes for group in groups), tuple(part))


def group_of(files: LibraryFiles, image_ids: Sequence[int], *, measure: bool = True) -> CopyGroup:
    """The group that some images make.

    Raises:
        NotFoundError: `no_image`.
    """
    group = _group(files.catalog.images(dict.fromkeys(image_ids)))
    group = measured(files, group) if measure else group
    return _keeping(group, referred(files.catalog.ask))


def _keeping(group: CopyGroup, named: AbstractSet[int]) -> CopyGroup:
    """A group, kept first the one of equal files that marks or albums name: they stay with it."""
    equal = [copy for copy in group.copies if copy.is_same_file]
    kept = next((copy for copy in equal if copy.image_id in named), equal[0])
    if kept is group.copies[0]:
        return group
    others = [copy for copy in group.copies if copy is not kept]
    return replace(group, copies=(kept, *others), why="it was marked, or is in an album")


def measured(files: LibraryFiles, group: CopyGroup) -> CopyGroup:
    """A group with the sharpness of its pictures, and the suggestion that follows from it.

    The bytes of equal files are read once.
    """
    records = files.catalog.images([copy.image_id for copy in group.copies], missing_ok=True)
    known: dict[bytes, float | None] = {}
    sides_px = [max(record.width_px, record.height_px) for record in records]
    size_px = min([_SHARP_PX, *sides_px])
    for record in records:
        check_cancelled()
        if record.content not in known:
            known[record.content] = _sharpness(record, files, size_px)
    return _group(records, {record.image_id: known[record.content] for record in records})


def _sharpness(record: ImageRecord, files: LibraryFiles, size_px: int) -> float | None:
    try:
        picture = load(record.path, size_px, files.limits)
    except (ImageError, OSError):
        return None
    grey = picture.image.convert("L")
    grey.thumbnail((size_px, size_px))
    pixels = np.asarray(grey, np.float32)
    steps = [np.abs(np.diff(pixels, axis=axis)) for axis in (0, 1) if pixels.shape[axis] > 1]
    return float(np.mean([step.mean() for step in steps])) if steps else 0.0


def _groups(files: LibraryFiles, settings: SearchSettings) -> list[CopyGroup]:
    present = files.now.present()[1]
    table = files.row_table[present]
    hashes, contents = _hashes(files, table[:, 2])
    mine, theirs = _candidates(hashes, contents, settings.fold_bits)
    same = contents[mine] == contents[theirs]
    rest = np.flatnonzero(~same)
    pairs = (mine[rest], theirs[rest])
    same[rest] = same_pictures(files.vectors, hashes, table[:, :2], pairs, settings)
    mine, theirs = mine[same], theirs[same]
    involved = np.unique(np.concatenate([mine, theirs]))
    records = files.records(table[involved, 2].tolist())
    by_id = {record.image_id: record for record in records}
    near: dict[int, set[int]] = {record.image_id: set() for record in records}
    for a, b in zip(table[mine, 2].tolist(), table[theirs, 2].tolist(), strict=True):
        if a in near and b in near:
            near[a].add(b)
            near[b].add(a)
    groups, taken = [], set[int]()
    # Around the best of each: every picture of a group is a copy of the one to keep.
    for record in sorted(records, key=_worth, reverse=True):
        others = near[record.image_id] - taken
        if record.image_id in taken or not others:
            continue
        taken |= {record.image_id, *others}
        groups.append(_group([record, *(by_id[other] for other in sorted(others))]))
    return sorted(groups, key=lambda group: (-group.n_bytes, group.copies[0].image_id))


def _hashes(files: LibraryFiles, image_ids: Ints) -> tuple[NDArray[np.uint64], Ints]:
    """[n] picture hashes, and [n] numbers that equal files share, of images."""
    hashes = np.zeros(len(image_ids), np.uint64)
    contents = -np.arange(1, len(image_ids) + 1, dtype=np.int64)
    catalog = files.catalog
    rows = np.array(catalog.ask("SELECT image_id, dhash FROM images"), np.int64).reshape(-1, 2)
    order = np.argsort(image_ids, kind="stable")
    at = np.minimum(np.searchsorted(image_ids, rows[:, 0], sorter=order), len(order) - 1)
    at = order[at] if len(order) else at
    has = image_ids[at] == rows[:, 0] if len(order) else np.zeros(len(rows), np.bool_)
    hashes[at[has]] = rows[has, 1].view(np.uint64) if has.any() else 0
    places = dict(zip(image_ids.tolist(), range(len(image_ids)), strict=True))
    sql = "SELECT group_concat(image_id) FROM images GROUP BY content HAVING count(*) > 1"
    for number, (ids,) in enumerate(catalog.ask(sql)):
        for image_id in map(int, str(ids).split(",")):
            if image_id in places:
                contents[places[image_id]] = number
    return hashes, contents


def _candidates(hashes: NDArray[np.uint64], contents: Ints, n_bits: int) -> tuple[Ints, Ints]:
    """Positions of pairs that are equal files, or whose hashes differ in few bits; each once."""
    parts = [_equal_pairs(contents)]
    n_bands = n_bits + 1 if len(hashes) <= _MANY else 4
    edges = np.linspace(0, 64, n_bands + 1).astype(np.int64).tolist()
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << (high - low)) - 1)
        keys = (hashes >> np.uint64(low)) & mask
        order = np.lexsort((hashes, keys))
        ends = np.searchsorted(keys[order], keys[order], "right")  # of each one's equals
        active = np.arange(len(order))
        for step in range(1, _WINDOW):
            active = active[active + step < ends[active]]
            if not len(active):
                break
            check_cancelled()
            first, second = order[active], order[active + step]
            near = _differ(hashes[first] ^ hashes[second]) <= n_bits
            if near.any():
                parts.append(np.stack([first[near], second[near]], axis=1))
    pairs = np.sort(np.concatenate(parts), axis=1)
    pairs = np.unique(pairs, axis=0)
    return pairs[:, 0], pairs[:, 1]


_SET_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


def _differ(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """[n] how many bits are set."""
    halves = _SET_BITS[words.view(np.uint16).reshape(-1, 4)]
    n_set: NDArray[np.uint8] = halves.sum(axis=1, dtype=np.uint8)
    return n_set


def _equal_pairs(contents: Ints) -> Ints:
    """[p, 2] positions of equal files: each with the first one."""
    at = np.flatnonzero(contents >= 0)
    _, first, which = np.unique(contents[at], return_index=True, return_inverse=True)
    pairs = np.stack([at[first[which]], at], axis=1)
    others: Ints = pairs[pairs[:, 0] != pairs[:, 1]]
    return others


def _worth(record: ImageRecord) -> tuple[float, ...]:
    """What makes a picture the one to keep, the weightiest first."""
    return (
        record.width_px * record.height_px,
        _n_facts(record),
        record.facts.size_bytes,
        not _COPY_NAME.search(record.path.stem),
        -record.facts.mtime_ns,
        -record.image_id,
    )


_REASONS = (
    "it has the most pixels", "it tells the most of itself", "its file is the largest",
    "its name is no copy's", "its file is the oldest", "it was indexed first",
)  # fmt: skip


def _n_facts(record: ImageRecord) -> int:
    known = [key for key, value in record.metadata.items() if value not in ("", None)]
    return len(known) + bool(record.title) + bool(record.caption)


def _group(
    records: Sequence[ImageRecord], sharpness: dict[int, float | None] | None = None
) -> CopyGroup:
    """A group, the picture to keep first."""
    sharp = {image_id: value for image_id, value in (sharpness or {}).items() if value is not None}
    least = _SOFT * max(sharp.values(), default=0.0)

    def worth(record: ImageRecord) -> tuple[float, ...]:
        return (sharp.get(record.image_id, least) >= least, *_worth(record))

    ordered = sorted(records, key=worth, reverse=True)
    best = ordered[0]
    reasons = ("the larger ones are blurred", *_REASONS)
    second = worth(ordered[1]) if len(ordered) > 1 else (worth(best))
    reason = next(
        (text for text, a, b in zip(reasons, worth(best), second, strict=True) if a != b), ""
    )
    copies = tuple(
        Copy(
            record.image_id, record.path, record.facts.size_bytes, record.width_px,
            record.height_px, record.format, str(record.metadata.get("taken_at", "")),
            _n_facts(record), record.content == best.content, sharp.get(record.image_id),
        )
        for record in ordered
    )  # fmt: skip
    n_bytes = sum(copy.size_bytes for copy in copies[1:])
    return CopyGroup(copies, reason, tuple(_differences(ordered, list(sharp.values()))), n_bytes)


def _differences(records: Sequence[ImageRecord], sharp: Sequence[float]) -> Iterator[str]:
    telling: dict[str, Callable[[ImageRecord], object]] = {
        "file": lambda record: record.content,
        "size": lambda record: (record.width_px, record.height_px),
        "format": lambda record: record.format,
        "metadata": lambda record: (record.title, record.caption, str(record.metadata)),
        "folder": lambda record: record.path.parent,
    }
    yield from (name for name, tell in telling.items() if len(set(map(tell, records))) > 1)
    if len(sharp) > 1 and min(sharp) < _SOFT * max(sharp):
        yield "sharpness"
