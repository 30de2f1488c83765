"""Images in the order of a query, with near-duplicates folded into one hit. Layer: search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError
from relook.core.picture_paths import split_scene
from relook.core.settings import SearchSettings
from relook.core.types import Hit
from relook.core.vectors import Floats, Ints
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord
from relook.stores.base import Mask, VectorSource

_BLOCK = 256  # images that are compared with all before them at a time
_FEW = 64 * 64
_PAIRS = 2048  # whose tiles are compared at a time
# Pages of text, screenshots and slides are white in most cells of a hash, and all look alike to an
# encoder: there, every tile must be the other's. Measured on generated pages with the built-in
# encoder: tiles of different pages meet at .9974 at most, those of a copy of half the size at
# .9995.
_FLAT_BITS, _SAME_PAGE = 12, 0.9985


def checked_limit(limit: int) -> int:
    """How many hits somebody asks for.

    Raises:
        InputError: `bad_limit` for none, and for what is no whole number.
    """
    if not isinstance(limit, int | np.integer) or limit < 1:
        raise InputError("bad_limit", f"limit is {limit!r}", "ask for at least 1")
    return int(limit)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Images in the order of a query.

    Args:
        image_ids: [k], best first.
        scores: [k]
        tiles: [k] number of the tile that won.
    """

    image_ids: Ints
    scores: Floats
    tiles: Ints

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def rows(self) -> tuple[tuple[int, float, int], ...]:
        """`(image_id, score, tile number)` of each, as a round keeps them."""
        columns = (self.image_ids.tolist(), self.scores.tolist(), self.tiles.tolist())
        return tuple((int(i), float(s), int(t)) for i, s, t in zip(*columns, strict=True))

    def first(self, limit: int) -> Ranking:
        """The best `limit` of them."""
        return Ranking(self.image_ids[:limit], self.scores[:limit], self.tiles[:limit])

    def at(self, places: Ints) -> Ranking:
        """Those at some places [n]."""
        return Ranking(self.image_ids[places], self.scores[places], self.tiles[places])


def best_tiles(
    places: Ints, vector: Floats, files: LibraryFiles, tile_weight: float
) -> tuple[Floats, Ints]:
    """Scores and winning tiles of some images.

    Args:
        places: [n] their lines in the row table; of images that have vectors.
        vector: [d]
        files: The library.
        tile_weight: Factor on every tile but the first.

    Returns:
        [n] scores, [n] numbers of tiles.
    """
    table = files.row_table[places]
    if not len(table):
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    starts = np.cumsum(table[:, 1]) - table[:, 1]
    tile = np.arange(int(table[:, 1].sum())) - np.repeat(starts, table[:, 1])  # [r]
    scores = files.vectors.rows(np.repeat(table[:, 0], table[:, 1]) + tile) @ vector  # [r]
    scores[tile > 0] *= tile_weight
    best = np.maximum.reduceat(scores, starts)  # [n]
    of = np.repeat(np.arange(len(table)), table[:, 1])
    first = np.full(len(table), len(tile), np.int64)
    np.minimum.at(first, of, np.where(scores >= best[of], np.arange(len(tile)), len(tile)))
    return best, tile[first]


def hit_of(
    record: ImageRecord,
    won: tuple[float, int],
    files: LibraryFiles,
    folded: tuple[int, ...] = (),
    away: str | None = None,
) -> Hit:
    """A hit of an image; `won` is its score, and the number of the tile that won."""
    score, tile = won
    tiling = files.tiling(record.tiling_id)
    tile = tile if tile < len(tiling) else 0  # a page of a time when it had more
    return Hit(
        image_id=record.image_id,
        path=record.path,
        score=score,
        tile=tiling[tile],
        title=record.title,
        caption=record.caption,
        width_px=record.width_px,
        height_px=record.height_px,
        folded=folded,
        tile_number=tile,
        away=away,
        time_s=scene[1] if (scene := split_scene(record.facts.path)) else None,
        metadata=record.metadata,
    )


@dataclass(frozen=True, slots=True)
class Folded:
    """The best images of a ranking, each with the near-duplicates that it stands for.

    Args:
        ranking: The images [k], best first.
        records: [k] what the catalog knows of them.
        copies: [k] ids of their near-duplicates in the ranking.
        further: Ids of the images behind them that were looked at.
    """

    ranking: Ranking
    records: tuple[ImageRecord, ...]
    copies: tuple[tuple[int, ...], ...]
    further: tuple[int, ...] = ()

    def first(self, limit: int) -> Folded:
        """The best `limit` of them; the others are further ones."""
        further = tuple(self.ranking.image_ids[limit:].tolist())
        return Folded(self.ranking.first(limit), self.records[:limit], self.copies[:limit], further)

    @property
    def record(self) -> dict[str, Any]:
        """The near-duplicates, and the images behind, as a round's record keeps them."""
        copies = zip(self.ranking.image_ids.tolist(), self.copies, strict=True)
        return beside_record(copies, self.further)


def folded_ranking(
    rank: Callable[[int], Ranking],
    files: LibraryFiles,
    settings: SearchSettings,
    limit: int,
    earlier: Iterable[int] = (),
) -> Folded:
    """The best `limit` images of a ranking, near-duplicates folded where the settings say so.

    Args:
        rank: Gives the best n.
        files: The library.
        settings: Whether to fold, and how near is near.
        limit: How many images.
        earlier: Images that stood on earlier pages: near-duplicates of theirs are left out.
    """
    before = files.records(sorted(earlier)) if settings.fold else []
    ask = limit + (limit // 2 + 8 if settings.fold else 0)
    while True:
        ranking = rank(ask)
        n_ranked = len(ranking)
        ranking, records = _with_records(ranking, files)
        groups = [[at] for at in range(len(records))]
        if settings.fold:
            n = len(before)
            together = fold([*before, *records], files.vectors, settings, n)
            groups = [[at - n for at in group] for group in together if group[0] >= n]
        if len(groups) >= limit or n_ranked < ask:
            break
        ask *= 4  # so many copies that folding left too few
    groups = groups[:limit]
    return Folded(
        ranking.at(np.array([first for first, *_ in groups], np.int64)),
        tuple(records[first] for first, *_ in groups),
        tuple(tuple(records[at].image_id for at in others) for _, *others in groups),
    )


def _with_records(ranking: Ranking, files: LibraryFiles) -> tuple[Ranking, list[ImageRecord]]:
    """What the catalog knows; without images that a writer has just removed or changed."""
    records = files.records(ranking.image_ids.tolist())
    still = np.isin(ranking.image_ids, [record.image_id for record in records])
    return ranking.at(np.flatnonzero(still)), records


def fold(
    records: list[ImageRecord], vectors: VectorSource, settings: SearchSettings, n_known: int = 0
) -> list[list[int]]:
    """Groups records that show the same picture.

    Two are the same when their files are, or when both their perceptual hashes and their
    whole-picture vectors are near: a resized or recompressed copy passes, two frames of
    a burst seldom do. The scenes of one video go together, too.

    Args:
        records: Images of a ranking, best first.
        vectors: The library's vectors.
        settings: How near is near.
        n_known: So many of the first are known to show different pictures, and are not compared
            with each other.

    Returns:
        Positions in `records`; each group is led by its best, groups in the order of leaders.
    """
    if not records:
        return []
    groups: dict[int, list[int]] = {}  # by the position of the leader
    leads = np.zeros(len(records), np.bool_)
    led_by: dict[bytes, int] = {}  # content of a leader, or video -> the leader
    for at, earlier in enumerate(_near(records, vectors, settings, n_known)):
        leaders = earlier[leads[earlier]].tolist()[:1]
        scene, content = split_scene(records[at].facts.path), records[at].content
        video = scene[0] if scene else content
        leaders += [led_by[key] for key in (content, video) if key in led_by]
        if leaders:
            groups[min(leaders)].append(at)
        else:
            groups[at], leads[at] = [at], True
            led_by[content] = at
        if scene:
            led_by.setdefault(video, min(leaders, default=at))
    return list(groups.values())


def _near(
    records: list[ImageRecord], vectors: VectorSource, settings: SearchSettings, n_known: int
) -> list[Ints]:
    """For each record, the positions before it that are near in both ways, ascending."""
    wholes = vectors.rows(np.array([record.first_row for record in records], np.int64))  # [n, d]
    hashes = np.array([record.dhash for record in records], np.int64).view(np.uint64)  # [n]
    spans = np.array([(r.first_row, r.n_tiles) for r in records], np.int64)  # [n, 2]
    groups: list[Ints] = [np.empty(0, np.int64)] * n_known
    for start in range(n_known, len(records), _BLOCK):
        block = wholes[start : start + _BLOCK]  # [b, d]
        before = wholes[: start + len(block)]
        near = np.tril(
            _products(block, before) >= settings.fold_cosine, start - 1
        )  # [b, start + b]
        mine, theirs = np.nonzero(near)  # [p], by rows
        same = n_bits(hashes[mine + start] ^ hashes[theirs]) <= settings.fold_bits  # [p]
        mine, theirs = mine[same], theirs[same]
        same = _is_no_other_page(vectors, hashes, spans, mine + start, theirs)
        mine, theirs = mine[same], theirs[same]
        groups += np.split(theirs, np.searchsorted(mine, np.arange(1, len(block))))
    return groups


def _products(block: Floats, before: Floats) -> Floats:
    """[b, n] inner products. Sharing few of them between cores costs more than they do."""
    if len(block) * len(before) <= _FEW:
        few: Floats = np.einsum("bd,nd->bn", block, before)
        return few
    return block @ before.T


def same_pictures(
    vectors: VectorSource,
    hashes: NDArray[np.uint64],
    spans: Ints,
    pairs: tuple[Ints, Ints],
    settings: SearchSettings,
) -> Mask:
    """Which pairs of images show the same picture, of some that may.

    Args:
        vectors: The library's vectors.
        hashes: [n] of the images.
        spans: [n, 2] first row and number of rows of each.
        pairs: [p] and [p] positions in both.
        settings: How near is near.

    Returns:
        [p]
    """
    mine, theirs = pairs
    same: Mask = n_bits(hashes[mine] ^ hashes[theirs]) <= settings.fold_bits
    for start in range(0, len(mine), _PAIRS):
        at = start + np.flatnonzero(same[start : start + _PAIRS])
        if len(at):
            wholes = (vectors.rows(spans[which[at], 0]) for which in (mine, theirs))
            cosines = np.einsum("pd,pd->p", *wholes)
            same[at] = cosines >= settings.fold_cosine
    at = np.flatnonzero(same)
    same[at] = _is_no_other_page(vectors, hashes, spans, mine[at], theirs[at])
    return same


def _is_no_other_page(
    vectors: VectorSource, hashes: NDArray[np.uint64], spans: Ints, mine: Ints, theirs: Ints
) -> Mask:
    """[p] False for pairs of flat pictures one of whose tiles differs."""
    same = np.ones(len(mine), np.bool_)
    flat = np.minimum(n_bits(hashes[mine]), n_bits(hashes[theirs])) <= _FLAT_BITS
    for start in range(0, len(mine), _PAIRS):
        at = start + np.flatnonzero(flat[start : start + _PAIRS])
        if not len(at):
            continue
        n_tiles = np.maximum(np.minimum(spans[mine[at], 1], spans[theirs[at], 1]), 1)  # [p]
        ends = np.cumsum(n_tiles)
        within = np.arange(int(ends[-1])) - np.repeat(ends - n_tiles, n_tiles)
        tiles = (
            vectors.rows(np.repeat(spans[which[at], 0], n_tiles) + within)
            for which in (mine, theirs)
        )
        cosines = np.einsum("td,td->t", *tiles)
        same[at] = np.minimum.reduceat(cosines, ends - n_tiles) >= _SAME_PAGE
    return same


def n_bits(words: NDArray[np.uint64]) -> Ints:
    """[p] how many bits of each 64-bit word are set."""
    bits: Ints = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
    return bits


def beside_record(
    copies: Iterable[tuple[int, Sequence[int]]], further: Iterable[int] = ()
) -> dict[str, Any]:
    """What a round's record keeps beside its hits; empty when there is nothing.

    Args:
        copies: Image ids of hits, each with those of its near-duplicates.
        further: Image ids behind the hits, which decide where the line stands.
    """
    kept = [[image_id, *others] for image_id, others in copies if others]
    beside = {"copies": kept, "further": list(further)}
    return {key: ids for key, ids in beside.items() if ids}


def kept_copies(record: Mapping[str, Any]) -> dict[int, tuple[int, ...]]:
    """Ids of the near-duplicates of a round's hits, by the hit's id."""
    return {first: tuple(others) for first, *others in record.get("copies", ())}
