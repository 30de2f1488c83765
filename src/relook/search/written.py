"""Words that stand in pictures, in queries and on hits. Layer: search.

`text:"invoice 2021"` says which pictures may be found: those in which these words stand together.
Words of a plain query raise the pictures in which they stand: by their share, squared, of one and a
half times the way from the library's mean score to the best one, which is the bound. (An encoder
that cannot read puts pages of text below the mean.) Half of the query's telling words must stand
there, and small words ("the", "with") and words that only ask ("show me") count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.core.errors import InputError, counted
from relook.core.subject import subject_of
from relook.core.types import Hit, Part, Query, WrittenWord
from relook.core.vectors import Floats, Ints
from relook.core.words import telling_words, tokens
from relook.library.files import LibraryFiles
from relook.library.text_table import TextTable
from relook.search.fit import FURTHER, LookedFor
from relook.search.places import Placed
from relook.search.ranking import Ranking, best_tiles
from relook.stores.base import Mask

_PREFIX = 4  # letters from which the last word may go on: "invoice" finds "invoices"
_LEAST_SHARE = 0.5  # of a query's telling words, for a lift
LIFT, _ONE_WORD = 1.5, 1.0  # of the way; where the query is one telling word
_MOST = 2_000  # pictures that one word lifts
_MOST_WORDS = 12  # telling words of a query that are looked up
_READ = "images whose words were read"
_N_MEAN = 200  # images whose mean score counts as the library's


def phrase(words: str, *, goes_on: bool = True) -> str:
    """An expression of FTS5 for words that stand together; what FTS5 reads as signs is no part.

    Args:
        words: With a letter or a digit at least.
        goes_on: Whether the last of them may be the beginning of a longer word.
    """
    parts = tokens(words)
    together, last = " ".join(parts), parts[-1]
    more = "*" if goes_on and last.isalpha() and len(last) >= _PREFIX else ""
    glued = f' OR "{"".join(parts)}"{more}' if len(parts) > 1 else ""
    return f'"{together}"{more}{glued}'


def in_words(part: Part) -> Part:
    """A part of written words as words that are looked for; any other part as it is."""
    if part.written is None:
        return part
    return Part(text=part.written, weight=part.weight)


def standing(files: LibraryFiles, words: str) -> Ints:
    """[n] ids of the images in which words stand together, those they fit best first."""
    return TextTable(files.catalog).matching(phrase(words))[0]


def places_of_written(
    files: LibraryFiles, written: Sequence[str], not_written: Sequence[str]
) -> Mask:
    """[n images by row] in which all of some words stand and none of others."""
    mask = np.ones(len(files.row_table), np.bool_)
    for words, wanted in (*((w, True) for w in written), *((w, False) for w in not_written)):
        stands = np.zeros(len(mask), np.bool_)
        at = files.now.places(standing(files, words))
        stands[at[at >= 0]] = True
        mask &= stands if wanted else ~stands
    return mask


def check_read(query: Query, files: LibraryFiles) -> tuple[str, ...]:
    """A note where the words of some pictures were not read yet; none for other queries.

    Raises:
        InputError: `no_text` where none were.
    """
    if not (query.written or query.not_written):
        return ()
    (n_read, _), n_images = text_counts(files), files.catalog.count("images")
    if n_images and not n_read:
        raise InputError(
            "no_text",
            "the words in this library's pictures have not been read yet",
            "relook index --text reads them (pip install 'relook[ocr]')",
        )
    if n_read == n_images:
        return ()
    n_left = n_images - n_read
    return (
        f"the words in {n_left:,} of {counted(n_images, 'picture')} have not been read yet:"
        " relook index --text",
    )


def text_counts(files: LibraryFiles) -> tuple[int, int]:
    """In how many images words were looked for, and how many have some.

    They are counted once a change of the catalog.
    """
    version = files.catalog.version()
    known: tuple[tuple[int, int], tuple[int, int]] | None = files.derived.get(_READ)
    if known is None or known[0] != version:
        known = files.derived[_READ] = version, TextTable(files.catalog).counts()
    return known[1]


@dataclass(frozen=True, slots=True)
class Lift:
    """Images that words of a query raise.

    Args:
        image_ids: [k]
        shares: [k] how far, as a share of the way from the mean score to the best one; for a query
            of nothing but written words how well these fit, which orders them.
        alone: Whether it is such a query: only these images are found, with their own scores.
    """

    image_ids: Ints
    shares: Floats
    alone: bool = False

    @classmethod
    def of(cls, query: Query, files: LibraryFiles) -> Lift | None:
        """What the words of a query raise; None where nothing is."""
        table = TextTable(files.catalog)
        if not table.is_there():
            return None
        if query.is_written:
            expression = " AND ".join(f"({phrase(words)})" for words in query.written)
            return cls(*table.matching(expression), alone=True)
        sought = [part for part in query.parts if part.weight > 0 and part.written is None]
        if any(part.text is None or part.place is not None or part.literal for part in sought):
            return None
        words = _telling(sought)
        if not words or len(words) > _MOST_WORDS:
            return None
        ids, shares = _shares(table, words)
        if not len(ids):
            return None
        return cls(ids, shares**2 * (_ONE_WORD if len(words) == 1 else LIFT))

    def applied(
        self,
        ranking: Ranking,
        limit: int,
        vector: Floats,
        may: Mask,
        by: tuple[LibraryFiles, float],
    ) -> Ranking:
        """A ranking with these images raised.

        Args:
            ranking: Without them raised.
            limit: How many images.
            vector: [d] that it is by.
            may: [n images by row] which may be found.
            by: The library, and the factor on tiles that are not whole pictures.
        """
        files, tile_weight = by
        places = files.now.places(self.image_ids)
        places, shares = places[places >= 0], self.shares[places >= 0]
        places, shares = places[may[places]], shares[may[places]]
        scores, tiles = best_tiles(places, vector, files, tile_weight)
        ids = files.row_table[places, 2]
        if self.alone:  # in the order of how well the words fit, which is no similarity
            return Ranking(ids, scores, tiles).first(limit)
        if not len(ids) or not len(ranking):
            return ranking
        n = len(files.row_table)
        some = np.unique(np.linspace(0, n - 1, min(n, _N_MEAN)).astype(np.int64))
        mean = float(best_tiles(some, vector, files, tile_weight)[0].mean())
        scores = scores + shares * max(float(ranking.scores[0]) - mean, 0.0)
        others = ~np.isin(ranking.image_ids, ids)
        merged = Ranking(
            np.concatenate([ids, ranking.image_ids[others]]),
            np.concatenate([scores, ranking.scores[others]]).astype(np.float32),
            np.concatenate([tiles, ranking.tiles[others]]),
        )
        order = np.argsort(-merged.scores, kind="stable")[:limit]
        return Ranking(merged.image_ids[order], merged.scores[order], merged.tiles[order])


@dataclass(frozen=True, slots=True)
class Sought:
    """What a page tells of a query, and ranks by, beside its vector.

    Args:
        wanted: What fit is told of.
        placed: Words at places.
        lift: Images that words which stand in them raise.
    """

    wanted: LookedFor | None = None
    placed: Placed | None = None
    lift: Lift | None = None

    def n_further(self, files: LibraryFiles) -> int:
        """How many images behind a page its line needs: none where the order is that of fit."""
        if self.wanted is None:
            return 0
        in_order = len(self.wanted.vectors) == 1 and not TextTable(files.catalog).is_there()
        return 0 if in_order else FURTHER


def _shares(table: TextTable, words: Sequence[Sequence[str]]) -> tuple[Ints, Floats]:
    """[k] images in which at least half of some words stand, and [k] which share of them."""
    each = [table.matching(phrase(" ".join(word), goes_on=False), _MOST)[0] for word in words]
    ids, counts = np.unique(np.concatenate(each), return_counts=True)
    shares = counts / len(words)
    enough = shares >= _LEAST_SHARE
    return ids[enough], np.asarray(shares[enough], np.float32)


def _telling(parts: Sequence[Part]) -> list[list[str]]:
    """The telling words of parts; "show me photos of" tells nothing."""
    return telling_words(" ".join(subject_of(part.text) for part in parts if part.text))


def with_written(
    hits: Sequence[Hit], query: Query, files: LibraryFiles
) -> tuple[tuple[Hit, ...], frozenset[int]]:
    """Hits with the words of a query that stand in them.

    Returns:
        The hits; ids of the images in which all words stand that are looked for.
    """
    phrases = [tokens(words) for words in query.written]
    telling = _telling([part for part in query.parts if part.weight > 0])
    if not (phrases or telling):
        return tuple(hits), frozenset()
    known = TextTable(files.catalog).words_of(hit.image_id for hit in hits)
    if not known:
        return tuple(hits), frozenset()
    outlined, saying = [], set()
    for hit in hits:
        words = known.get(hit.image_id, ())
        places, n_found = _outlined(words, phrases, telling)
        outlined.append(replace(hit, written=tuple(words[at] for at in places) or None))
        if telling and n_found == len(telling):
            saying.add(hit.image_id)
    return tuple(outlined), frozenset(saying)


def _outlined(
    words: Sequence[WrittenWord], phrases: Sequence[list[str]], telling: Sequence[list[str]]
) -> tuple[list[int], int]:
    """Which of the words of a picture are asked for, and how many of the telling words stand."""
    flat = [(token, at) for at, word in enumerate(words) for token in tokens(word.text)]
    have, owners = [token for token, _ in flat], [at for _, at in flat]
    places: set[int] = set()
    for parts in phrases:
        places.update(_holding(have, owners, parts, goes_on=True))
    n_found = 0
    for parts in telling:
        at = _holding(have, owners, parts, goes_on=False)
        places.update(at)
        n_found += bool(at)
    return sorted(places), n_found


def _holding(have: list[str], owners: list[int], parts: list[str], *, goes_on: bool) -> set[int]:
    """Which words hold some tokens that follow each other, or all of them as one."""
    holding: set[int] = set()
    for wanted in [parts, ["".join(parts)]] if len(parts) > 1 else [parts]:
        *firsts, last = wanted
        goes = goes_on and last.isalpha() and len(last) >= _PREFIX
        for start in range(len(have) - len(wanted) + 1):
            end = start + len(wanted) - 1
            is_last = have[end].startswith(last) if goes else have[end] == last
            if is_last and have[start:end] == firsts:
                holding.update(owners[start : end + 1])
    return holding
