"""Concepts: what sessions learnt, under names, for any query. Layer: search.

A concept is what a session's marks made of its query. It rests on words and on examples, which
may be looked at and changed; it ranks by a vector that is fitted from them.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from relook.core.errors import InputError, NotFoundError
from relook.core.picture_paths import printable
from relook.core.types import Part, Query
from relook.encoders.base import encode_images
from relook.feedback.judged import Judged
from relook.library.concept_table import ConceptTable
from relook.library.concept_values import (
    Concept,
    ConceptAlbum,
    ConceptChange,
    ConceptExample,
    ConceptLine,
    ExampleChange,
)
from relook.library.session_values import Judgement
from relook.search.concept_fit import (
    fitted_again,
    latest,
    n_contradictions,
    ranker_of,
    record_of,
    united,
)
from relook.search.engine import Engine
from relook.search.filtering import Filter
from relook.search.fit import LookedFor, fit_scale
from relook.search.grammar import name_for_queries
from relook.search.judging import checked_caption, checked_weight, checked_words
from relook.search.session import Session
from relook.search.written import in_words

MAX_ALBUM = 1000
"""Most pictures of an album that are shown, and counted."""


class Concepts:
    """The concepts of one open library.

    Args:
        engine: Of the library.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self._table = engine, ConceptTable(engine.files.catalog)

    def all(self) -> list[Concept]:
        """Every concept, by name."""
        return self._table.all()

    def lines(self) -> list[ConceptLine]:
        """Every concept in short, by name, with how many pictures it holds."""
        with self.engine.files.moment():
            return [self._line(concept) for concept in self.all()]

    def _line(self, concept: Concept) -> ConceptLine:
        line = ConceptLine(
            concept.concept_id, concept.name, concept.query.text if concept.query else "",
            concept.n_relevant, concept.n_irrelevant, concept.changed_s,
        )  # fmt: skip
        try:
            held = self._held(concept)
        except NotFoundError as error:
            return replace(line, problem=error.message)
        n_new = sum(image_id > concept.seen_id for image_id in held)
        return replace(line, n_pictures=len(held), n_new=n_new)

    def _held(self, concept: Concept) -> list[int]:
        """Ids of the pictures that a concept holds, without making hits of them."""
        files, engine = self.engine.files, self.engine
        ranker = ranker_of(concept.name, files, engine.encoder)
        shown, not_it = self._own(concept)
        only = Filter(without=not_it, unwanted=ranker.unwanted if engine.acts_by_fit else ())
        ids = files.row_table[:, 2]
        inside = np.isin(ids, list(shown))
        scale = fit_scale(files, engine.encoder)
        if scale.is_known:
            usual = np.array([np.nan if ranker.usual is None else ranker.usual], np.float32)
            wanted = LookedFor(ranker.vector[None], usual)
            fits = scale.fits_wanted(wanted, engine.score_all(wanted.vectors))[0]
            inside |= fits >= scale.line(wanted)
        held: list[int] = ids[inside & engine.may_show(only)].tolist()
        return held

    def _own(self, concept: Concept) -> tuple[frozenset[int], frozenset[int]]:
        """Ids of its relevant examples, and of those that it is not, as far as they are here."""
        records = [(each, record_of(each, self.engine.files)) for each in concept.examples]
        ids = [(each, record.image_id) for each, record in records if record is not None]
        shown = frozenset(image_id for each, image_id in ids if each.relevant)
        whole = frozenset(i for each, i in ids if not each.relevant and each.box is None)
        return shown, whole - shown

    def get(self, named: str | int) -> Concept:
        """A concept by its name or id; capitals do not matter.

        Raises:
            NotFoundError: `no_concept`.
        """
        return self._table.get(named)

    def save(self, session: Session, name: str, *, replaced: bool = False) -> Concept:
        """Keeps what a session has learnt at its current round, with the marks that wait there.

        Args:
            session: Of this library.
            name: What to call it.
            replaced: Whether a concept of this name is replaced; it keeps its id.

        Raises:
            InputError: `nothing_learnt` without anything that is marked as relevant, or words
                about what fits; `no_places`; `name_taken`; `bad_name`. Nothing has changed then.
        """
        name_for_queries(name)
        if session.query.has_places:
            raise InputError(
                "no_places",
                "a concept has no places, and this session's query has",
                "begin a session with the words alone, mark pictures, and save that",
            )
        judgements = session.judgements
        typed = session.typed
        relevant = ", ".join(filter(None, (words.relevant for words in typed)))
        if not any(judgement.relevant for judgement in judgements) and not relevant:
            n = len(judgements)
            marked = f"only what does not fit is marked ({n})" if n else "nothing is marked"
            raise InputError(
                "nothing_learnt",
                f"this session has learnt nothing that a concept could hold: {marked}",
                "mark a picture that fits, then save; the session stays as it is",
            )
        old = self._named(name) if replaced else None
        fitted = session.fitted()
        items = {item.judgement: item for item in fitted.evidence.items}
        query, carried = self._flat(session.query)
        fresh = [self._example(judgement, items) for judgement in judgements]
        concept = Concept(
            old.concept_id if old else 0, name, query, relevant,
            ", ".join(filter(None, (words.irrelevant for words in typed))), fitted.strategy,
            latest([*carried, *(example for example in fresh if example is not None)]),
            created_s=old.created_s if old else 0.0, seen_id=self._last_id(),
        )  # fmt: skip
        if fitted.scorer.vector is None:  # of a way that ranks by more than one vector
            return self._put(replace(concept, strategy="auto"))
        digest = self.engine.files.manifest.fingerprint.digest
        return self._table.put(replace(concept, encoder=digest, vector=fitted.scorer.vector))

    def _flat(self, query: Query) -> tuple[Query | None, list[ConceptExample]]:
        """A query as words, and the examples that its pictures and its concepts are."""
        words, examples = list[Part](), list[ConceptExample]()
        for part in map(in_words, query.parts):
            if part.text is not None:
                words.append(part)
            elif part.concept is None:
                examples.append(self._of_picture(part))
            else:
                inner = self.get(part.concept)
                words += [replace(each, weight=each.weight * part.weight)
                          for each in (inner.query.parts if inner.query else ())]  # fmt: skip
                if part.weight > 0:
                    examples += inner.examples
        unnumbered = [replace(example, example_id=0) for example in examples]
        return Query(tuple(words)) if any(part.weight > 0 for part in words) else None, unnumbered

    def _of_picture(self, part: Part) -> ConceptExample:
        """The example that a picture of a query is."""
        from relook.core.images import content_hash
        from relook.search.regions import crop_image

        files, encoder = self.engine.files, self.engine.encoder
        if part.image_id is not None:
            judgement = Judgement(0, 0, part.image_id, part.weight > 0, part.box)
            example = self._example(judgement, {})
            if example is None:
                raise NotFoundError("no_image", f"the library has no image {part.image_id}")
            return example
        assert part.image is not None
        picture = crop_image(part.image, part.box, encoder.input_px, files.limits)
        return ConceptExample(
            0, None, content_hash(part.image.read_bytes()), part.image.name, part.weight > 0,
            part.box, weight=abs(part.weight), encoder=files.manifest.fingerprint.digest,
            tiles=encode_images(encoder, [picture]),
        )  # fmt: skip

    def _example(
        self, judgement: Judgement, items: Mapping[int, Judged]
    ) -> ConceptExample | None:  # fmt: skip
        """The example that a judgement is; None for an image that left the library."""
        records = self.engine.files.catalog.images([judgement.image_id], missing_ok=True)
        if not records:
            return None
        record, item = records[0], items.get(judgement.judgement_id)
        digest = self.engine.files.manifest.fingerprint.digest
        return ConceptExample(
            0, judgement.image_id, record.content, printable(record.facts.path),
            judgement.relevant, judgement.box, judgement.caption or "", judgement.weight,
            "" if item is None else digest, None if item is None else item.tiles,
        )  # fmt: skip

    def change(self, named: str | int, change: ConceptChange) -> Concept:
        """Changes what a concept is called or rests on, and fits it again.

        Raises:
            NotFoundError: `no_concept`; `no_example` for one that it has not.
            InputError: `bad_name`, `name_taken`, `bad_caption`, `bad_weight`, `bad_words`;
                `nothing_learnt` when nothing relevant would be left. Nothing has changed then.
        """
        concept = self.get(named)
        known = {example.example_id: example for example in concept.examples}
        for example_id in (*change.without, *(each.example_id for each in change.examples)):
            if example_id not in known:
                raise NotFoundError(
                    "no_example", f"@{concept.name} has no example {example_id}",
                    f"it has {', '.join(map(str, known)) or 'none'}",
                )  # fmt: skip
        for each in change.examples:
            known[each.example_id] = _changed(known[each.example_id], each)
        kept = tuple(each for i, each in known.items() if i not in change.without)
        given = (change.relevant_words, change.irrelevant_words)
        old = (concept.relevant_words, concept.irrelevant_words)
        relevant, irrelevant = (
            before if words is None else checked_words(words)
            for words, before in zip(given, old, strict=True)
        )
        name = concept.name if change.name is None else name_for_queries(change.name)
        fresh = replace(concept, name=name, relevant_words=relevant, irrelevant_words=irrelevant)
        fresh = replace(fresh, examples=kept)
        if (kept, relevant, irrelevant) == (concept.examples, *old):
            return self._table.put(
                replace(concept, name=name)
            )  # nothing that it rests on has changed
        if not relevant and not any(example.relevant for example in kept):
            raise InputError(
                "nothing_learnt",
                f"@{concept.name} would be left without a picture that fits",
                "keep one, or remove the concept: relook concept delete",
            )
        return self._put(fresh)

    def delete(self, named: str | int) -> None:
        """Removes a concept. The pictures stay; sessions that ask with it cannot look again.

        Raises:
            NotFoundError: `no_concept`.
        """
        self._table.delete(self.get(named).concept_id)

    def merge(
        self, first: str | int, second: str | int, name: str, *, replaced: bool = False
    ) -> tuple[Concept, tuple[str, ...]]:
        """A concept of what either of two holds; both stay, unless it takes the name of one.

        An example that shows one and not the other shows the merged one.

        Args:
            first: Name or id.
            second: Of the other.
            name: Of the merged one.
            replaced: Whether another concept of this name is replaced.

        Returns:
            The concept, and notes about marks that contradicted each other.

        Raises:
            NotFoundError: `no_concept`.
            InputError: `same_concept`, `name_taken`, `bad_name`. Nothing has changed then.
        """
        left, right = self.get(first), self.get(second)
        if left.concept_id == right.concept_id:
            raise InputError("same_concept", f"@{left.name} is named twice", "name two concepts")
        old = self._named(name)
        own = old is not None and old.concept_id in (left.concept_id, right.concept_id)
        parts = [part for each in (left, right) if each.query for part in each.query.parts]
        words = tuple({part.text: part for part in reversed(parts)}.values())[::-1]
        both = [replace(example, example_id=0) for example in (*left.examples, *right.examples)]
        concept = Concept(
            old.concept_id if old and (own or replaced) else 0, name,
            Query(words) if words else None,
            ", ".join(filter(None, (left.relevant_words, right.relevant_words))),
            ", ".join(filter(None, (left.irrelevant_words, right.irrelevant_words))),
            left.strategy, united(both), seen_id=min(left.seen_id, right.seen_id),
        )  # fmt: skip
        n_apart = n_contradictions(both)
        note = f"examples that show one and not the other count as relevant: {n_apart}"
        return self._put(concept), (note,) if n_apart else ()

    def album(
        self,
        named: str | int,
        *,
        limit: int = MAX_ALBUM,
        only: Filter | None = None,
        seen: bool = False,
    ) -> ConceptAlbum:
        """The pictures that a concept holds now; those that came meanwhile are among them.

        Args:
            named: Name or id.
            limit: How many at most.
            only: Which images may be in it.
            seen: Whether what is there now is not new the next time.

        Raises:
            NotFoundError: `no_concept`, `concept_away`.
        """
        with self.engine.files.moment():
            return self._album(self.get(named), limit, only or Filter(), seen)

    def _album(self, concept: Concept, limit: int, only: Filter, seen: bool) -> ConceptAlbum:
        query = Query((Part(concept=concept.name),))
        shown, not_it = self._own(concept)
        only = replace(only, without=only.without | not_it)
        page = self.engine.search(query, limit + 1, only, fold_duplicates=False)
        line = page.n_fitting or 0
        if not fit_scale(self.engine.files, self.engine.encoder).is_known:
            few = "fit is not known in a library of so few pictures: its examples are shown alone"
            page = replace(page, notes=(*page.notes, few))
        hits = [hit for at, hit in enumerate(page) if at < line or hit.image_id in shown]
        is_cut = len(hits) > limit
        n_new = sum(hit.image_id > concept.seen_id for hit in hits[:limit])
        if seen and self.engine.files.catalog.writable:
            self._table.saw(concept.concept_id, self._last_id())
        page = replace(page, hits=tuple(hits[:limit]), n_fitting=None)
        return ConceptAlbum(page, len(hits[:limit]), is_cut, n_new)

    def renewed(self) -> tuple[int, int]:
        """Fits every concept for the library's present encoder, as after an upgrade.

        Returns:
            How many were fitted, and how many could not be.
        """
        n_fitted = n_away = 0
        for concept in self.all():
            try:
                fresh = fitted_again(concept, self.engine.files, self.engine.encoder)
            except NotFoundError:
                n_away += 1
                continue
            if fresh is not concept:
                self._table.put(fresh)
            n_fitted += 1
        return n_fitted, n_away

    def add(self, concept: Concept, *, replaced: bool = False) -> Concept:
        """Adds a concept from elsewhere, fitted for this library.

        Raises:
            InputError: `name_taken`; NotFoundError: `concept_away`.
        """
        old = self._named(concept.name)
        if old is not None and replaced:
            concept = replace(concept, concept_id=old.concept_id)
        concept = replace(concept, seen_id=self._last_id())
        return self._table.put(self._fitted(concept))

    def fitted(self, named: str | int) -> Concept:
        """A concept fitted for the library's encoder.

        Raises:
            NotFoundError: `no_concept`, `concept_away`.
        """
        return self._fitted(self.get(named))

    def _fitted(self, concept: Concept, *, anew: bool = False) -> Concept:
        return fitted_again(concept, self.engine.files, self.engine.encoder, anew=anew)

    def _put(self, concept: Concept) -> Concept:
        return self._table.put(self._fitted(concept, anew=True))

    def _named(self, name: str) -> Concept | None:
        try:
            return self.get(name)
        except NotFoundError:
            name_for_queries(name)  # a new one must be one that a query can hold
            return None

    def _last_id(self) -> int:
        """The highest id of an image so far."""
        rows = self.engine.files.catalog.ask("SELECT coalesce(max(image_id), 0) FROM images")
        return int(str(rows[0][0]))


def _changed(example: ConceptExample, change: ExampleChange) -> ConceptExample:
    values: dict[str, object] = {}
    if change.relevant is not None:
        values["relevant"] = change.relevant
    if change.caption is not None:
        values["caption"] = (checked_caption(change.caption) or "").strip()
    if change.weight is not None:
        values["weight"] = checked_weight(change.weight)
    return replace(example, **values)  # type: ignore[arg-type]
