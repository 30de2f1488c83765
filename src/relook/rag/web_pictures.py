"""Pictures from the web: the one asked about, and small ones of matches. Layer: rag."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from relook.core.errors import AccessError, ImageError, RelookError
from relook.core.images import decode, dhash
from relook.core.picture import reencoded
from relook.core.same_picture import SIDE_PX, Asked, can_compare
from relook.core.settings import ImageLimits, WebLimits
from relook.core.web import Resolver, check_public, fetch, host_of
from relook.providers.base import Subject
from relook.providers.match import Match, MatchKind, Sent

_AT_ONCE = 8
_STRANGERS = ImageLimits(isolate=True)
_SMALL_PX, _SMALL_BYTES, _SMALL_TIMEOUT_S = 256, 3 * 1024**2, 5.0


def subject_at(
    url: str,
    web: WebLimits | None = None,
    limits: ImageLimits | None = None,
    *,
    resolve: Resolver | None = None,
) -> Subject:
    """The picture at an address.

    A picture in a private network (which `web` must allow) has no public address, so it counts as
    a picture of this machine: services get it only with consent.

    Args:
        url: Where it is.
        web: What fetching may cost.
        limits: What decoding may cost; it is always done in a process with bounds.
        resolve: As for `core.web.fetch`.

    Raises:
        InputError, AccessError, TooLargeError, FetchError: as `core.web.fetch` does.
        ImageError: when what is there is no picture, whatever it is declared to be.
    """
    web, limits = web or WebLimits(), replace(limits or ImageLimits(), isolate=True)
    got = fetch(url, web.max_picture_bytes, web, accept="image/*", resolve=resolve)
    try:
        check_public(got.peer, host_of(url))
        public: str | None = url
    except AccessError:
        public = None
    try:
        return Subject.of(got.data, url=public, name=url, limits=limits)
    except ImageError as error:
        hint = "give the address of the picture itself, not of a page that shows it"
        raise ImageError(error.code, f"{url}: {error.message}", error.hint or hint) from error


@dataclass(frozen=True, slots=True)
class Small:
    """A small picture.

    Args:
        data: A JPEG of at most 256 pixels a side, made here.
        picture_hash: 64-bit difference hash of the picture.
    """

    data: bytes
    picture_hash: int


def small_picture(data: bytes, limits: ImageLimits | None = None) -> Small:
    """A small picture of the bytes of a picture file, re-encoded so that only pixels remain.

    Args:
        data: The whole file.
        limits: What decoding may cost.

    Raises:
        ImageError: when they are no picture.
    """
    image = decode(data, _SMALL_PX, limits).image
    image.thumbnail((_SMALL_PX, _SMALL_PX))
    return Small(reencoded(image), dhash(image))


def fetch_thumbnails(
    matches: Sequence[Match], web: WebLimits, fetched: list[Sent]
) -> dict[str, Small]:
    """Small pictures of matches, by address; one that cannot be fetched is left out.

    Args:
        matches: Whose.
        web: What fetching may cost.
        fetched: Gets an entry for each request.
    """
    urls = list(dict.fromkeys(url for match in matches if (url := _small_url(match))))
    if not urls:
        return {}
    quick = replace(web, timeout_s=min(web.timeout_s, _SMALL_TIMEOUT_S))
    with ThreadPoolExecutor(min(_AT_ONCE, len(urls)), "thumbnail") as pool:
        results = dict(zip(urls, pool.map(lambda url: _fetched(url, quick), urls), strict=True))
    requested = [url for url, (_, was_sent) in results.items() if was_sent]
    fetched += [Sent(host_of(url), 0, "a request for a small picture") for url in requested]
    return {url: small for url, (small, _) in results.items() if small is not None}


def with_thumbnail(match: Match, small: Mapping[str, Small]) -> Match:
    """The match with its small picture and that picture's hash, when it was fetched."""
    picture = small.get(_small_url(match))
    if picture is None or match.thumbnail is not None:
        return match
    return replace(match, thumbnail=picture.data, picture_hash=picture.picture_hash)


def compared(
    groups: Sequence[tuple[Match, ...]], subject: Subject, n: int
) -> list[tuple[Match, ...]]:
    """Groups of matches with what comparing their small pictures point by point showed.

    Those that are this picture come first among the compared ones; a look-alike that is it counts
    as the same picture. Matches of a library were compared there, with their whole pictures.

    Args:
        groups: Best first, the best match first in each.
        subject: The picture asked about.
        n: So many groups are looked at.
    """
    looked_at, rest = list(groups[:n]), groups[n:]
    if not (can_compare() and any(_is_comparable(group[0]) for group in looked_at)):
        return list(groups)
    try:
        pixels = Asked(subject.image(SIDE_PX))
    except ImageError:
        return list(groups)
    verified = [(_verified(group[0], pixels), *group[1:]) for group in looked_at]
    verified.sort(key=lambda group: not _is_this_picture(group[0]))
    return [*verified, *rest]


def _is_comparable(match: Match) -> bool:
    of_pictures = match.kind not in (MatchKind.ENTITY, MatchKind.SAVED)
    return of_pictures and match.thumbnail is not None and match.verified is None


def _is_this_picture(match: Match) -> bool:
    return match.verified is not None and match.verified.is_same_picture


def _verified(match: Match, pixels: Asked) -> Match:
    if not _is_comparable(match) or match.thumbnail is None:
        return match
    try:
        other = decode(match.thumbnail, SIDE_PX, _STRANGERS).image
    except ImageError:
        return match
    verified = pixels.compared(other)
    is_found = verified.is_same_picture and match.kind is MatchKind.SIMILAR
    return replace(match, verified=verified, kind=MatchKind.SAME if is_found else match.kind)


def _small_url(match: Match) -> str:
    return (match.thumbnail_url or match.image_url).strip()


def _fetched(url: str, web: WebLimits) -> tuple[Small | None, bool]:
    """The small picture, and whether a request for it was sent."""
    try:
        data = fetch(url, _SMALL_BYTES, web, accept="image/*").data
        return small_picture(data, _STRANGERS), True
    except AccessError:
        return None, False
    except RelookError:
        return None, True
