"""Many providers' matches to one ranked list without repetitions. Layer: rag.

Two matches are the same when they are the same page (by normalised address), the same
picture (by address, or by a 64-bit picture hash), or the same name of a thing. What is
merged is kept beside the best of the group, so no title is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from relook.core.plain_text import plain
from relook.core.settings import EvidenceSettings
from relook.providers.base import Match, MatchKind, ProviderResult, Subject

__all__ = ["clean", "merge", "n_bits_apart", "page_key"]

# Parameters that say how somebody came to a page, not which page it is.
_TRAILS = frozenset(
    {"gclid", "fbclid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid", "srsltid"}
)
_MAX_URL = 2_000
# Most addresses; taking them apart to see that they are usable takes ten times as long.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?([/?#][!-~]*)?")
# How much a match of each kind tells about what the picture shows.
_WORTH = {MatchKind.ENTITY: 1.0, MatchKind.PAGE: 1.0, MatchKind.SAME: 0.9, MatchKind.SIMILAR: 0.6}
_UNTITLED, _FUSION = 0.3, 5.0
# Only these are one when they look the same: the titles of pages that show one picture are
# what evidence is made of, so pages stay apart.
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
        """Over providers: copies that one provider returns several times count once."""
        return sum(self.scores.values())

    def ordered(self) -> tuple[Match, ...]:
        """The most telling first; equal ones in the order of providers."""
        return tuple(
            sorted(self.matches, key=lambda one: (not one.title, -_WORTH[one.kind], one.rank))
        )


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
        if hashed is not None and not _tells(hashed):
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
            (group for one, group in self._pictures if n_bits_apart(one, hashed) <= most), None
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


def n_bits_apart(one: int, other: int) -> int:
    """In how many of their 64 bits two picture hashes differ."""
    return ((one ^ other) & _64_BITS).bit_count()


def _tells(hashed: int) -> bool:
    """Whether a hash tells pictures apart: plain surfaces all have nearly the same one."""
    return 4 <= (hashed & _64_BITS).bit_count() <= 60


def _recognised(match: Match | None, subject: Subject, fold_bits: int) -> Match | None:
    """A look-alike with the subject's own hash is the same picture."""
    if match is None or match.kind is not MatchKind.SIMILAR:
        return match
    hashed = match.picture_hash
    if hashed is None or not _tells(hashed):
        return match
    same = n_bits_apart(hashed, subject.picture_hash) <= fold_bits
    return replace(match, kind=MatchKind.SAME) if same else match


def clean(match: Match, settings: EvidenceSettings | None = None) -> Match | None:
    """A match with plain, short text and usable addresses, or None when nothing is left of it."""
    settings = settings or EvidenceSettings()
    facts = list(match.metadata.items())[:12]
    made = replace(
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
    told: Sequence[object] = (made.title, made.text, made.page_url, made.image_url, made.thumbnail)
    return made if any(told) or made.image_id is not None else None


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
    """What is equal for two addresses of the same page.

    Scheme, `www.`, default ports, fragments, trailing slashes, the order of parameters and
    parameters that only track make no difference.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return url
    asked = parse_qsl(parts.query, keep_blank_values=True) if parts.query else []
    kept = sorted((k, v) for k, v in asked if k not in _TRAILS and not k.startswith("utm_"))
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{host}{port}{parts.path.rstrip('/')}{query}"
