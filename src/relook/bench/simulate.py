"""Simulated users: pages of results, marks, and the next page from a strategy.

Labels come from a task's list of relevant images, with as much noise and as few marks as
asked for. Every arm of a comparison meets the same slips of the same user: whether image
17 of query 3 is mislabelled depends on the seed alone, not on when it is shown.
Layer: bench.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relook.bench.query_files import Wanted, positions
from relook.core.errors import InputError
from relook.core.vectors import Floats, Ints, top
from relook.feedback.judged import Evidence, Judged
from relook.feedback.scorer import Scorer
from relook.search.background import distinct
from relook.search.engine import Engine
from relook.search.feedback_evidence import template
from relook.search.fit import FitScale, LookedFor, fit_scale
from relook.search.summariser import summariser_of


@dataclass(frozen=True, slots=True)
class Mark:
    """What the simulated user did to one shown image.

    Args:
        image: Position of the image in the gallery.
        sign: 1 relevant, -1 irrelevant.
    """

    image: int
    sign: int


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """A gallery in memory.

    Args:
        tiles: [n, t, d] unit vectors; tile 0 is the whole picture.
        template: Evidence with everything but judgements: means, tile weight, background,
            covariance. Its query is replaced.
        all_tiles: Whether a click covers all tiles of the image rather than tile 0.
        captions: [n, d] a text vector for each image, handed in with a relevant click.
        scale: What tells fit; the background alone when None.
    """

    tiles: Floats
    template: Evidence
    all_tiles: bool = True
    captions: Floats | None = None
    scale: FitScale | None = None
    flat: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flat", self.tiles.reshape(-1, self.tiles.shape[-1]))

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.tiles)

    def scores(self, scorer: Scorer) -> Floats:
        """Score of each image, the best of its weighted tiles: [n]."""
        n, t = self.tiles.shape[0], self.tiles.shape[1]
        scores = scorer.score(self.flat).reshape(n, t)
        if t == 1:
            return scores[:, 0]
        best = np.asarray(scores[:, 1:].max(axis=1)) * np.float32(self.template.tile_weight)
        return np.maximum(scores[:, 0], best)

    def rank(self, scorer: Scorer, seen: Ints, limit: int) -> Ints:
        """Positions of the `limit` best images that are not in `seen`, best first."""
        scores = self.scores(scorer).copy()
        scores[seen] = -np.inf
        return top(scores, min(limit, self.n_images - len(seen)))

    def evidence(self, query: Floats, marks: Sequence[Mark], first_page: Ints) -> Evidence:
        """The template with this query and these marks."""
        items = tuple(self._judged(number, mark) for number, mark in enumerate(marks))
        page = self.tiles[first_page]  # [k, t, d]
        return replace(
            self.template, query=query, items=items, first_page=page[:, 0], first_tiles=tuple(page)
        )

    def _judged(self, number: int, mark: Mark) -> Judged:
        tiles = self.tiles[mark.image]  # [t, d]
        captions = self.captions if mark.sign > 0 else None
        caption = None if captions is None else captions[mark.image]
        covered = tiles if self.all_tiles else tiles[:1]
        return Judged(number, mark.sign, covered, caption=caption)


Fit = Callable[[Evidence], Scorer]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One thing that the simulated user looks for.

    Args:
        name: The words.
        query: [d] their unit vector.
        relevant: Positions of the relevant images.
    """

    name: str
    query: Floats
    relevant: Ints


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the simulated user behaves.

    Args:
        page: Images a page.
        rounds: Pages looked at; feedback changes all but the first.
        noise: Probability that a label is flipped.
        positives_only: Whether irrelevant images go unmarked.
        marks: At most so many marks a page, relevant ones first; None marks everything.
        keep_fitting: Whether pictures that were shown, are not marked, and fit by the marks so
            far stay in the running, as in a session.
        view_s: Seconds to look at one image.
        seed: Of the label noise.
    """

    page: int = 10
    rounds: int = 4
    noise: float = 0.0
    positives_only: bool = False
    marks: int | None = None
    keep_fitting: bool = True
    view_s: float = 1.8
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What one user saw for one task.

    Args:
        shown: [s] images in the order shown, over all pages; one that stays is there again.
        seconds: [s] when each had been looked at.
        last: The scorer after the last page's marks.
        pages: [s] the page of each, 0 first.
    """

    shown: Ints
    seconds: Floats
    last: Scorer
    pages: Ints

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """[s] whether an image is shown for the first time."""
        firsts = np.zeros(len(self.shown), np.bool_)
        firsts[np.unique(self.shown, return_index=True)[1]] = True
        return firsts


def play(gallery: Gallery, task: Task, number: int, fit: Fit, protocol: Protocol) -> Trace:
    """Lets one simulated user look for one task.

    Args:
        gallery: What is looked through.
        task: What is looked for.
        number: Position of the task in its set; with the seed it fixes the noise.
        fit: Evidence to scorer; called with no judgements for the first page.
        protocol: How the user behaves.
    """
    label = labels(gallery.n_images, task, number, protocol)  # [n]
    marks: list[Mark] = []
    shown = np.zeros(0, dtype=np.int64)
    seconds: list[float] = []
    pages: list[int] = []
    clock = 0.0
    first_page = gallery.rank(fit(gallery.evidence(task.query, (), shown)), shown, protocol.page)
    scorer = fit(gallery.evidence(task.query, (), first_page))
    for number_of_page in range(protocol.rounds):
        page = gallery.rank(
            scorer, _left_out(gallery, task.query, scorer, shown, marks, protocol), protocol.page
        )
        pages += [number_of_page] * len(page)
        made = _marks(page, label, protocol)
        for _ in page:
            clock += protocol.view_s
            seconds.append(clock)
        shown = np.concatenate([shown, page])
        marks += made
        scorer = fit(gallery.evidence(task.query, marks, first_page))
    return Trace(shown, np.asarray(seconds, dtype=np.float32), scorer, np.array(pages, np.int64))


def _left_out(
    gallery: Gallery,
    query: Floats,
    scorer: Scorer,
    shown: Ints,
    marks: Sequence[Mark],
    protocol: Protocol,
) -> Ints:
    """Images that the next page does not show: what is marked, and what was shown and fits not."""
    seen = np.unique(shown)
    marked = np.isin(seen, [mark.image for mark in marks])
    if not (protocol.keep_fitting and marks) or marked.all():
        return seen
    weight, relevant = gallery.template.tile_weight, [m.image for m in marks if m.sign > 0]
    background = gallery.template.background
    if background.ndim == 2:  # [b, d]: whole pictures alone
        background = background[:, None]
    scale = gallery.scale or FitScale(distinct(background), weight, None, len(gallery.tiles))
    by_words = LookedFor.words(query[None])
    by_marks = LookedFor.learnt(scorer.vector, (gallery.tiles[i] for i in relevant), weight)
    fits = [
        None if wanted is None
        else scale.fits_wanted(wanted, scale.best(wanted.vectors, gallery.tiles[seen]))[0]
        for wanted in (by_words, by_marks)
    ]  # fmt: skip
    kept = scale.stays(*fits)
    return seen if kept is None else seen[marked | ~kept]


def labels(n_images: int, task: Task, number: int, protocol: Protocol) -> Ints:
    """[n] 1 or -1 as the person sees each image, slips included."""
    label = np.full(n_images, -1, dtype=np.int64)
    label[task.relevant] = 1
    slips = np.random.default_rng([protocol.seed, number]).random(n_images) < protocol.noise
    return np.where(slips, -label, label)


def _marks(page: Ints, label: Ints, protocol: Protocol) -> list[Mark]:
    """Marks of one page: relevant ones first, cut at the protocol's number."""
    made = []
    for image in sorted(page.tolist(), key=lambda image: -int(label[image])):
        sign = int(label[image])
        if sign < 0 and protocol.positives_only:
            continue
        made.append(Mark(image, sign))
    return made[: protocol.marks] if protocol.marks is not None else made


def gallery_of(engine: Engine, afs: str = "") -> tuple[Gallery, dict[str, int]]:
    """The library's vectors as a gallery, and file name -> position in it.

    Args:
        engine: Of the library.
        afs: File of a trained summariser; the library's own when empty.

    Raises:
        InputError: `uneven_tiles` when images have different numbers of tiles.
    """
    table = engine.files.row_table
    counts = set(table[:, 1].tolist())
    if len(counts) != 1:
        raise InputError(
            "uneven_tiles",
            f"images of this library have {sorted(counts)} tiles",
            "simulated users need a library with equally many tiles an image",
        )
    n_tiles = counts.pop()
    rows = (table[:, :1] + np.arange(n_tiles)).reshape(-1)
    tiles = engine.files.vectors.rows(rows).reshape(len(table), n_tiles, -1)
    at = {int(image_id): n for n, image_id in enumerate(table[:, 2])}
    images = engine.files.catalog.each_image()
    index = {image.path.name: at[image.image_id] for image in images if image.image_id in at}
    known = template(engine.files, engine.encoder)
    summariser = summariser_of(engine.files, engine.encoder.fingerprint, afs)
    scale = fit_scale(engine.files, engine.encoder)
    return Gallery(tiles, replace(known, summariser=summariser), scale=scale), index


def tasks_of(engine: Engine, wanted: Sequence[Wanted], index: Mapping[str, int]) -> list[Task]:
    """What simulated users look for, with vectors; tasks without a picture here are left out.

    Raises:
        InputError: `no_match` when none is left.
    """
    placed = [(wish, positions(wish, index)) for wish in wanted]
    kept = [(wish, np.array(at, np.int64)) for wish, at in placed if at]
    if not kept:
        raise InputError(
            "no_match",
            "none of the queries is about a picture of this library",
            "pictures are matched by file name; index the ones the queries are about",
        )
    vectors = engine.encoder.encode_texts([wish.words for wish, _ in kept])  # [q, d]
    return [Task(wish.words, vector, at) for (wish, at), vector in zip(kept, vectors, strict=True)]
