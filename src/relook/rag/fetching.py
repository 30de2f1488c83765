"""What is fetched from the web: pages of matches, as text, and pictures. Layer: rag.

Pictures are the one that is asked about, and small ones of matches. A page is read only when its
site's robots.txt lets `relook` (or everybody) read it, and only as text: scripts, styles and markup
are removed. The package `readability-lxml` (Arc90's algorithm) finds the article among menus;
everything after that is ours.
"""

import codecs
import importlib.util
import logging
import re
import threading
import urllib.robotparser
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from relook.core.errors import AccessError, ImageError, InputError, MissingExtraError, RelookError
from relook.core.images import decode, dhash
from relook.core.picture import reencoded
from relook.core.plain_text import plain
from relook.core.same_picture import SIDE_PX, Asked, can_compare
from relook.core.settings import ImageLimits, WebLimits
from relook.core.web import AGENT, Resolver, check_public, fetch, host_of
from relook.providers.base import Subject
from relook.providers.match import Match, MatchKind, Sent

_AT_ONCE, _MAX_SITES, _ROBOTS_BYTES = 4, 500, 512 * 1024
_NOTHING = ("User-agent: *", "Disallow: /")
_ACCEPT = "text/html,application/xhtml+xml;q=0.9,text/plain;q=0.8"
_PICTURES_AT_ONCE = 8
_STRANGERS = ImageLimits(isolate=True)
_SMALL_PX, _SMALL_BYTES, _SMALL_TIMEOUT_S = 256, 3 * 1024**2, 5.0


class PageReader:
    """Reads pages; remembers what sites allow.

    Args:
        web: What fetching may cost, and whether private addresses may be read.
        resolve: As for `core.web.fetch`.
    """

    def __init__(self, web: WebLimits | None = None, resolve: Resolver | None = None) -> None:
        self.web = web or WebLimits()
        self._resolve = resolve
        self._rules: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._lock = threading.Lock()

    def read(
        self, urls: Sequence[str], max_chars: int, fetched: list[Sent]
    ) -> tuple[dict[str, str], list[str]]:
        """Readable text of several pages, side by side.

        Args:
            urls: Which.
            max_chars: At most so many characters of each.
            fetched: Gets an entry for each request.

        Returns:
            Texts by address, and what went wrong with the others, for people.

        Raises:
            MissingExtraError: when the reader is not installed.
        """
        if not urls:
            return {}, []
        check_reader()
        with ThreadPoolExecutor(min(_AT_ONCE, len(urls)), "page") as pool:
            results = list(pool.map(lambda url: self._safely(url, max_chars), urls))
        pairs = list(zip(urls, results, strict=True))
        requested = [url for url, (_, _, was_sent) in pairs if was_sent]
        fetched += [Sent(host_of(url), 0, "a request for a page") for url in requested]
        texts = {url: text for url, (text, _, _) in pairs if text}
        return texts, [trouble for _, trouble, _ in results if trouble]

    def text_of(self, url: str, max_chars: int) -> str:
        """Readable text of one page.

        Raises:
            AccessError: `robots` when the site does not want it, `private_address`.
            InputError, TooLargeError, FetchError: as `core.web.fetch` does; `not_a_page`.
        """
        if not self._rules_of(url).can_fetch(AGENT, url):
            raise AccessError("robots", f"{host_of(url)} asks programs not to read this page")
        got = fetch(url, self.web.max_page_bytes, self.web, accept=_ACCEPT, resolve=self._resolve)
        return readable(got.data, got.charset, max_chars)

    def _safely(self, url: str, max_chars: int) -> tuple[str, str, bool]:
        """The text, what went wrong, and whether a request was sent."""
        try:
            return self.text_of(url, max_chars), "", True
        except RelookError as error:
            return "", error.message, error.code != "private_address"

    def _rules_of(self, url: str) -> urllib.robotparser.RobotFileParser:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            rules = self._rules.get(site)
        if rules is None:
            rules = self._ask_site(site)
            with self._lock:
                if len(self._rules) >= _MAX_SITES:
                    self._rules.clear()
                self._rules[site] = rules
        return rules

    def _ask_site(self, site: str) -> urllib.robotparser.RobotFileParser:
        """The site's rules; no file allows all, a broken site allows nothing (RFC 9309, 2.3.1)."""
        rules = urllib.robotparser.RobotFileParser()
        try:
            got = fetch(
                f"{site}/robots.txt",
                _ROBOTS_BYTES,
                self.web,
                any_status=True,
                resolve=self._resolve,
            )
        except AccessError:
            raise
        except RelookError:
            rules.parse(_NOTHING)
            return rules
        if got.status == 200:
            rules.parse(got.data.decode("utf-8", "replace").splitlines())
        else:
            rules.parse([] if 400 <= got.status < 500 else _NOTHING)
        return rules


_LOG = logging.getLogger(__name__)
_MAX_CHARS, _FEW_CHARS = 600_000, 80
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9_:.-]{2,30})", re.I)
_HTML = re.compile(r"<(!doctype|html|head|body|p|div|h1|article|main|table|ul)\b", re.I)


def check_reader() -> None:
    """Checks that pages can be read here.

    Raises:
        MissingExtraError: when the extra is not installed.
    """
    if importlib.util.find_spec("readability") is None:
        raise MissingExtraError(
            "missing_extra",
            "reading pages needs the package 'readability-lxml'",
            "pip install 'relook[ask]', or ask for no pages",
        )


def readable(data: bytes, charset: str = "", max_chars: int = 800) -> str:
    """The main text of a page, trimmed.

    Args:
        data: What the site sent.
        charset: The encoding it declared; looked for in the page when empty or unknown.
        max_chars: At most so many characters.

    Raises:
        InputError: `not_a_page` when it is no HTML and no text, whatever the site declares.
        MissingExtraError: when the extra is not installed.
    """
    if b"\0" in data[:4_096] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("not_a_page", "what is there is not text")
    text = _decoded(data, charset)[:_MAX_CHARS]
    if not _HTML.search(text[:20_000]):
        if text.lstrip().startswith("%PDF") or not _mostly_printable(text[:2_000]):
            raise InputError("not_a_page", "what is there is not text")
        return plain(text, max_chars, lines=True)
    check_reader()
    article = plain(_article(text), max_chars, lines=True)
    return article if len(article) >= _FEW_CHARS else plain(text, max_chars, lines=True)


def _article(text: str) -> str:
    from readability import Document  # lxml takes 50 ms to import

    try:
        return str(Document(text).summary(html_partial=True))
    except Exception as error:  # a hostile page may break the parser in any way
        _LOG.info("no article found in a page: %s", type(error).__name__)
        return text


def _decoded(data: bytes, charset: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    named = _META.search(data[:4_096])
    for name in (charset, named.group(1).decode("ascii") if named else "", "utf-8"):
        try:
            if name and codecs.lookup(name)._is_text_encoding:
                return data.decode(name, "replace")
        except (LookupError, UnicodeError):
            continue
    return data.decode("utf-8", "replace")


def _mostly_printable(text: str) -> bool:
    odd = sum(1 for char in text if char == "\ufffd" or (char < " " and char not in "\t\r\n\f"))
    return odd <= len(text) // 20


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
    with ThreadPoolExecutor(min(_PICTURES_AT_ONCE, len(urls)), "thumbnail") as pool:
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
