"""Names that evidence gives a picture, with how many pieces of it say them. Layer: rag.

A model names a thing better when it chooses among a few names than when it has to think of one.
The names are taken from what the matches say, by rules alone: capitalised runs, quoted words,
names that a service suggests, and phrases that several titles share. Words of every picture
("stock photo") and the names of sites are no candidates. Nothing is asked or fetched.

Source: Q. Ma et al., "Ground Then Rank: Revisiting Knowledge-Based VQA with Training-Free Entity
Identification" (arXiv 2606.23881), for choosing among candidate names before answering.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from relook.answerers.evidence_only import EMPTY_WORDS, shared_phrases
from relook.core.converter import JsonValue
from relook.core.json_form import SHOWN
from relook.core.plain_text import inert, plain
from relook.core.web import host_of
from relook.providers.match import Match, MatchKind

_N_NAMES, _MOST_WORDS, _TEXT_CHARS, _TITLE_CHARS = 8, 6, 800, 160
_NEARLY_ALL = 0.75
_NEAR = 0.9  # as alike as copies and near-duplicates are
_HUB_TEXT = """
about after all also april art article articles at august best blog book buy category cheap
collection color colour december edition editorial english facebook facts february find first
friday gallery get guide high history home how illustration index info information instagram
january july june latest list magazine map march may meaning monday more most name names new news
november now october official online our page pages part photographer photography poster premium
price print prints quality quiz quotes review reviews royalty sale saturday see september shop
shopping similar site store stories story sunday tag tags test the these things thursday tickets
today top tour tours travel trip tuesday tumblr twitter ultra unsplash update vector video videos
view views visit watch website wednesday welcome wiki world x year years
"""
_HUBS = EMPTY_WORDS | frozenset(_HUB_TEXT.split())
_WORD = re.compile(r"[^\W_]+(?:['\u2019.&-][^\W_]+)*")
_BREAK = re.compile(r"\s+[-\u2013\u2014|\u00b7:]\s+|[|\u00b7\u2022,;:()/?!\n]|\.\s")
_QUOTED = re.compile(
    r"[\u201c\u201e\u00ab\"]([^\u201c\u201d\u201e\u00ab\u00bb\"]{3,60})[\u201d\u201c\u00bb\"]"
    r"|[\u300a\u300c\u300e]([^\u300a-\u300f]{2,40})[\u300b\u300d\u300f]"
)
# Inside a name these need no capital: "Notre Dame de Paris", "Lake of the Woods".
_LINK_TEXT = "of the de la le les du des del della di da do dos das von van der den zu and & y"
_LINKS = frozenset(_LINK_TEXT.split())
# Facts about the file and who made it name nothing that it shows.
_NO_NAME = re.compile(
    r"file|size|width|height|format|price|url|camera|lens|software|artist|author|creator|credit"
    r"|copyright|rights|licen[cs]e|date|time|zone|rating|model|make",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate(JsonValue):
    """A name for what a picture shows.

    Args:
        name: As the evidence writes it.
        numbers: Of the evidence that says it, ascending; 0 is the picture's own file.
        sources: Where it stands: `suggested`, `title`, `text`, `page`, `metadata`, `library`.
        n_same: How many of them are of this very picture; the others only look like it.
    """

    name: str
    numbers: tuple[int, ...]
    sources: tuple[str, ...]
    n_same: int

    @property
    def n(self) -> Annotated[int, SHOWN]:
        """How many pieces of evidence say it."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class Words:
    """What one piece of evidence says at one place.

    Args:
        number: Of the evidence.
        source: Where it stands.
        text: What it says.
        same: Whether the evidence is of the very picture.
        site: What the site that has them is called, which is no name for the picture.
    """

    number: int
    source: str
    text: str
    same: bool
    site: tuple[str, ...] = ()


def words_of(number: int, matches: Sequence[Match], page_text: str = "") -> list[Words]:
    """What the matches of one piece of evidence say.

    Args:
        number: Of the evidence.
        matches: The best one first.
        page_text: Text of its page.
    """
    kept = []
    for match in matches:
        same, site = _is_this_picture(match), _site(match)
        own = match.image_id is not None
        title = "suggested" if match.kind is MatchKind.ENTITY else "title"
        named = match.metadata.items()
        facts = [value for name, value in named if not _NO_NAME.search(name)]
        texts = [("library", match.title), ("library", match.text)]
        texts = texts if own else [(title, match.title), ("text", match.text)]
        texts += [("metadata", value) for value in facts]
        kept += [
            Words(number, source, plain(text, _TEXT_CHARS), same, site)
            for source, text in texts
            if text and match.kind is not MatchKind.SAVED
        ]
    if page_text:
        same, site = _is_this_picture(matches[0]), _site(matches[0])
        kept.append(Words(number, "page", plain(page_text, _TEXT_CHARS), same, site))
    return kept


def words_of_own(facts: Mapping[str, str]) -> list[Words]:
    """What the picture's own file says of what it shows."""
    names = ("title", "caption", "keywords")
    return [Words(0, "metadata", facts[name], True) for name in names if facts.get(name)]


def candidates_of(texts: Sequence[Words], limit: int = _N_NAMES) -> tuple[Candidate, ...]:
    """The names that the words give, the most telling first.

    A name that one text alone says counts when a service suggested it, it stands in quotes, it has
    several words, or it is of this very picture.

    Args:
        texts: All words.
        limit: Names at most.
    """
    sites = {_squeezed(name).removeprefix("the") for words in texts for name in words.site}
    names: dict[tuple[str, ...], str] = {}
    strong: set[tuple[str, ...]] = set()
    for words in texts:
        for name, is_strong in _names_in(words):
            key = _key(name)
            if key and _squeezed("".join(key)) not in sites:
                names.setdefault(key, name)
                strong |= {key} if is_strong else set()
    for shared in shared_phrases(_titles(texts), 2 * limit):
        key = _key(shared.text)
        if len(key) > 1 and _squeezed("".join(key)) not in sites and _is_cased(shared.text):
            names.setdefault(key, shared.text)
    keyed = [(words, _key_words(words.text)) for words in texts]
    made = [_candidate(key, name, keyed) for key, name in names.items()]
    kept = [c for c in made if c.n > 1 or c.n_same or _key(c.name) in strong]
    kept = [c for c in kept if not _is_in_longer(c, kept)]
    kept.sort(key=lambda c: (-_worth(c, _key(c.name) in strong), -len(c.name), c.name))
    return tuple(kept[:limit])


def named_in(text: str, candidates: Iterable[Candidate]) -> str:
    """The candidate that a text names first, the longest of several there; empty for none."""
    words = _key_words(text)
    places = [(_place(_key(c.name), words), -len(c.name), c.name) for c in candidates]
    there = sorted(place for place in places if place[0] >= 0)
    return there[0][2] if there else ""


def _is_this_picture(match: Match) -> bool:
    if match.verified is not None and match.verified.is_same_picture:
        return True
    if match.kind is not MatchKind.SIMILAR:
        return True
    return match.similarity is not None and match.similarity >= _NEAR


def _site(match: Match) -> tuple[str, ...]:
    if match.image_id is not None:
        return ()
    labels = host_of(match.page_url).removeprefix("www.").split(".")
    return tuple(name for name in (match.source, *labels[:-1], ".".join(labels)) if name)


def _names_in(words: Words) -> Iterable[tuple[str, bool]]:
    """Names in a text, each with whether it counts when nobody else says it."""
    if words.source == "suggested":
        yield inert(words.text), True
        return
    for quoted in _QUOTED.finditer(words.text):
        name = (quoted[1] or quoted[2]).strip(" .,")
        if len(_key(name)) <= _MOST_WORDS:
            yield inert(name), True
    text = re.sub(r"_+", " ", words.text)
    for piece in _BREAK.split(text):
        for run in _capitalised(piece):
            yield inert(run), len(run.split()) > 1


def _capitalised(piece: str) -> Iterable[str]:
    """Runs of capitalised words, without words of every picture at their ends."""
    spans: list[re.Match[str]] = []
    for word in (*_WORD.finditer(piece), None):
        if word is not None and (word[0][0].isupper() or (spans and word[0].lower() in _LINKS)):
            spans.append(word)
            continue
        while spans and _is_hub(spans[0][0]):
            spans.pop(0)
        while spans and (_is_hub(spans[-1][0]) or spans[-1][0].lower() in _LINKS):
            spans.pop()
        if spans and len(spans) <= _MOST_WORDS and len(spans[0][0]) > 1:
            yield piece[spans[0].start() : spans[-1].end()]
        spans = []


def _is_hub(word: str) -> bool:
    return word.lower() in _HUBS or word.isdigit()


def _is_cased(text: str) -> bool:
    """Whether a phrase may be a name: one with a capital, or of a script that has none."""
    return any(char.isupper() for char in text) or text.lower() == text.upper()


def _key_words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(re.sub(r"_+", " ", text))]


def _key(name: str) -> tuple[str, ...]:
    """A name's words without what stands around them; empty when nothing is left to name."""
    words = _key_words(name)
    while words and words[0] in _EMPTY_FIRST:
        words.pop(0)
    says = any(word not in _HUBS and not word.isdigit() and len(word) > 1 for word in words)
    return tuple(words) if says else ()


_EMPTY_FIRST = frozenset({"the", "a", "an", "der", "die", "das", "le", "la", "les", "el", "los"})


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _titles(texts: Sequence[Words]) -> dict[int, str]:
    titles: dict[int, str] = {}
    for words in texts:
        if words.source in ("title", "library"):
            title = inert(words.text[:_TITLE_CHARS])
            titles[words.number] = f"{titles.get(words.number, '')} . {title}"
    return titles


def _place(key: Sequence[str], words: Sequence[str]) -> int:
    """Where a name begins among words; -1 when it is not there."""
    n = len(key)
    ends = range(len(words) - n + 1) if n else ()
    return next((at for at in ends if list(words[at : at + n]) == list(key)), -1)


def _candidate(
    key: tuple[str, ...], name: str, keyed: Sequence[tuple[Words, list[str]]]
) -> Candidate:
    by = [text for text, words in keyed if _place(key, words) >= 0]
    numbers = tuple(sorted({text.number for text in by}))
    sources = tuple(dict.fromkeys(text.source for text in by))
    return Candidate(name, numbers, sources, len({text.number for text in by if text.same}))


def _is_in_longer(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    """Whether a longer name is said by all that say this one, or nearly all of a single word."""
    key = _key(candidate.name)
    least = candidate.n if len(key) > 1 else _NEARLY_ALL * candidate.n
    return any(
        len(_key(other.name)) > len(key)
        and other.n >= least
        and set(other.numbers) <= set(candidate.numbers)
        and _place(key, _key(other.name)) >= 0
        for other in others
    )


def _worth(candidate: Candidate, strong: bool) -> float:
    suggested = "suggested" in candidate.sources
    return candidate.n + candidate.n_same + (2.0 if suggested else 0.0) + (0.5 if strong else 0.0)
