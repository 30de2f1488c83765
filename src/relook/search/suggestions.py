"""What else to ask where words are negated, mistyped or foreign. Layer: search.

Nothing is replaced silently: "without people" is searched without these words, which a note tells,
and leaving people out is one click, line or call away. What happened and what else to ask are one
sentence.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from relook.core.types import Part, Query, Suggestion
from relook.core.words import may_be_foreign, words_of
from relook.encoders.base import Encoder
from relook.encoders.known_models import languages_of
from relook.library.files import LibraryFiles
from relook.search.grammar import line_of, suggestion, unquoted
from relook.search.negation import negation_of, wanted_words

_WORDS, _RIGHT = "words of the library", "words put right"
_REMEMBERED = 1024  # texts that were put right
_N_READ = 20_000  # images whose words are read: a second's work at most
_MODELS = "relook model list"
_QUOTED = "words in double quotes are taken as they are typed"


def suggestions(query: Query, encoder: Encoder, files: LibraryFiles) -> tuple[Suggestion, ...]:
    """What else to ask than a query, each with the whole query to ask instead."""
    beside = put_right(query, encoder, files)
    made = [
        each
        for at, part in enumerate(query.parts)
        if part.text is not None and not part.literal
        for each in _of_words(query, at, part.text, beside.get(at), files)
    ]
    return tuple(dict.fromkeys((*_of_language(query, files), *made)))


def _of_words(
    query: Query, at: int, text: str, beside: str | None, files: LibraryFiles
) -> Iterator[Suggestion]:
    """Of one part; `beside` are the words that are searched for beside it already."""
    part = query.parts[at]
    if part.weight > 0 and (negation := negation_of(text)) and negation.wanted:
        terms = " and ".join(f'"{term}"' for term in negation.unwanted)
        unwanted = tuple(Part(text=term, weight=-1.0) for term in negation.unwanted)
        instead = _with(query, at, replace(part, text=negation.wanted), *unwanted)
        yield Suggestion(
            "leave_out",
            f"Leave out: {', '.join(negation.unwanted)}",
            f'searched for "{negation.wanted}" alone: a minus leaves {terms} out, '
            f"type: {negation.line}",
            line_of(instead),
            instead,
        )
    if may_be_foreign(words_of(text)):
        return
    likely = surely_meant(text, files) if beside else text
    likely = _put_right(likely, files)
    if likely == text:
        return
    instead = _with(query, at, replace(part, text=likely))
    label = note = f'Did you mean "{likely}"?'
    if beside:
        typed = unquoted(wanted_words(part))
        note = f'searched for "{beside}" beside "{typed}", which looks mistyped; {_QUOTED}'
        if unquoted(wanted_words(replace(part, text=likely))) == beside:
            label = f'Search only for "{likely}"'
        else:
            note = f"{note}. {label}"
    yield Suggestion("did_you_mean", label, note, line_of(instead), instead)


def put_right(query: Query, encoder: Encoder, files: LibraryFiles) -> dict[int, str]:
    """What is searched for beside parts with a mistyped word of which it is sure what was meant.

    Returns:
        Number of the part to its words put right; empty for encoders that do not need it.
    """
    meant: dict[int, str] = {}
    for at, part in enumerate(query.parts if spelling_weight(encoder) else ()):
        if part.text is not None and part.weight > 0 and not part.literal:
            typed = wanted_words(part)
            words = surely_meant(typed, files)
            if words != typed:
                meant[at] = unquoted(words)
    return meant


def spelling_weight(encoder: Encoder) -> float:
    """How much words put right count beside the typed ones, which count 1."""
    return 0.0 if encoder.means is None else encoder.means.spelling


def surely_meant(text: str, files: LibraryFiles) -> str:
    """The words with those put right of which it is sure what was meant; the same without any."""
    if may_be_foreign(words_of(text)):
        return text
    return _put_right(text, files, is_sure=True)


def _put_right(text: str, files: LibraryFiles, *, is_sure: bool = False) -> str:
    """As `suggestion`, or the text itself; a search asks several times, its pages once more each.

    A mistyped word takes 30 ms of looking at what is near.
    """
    known: dict[tuple[str, bool], str] = files.derived.setdefault(_RIGHT, {})
    right = known.get((text, is_sure))
    if right is None:
        right = suggestion(text, lambda: _words_of(files), is_sure=is_sure) or text
        for old in list(known)[: max(len(known) - _REMEMBERED + 1, 0)]:
            known.pop(old, None)  # another thread may have been faster
        known[text, is_sure] = right
    return right


def _with(query: Query, at: int, part: Part, *more: Part) -> Query:
    """A query with another part in the place of one, and further ones at the end."""
    return Query((*query.parts[:at], part, *query.parts[at + 1 :], *more))


def _of_language(query: Query, files: LibraryFiles) -> Iterator[Suggestion]:
    """For words that are not English, where the model reads English."""
    texts = (part.text for part in query.parts if part.text is not None)
    if not any(may_be_foreign(words_of(text)) for text in texts):
        return
    if languages_of(files.manifest.encoder) == "English":
        note = (
            "the query is not in English, which is all that this library's model reads;"
            f" `{_MODELS}` names models of many languages"
        )
        yield Suggestion("other_model", "Models of many languages", note, _MODELS)


def _words_of(files: LibraryFiles) -> frozenset[str]:
    """Words of the titles and captions of a library's first images; read once a moment."""
    known: frozenset[str] | None = files.derived.get(_WORDS)
    if known is None:
        records = itertools.islice(files.catalog.each_image(), _N_READ)
        texts = (f"{record.title} {record.caption} {record.path.stem}" for record in records)
        known = frozenset(word for text in texts for word in re.findall(r"[a-z]+", text.lower()))
        files.derived[_WORDS] = known
    return known
