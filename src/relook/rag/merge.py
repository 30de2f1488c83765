"""Merges the matches of several providers into one ranked list without repetitions. Layer: rag.

Two matches are the same when they are the same page (by normalised address), the same
picture (by address, or by a 64-bit picture hash), or the same name of a thing. A group keeps
all its matches behind the best one, so no title is lost. Pure values: it fetches nothing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from relook.core.plain_text import plain
from relook.core.settings import EvidenceSettings
from relook.providers.base import ProviderResult, Subject
from relook.providers.match import Match, MatchKind

# Parameters that track how a reader came to a page; they do not change the page.
_TRAILS = frozenset(
    {"gclid", "fbclid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid", "srsltid"}
)
_MAX_URL = 2_000
# Most addresses match this; parsing an address takes ten times as long.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?([/?#][!-~]*)?")
# How much a match of each kind says about what the picture shows.
_WORTH = {
    MatchKind.ENTITY: 1.0, MatchKind.PAGE: 1.0, MatchKind.SAVED: 1.0, MatchKind.SAME: 0.9,
    MatchKind.SIMILAR: 0.6,
}  # fmt: skip
_UNTITLED, _FUSION = 0.3, 5.0
# Only these kinds are merged by looks: pages that show the same picture stay apart, since their
# titles are the evidence.
_PICTURES = (MatchKind.SAME, MatchKind.SIMILAR)
_64_BITS = 0xFFFF_FFFF_FFFF_FFFF


def merge(
    results: Iterable[ProviderResult],
    subject: Subject,
    settings: EvidenceSettings | None = None,
    fold_bits: int = 6,
) -> list[tuple[Match, ...]]:
    """Groups of matches that are one thing, best group first, best match first in each.

    A group scores the sum over providers of its best match's worth / (5 + place), where the
    place is the match's among those of its kind from its provider, so what several providers
    return rises. No provider's own similarity is compared with another's.

    Args:
        results: The providers' answers.
        subject: The picture asked about; a match with its picture hash is the same picture.
        settings: How long text may be.
        fold_bits: Largest difference of two equal pictures' hashes.

    Source: G. Cormack, C. Clarke, S. Buettcher, "Reciprocal Rank Fusion" (SIGIR 2009), with
    a smaller constant because lists are short here.
    """
    settings = settings or EvidenceSettings()
    groups = _Groups(fold_bits)
    for result in results:
        places = dict.fromkeys(MatchKind, 0)
        for raw in sorted(result.matches, key=lambda match: match.rank):
            match = _recognised(clean(raw, settings), subject, fold_bits)
            if match is None:
                continue
            place = places[match.kind]
            places[match.kind] += 1
            worth = _WORTH[match.kind] * (1.0 if match.title or match.text else _UNTITLED)
            groups.add(match, worth / (_FUSION + place))
    best_first = sorted(groups.all, key=lambda group: -group.score)
    return [group.ordered() for group in best_first]


@dataclass(slots=True)
class _Group:
    matches: list[Match]
    scores: dict[str, float]

    @property
    def score(self) -> float:
        """Sum over providers: several copies of one provider count once."""
        return sum(self.scores.values())

    def ordered(self) -> tuple[Match, ...]:
        """The most telling first; equal ones in the order of providers."""
        return tuple(sorted(self.matches, key=lambda m: (not m.title, -_WORTH[m.kind], m.rank)))


class _Groups:
    """Groups in the order of their first match, found again by key or by picture."""

    def __init__(self, fold_bits: int) -> None:
        self.all: list[_Group] = []
        self._fold_bits = fold_bits
        self._by_key: dict[str, _Group] = {}
        self._pictures: list[tuple[int, _Group]] = []

    def add(self, match: Match, score: float) -> None:
        """Puts a match into its group, or into one of its own."""
        keys = _keys(match)
        hashed = match.picture_hash if match.kind in _PICTURES else None
        if hashed is not None and not _is_telling(hashed):
            hashed = None
        group = next((self._by_key[key] for key in keys if key in self._by_key), None)
        if group is None and hashed is not None:
            group = self._alike(hashed)
        if group is None:
            group = _Group([], {})
            self.all.append(group)
        group.matches.append(match)
        group.scores[match.provider] = max(score, group.scores.get(match.provider, 0.0))
        for key in keys:
            self._by_key.setdefault(key, group)
        if hashed is not None:
            self._pictures.append((hashed, group))

    def _alike(self, hashed: int) -> _Group | None:
        most = self._fold_bits
        return next(
            (group for other, group in self._pictures if n_bits_apart(other, hashed) <= most), None
        )


def _keys(match: Match) -> list[str]:
    if match.kind is MatchKind.ENTITY:
        return [f"entity {match.title.casefold()}"]
    keys = []
    if match.image_id is not None:
        keys.append(f"image {match.image_id}")
    if match.page_url:
        keys.append(f"page {page_key(match.page_url)}")
    elif match.image_url:  # pages that embed one picture are still different pages
        keys.append(f"picture {page_key(match.image_url)}")
    return keys


def n_bits_apart(first: int, second: int) -> int:
    """In how many of their 64 bits two picture hashes differ."""
    return ((first ^ second) & _64_BITS).bit_count()


def _is_telling(hashed: int) -> bool:
    """Whether a hash tells pictures apart: plain surfaces all have nearly the same one."""
    return 4 <= (hashed & _64_BITS).bit_count() <= 60


def _recognised(match: Match | None, subject: Subject, fold_bits: int) -> Match | None:
    """A look-alike with the subject's own hash is the same picture."""
    if match is None or match.kind is not MatchKind.SIMILAR:
        return match
    hashed = match.picture_hash
    if hashed is None or not _is_telling(hashed):
        return match
    same = n_bits_apart(hashed, subject.picture_hash) <= fold_bits
    return replace(match, kind=MatchKind.SAME) if same else match


def clean(match: Match, settings: EvidenceSettings | None = None) -> Match | None:
    """A match with plain, short text and usable addresses, or None when nothing is left of it."""
    settings = settings or EvidenceSettings()
    facts = list(match.metadata.items())[:12]
    cleaned = replace(
        match,
        title=plain(match.title, settings.title_chars),
        source=plain(match.source, 80),
        text=plain(match.text, settings.text_chars),
        date=plain(match.date, 40),
        page_url=_usable(match.page_url),
        image_url=_usable(match.image_url),
        thumbnail_url=_usable(match.thumbnail_url),
        metadata={plain(name, 40): plain(value, 200) for name, value in facts},
    )
    content: Sequence[object] = (
        cleaned.title, cleaned.text, cleaned.page_url, cleaned.image_url, cleaned.thumbnail,
        cleaned.picture,
    )  # fmt: skip
    return cleaned if any(content) or cleaned.image_id is not None else None


def _usable(url: str) -> str:
    """The address when it is http(s), not absurdly long and free of white space, else empty."""
    url = url.strip() if isinstance(url, str) else ""
    if not url or (len(url) <= _MAX_URL and _PLAIN_URL.fullmatch(url)):
        return url
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return ""
    return url if good and len(url) <= _MAX_URL and url.isprintable() and " " not in url else ""


def page_key(url: str) -> str:
    """A key that two addresses of the same page share.

    Scheme, `www.`, default ports, fragments, trailing slashes, the order of parameters and
    parameters that only track make no difference.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return url
    parameters = parse_qsl(parts.query, keep_blank_values=True) if parts.query else []
    kept = sorted((k, v) for k, v in parameters if k not in _TRAILS and not k.startswith("utm_"))
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{host}{port}{parts.path.rstrip('/')}{query}"
