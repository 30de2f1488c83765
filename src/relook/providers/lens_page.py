"""Reads a results page of Google Lens in a browser. Layer: providers. It opens no page.

The page's class names change every few months, so this module uses none. A result is a link to
another site, with the picture inside or beside it; its text is what a person would read or hear.
A robot check, a consent page and an empty result are recognised by their address and by what
every version of these pages has.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from relook.core.errors import ImageError
from relook.core.images import decode, dhash
from relook.core.plain_text import plain
from relook.core.settings import ImageLimits
from relook.core.web import host_of
from relook.providers.base import Outcome
from relook.providers.json_service import url_of
from relook.providers.match import Match, MatchKind

_MAX_THUMBNAIL_CHARS = 400_000
_STRANGERS = ImageLimits(isolate=True)

# Run in the page. Gives {state, names, rows: [{url, title, lines, thumbnail, heading}]}.
READ_PAGE = r"""
(ownHost) => {
  const own = /(^|\.)(google\.[a-z.]{2,6}|gstatic\.com|googleusercontent\.com|withgoogle\.com)$/;
  const said = (document.body ? document.body.innerText : "").slice(0, 20000);
  const has = (query) => document.querySelector(query) !== null;
  let state = "";
  if (/\/sorry\//.test(location.pathname) || has("#captcha-form, #recaptcha, .g-recaptcha")
      || has("iframe[src*='recaptcha']") || /unusual traffic from your/i.test(said)) {
    state = "blocked";
  } else if (/^consent\./.test(location.hostname) || has("form[action*='consent.']")
      || has("form[action*='/consent']") || /before you continue to/i.test(said)) {
    state = "consent";
  }
  const target = (link) => {
    if (!/^https?:$/.test(link.protocol)) return "";
    const inner = new URLSearchParams(new URL(link.href).search);
    const wrapped = inner.get("imgrefurl") || inner.get("q") || inner.get("url") || "";
    return own.test(link.hostname) || link.hostname === ownHost
      ? (/^https?:/.test(wrapped) ? wrapped : "") : link.href;
  };
  const foreign = (href) => {
    try {
      const host = new URL(href).hostname;
      return host !== ownHost && !own.test(host);
    } catch { return false; }
  };
  const headings = [...document.querySelectorAll("h1, h2, h3, [role=heading]")];
  const headingOf = (link) => {
    let found = "";
    for (const one of headings) {
      if (link.contains(one)) continue;
      if (!(one.compareDocumentPosition(link) & Node.DOCUMENT_POSITION_FOLLOWING)) break;
      if (!one.closest("a")) found = one.innerText.trim();
    }
    return found.slice(0, 80);
  };
  const pictureOf = (link) => {
    let at = link;
    for (let up = 0; at && up < 4; up += 1, at = at.parentElement) {
      const many = new Set([...at.querySelectorAll("a[href]")].map(target).filter(foreign));
      if (many.size > 1) return "";
      const picture = at.querySelector("img[src]");
      if (picture) return picture.currentSrc || picture.src;
    }
    return "";
  };
  const rows = new Map();
  for (const link of document.querySelectorAll("a[href]")) {
    const url = target(link);
    if (!url || !foreign(url) || link.closest("header, footer, nav, [role=navigation]")) continue;
    const box = link.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const inner = link.querySelector("h3, [role=heading]");
    const spoken = link.getAttribute("aria-label") || link.title || "";
    const lines = link.innerText.split("\n").map((line) => line.trim()).filter(Boolean);
    const picture = link.querySelector("img[alt]");
    const title = (inner && inner.innerText.trim()) || spoken
      || lines.reduce((best, line) => (line.length > best.length ? line : best), "")
      || (picture ? picture.alt : "");
    const row = { url, title, lines: lines.slice(0, 6), thumbnail: pictureOf(link),
                  heading: headingOf(link) };
    const known = rows.get(url);
    if (!known) rows.set(url, row);
    else {
      if (row.title.length > known.title.length) known.title = row.title;
      known.lines = [...new Set([...known.lines, ...row.lines])].slice(0, 6);
      known.thumbnail = known.thumbnail || row.thumbnail;
    }
    if (rows.size >= 120) break;
  }
  const names = [...document.querySelectorAll("[data-attrid=title]")]
    .map((one) => one.innerText.trim()).filter(Boolean).slice(0, 3);
  if (!state && rows.size) state = "found";
  const none = /no (image )?(matches|results)( were)? found|didn.?t find any|no exact matches/i;
  if (!state && none.test(said)) state = "nothing";
  return { state, names, rows: [...rows.values()] };
}
"""

_STATES = {
    "found": Outcome.FOUND,
    "nothing": Outcome.NOTHING,
    "blocked": Outcome.BLOCKED,
    "consent": Outcome.CONSENT_PAGE,
}
_SAME = ("exact match", "matching image", "same image", "find image source")


def state_of(page: Mapping[str, Any]) -> Outcome | None:
    """What kind of page it is; None while that cannot be seen (it may still be loading)."""
    return _STATES.get(str(page.get("state", "")))


def matches_of(page: Mapping[str, Any], provider: str) -> list[list[Match]]:
    """Lists of matches, each best first: pages with the picture, names, look-alikes.

    Args:
        page: What `READ_PAGE` gave.
        provider: The provider's name.
    """
    names = [
        Match(provider, MatchKind.ENTITY, plain(name, 120), "Google Lens")
        for name in page.get("names", ())
    ]
    matches = [_match(row, provider) for row in page.get("rows", ())]
    same = [match for match in matches if match.kind is MatchKind.PAGE]
    similar = [match for match in matches if match.kind is not MatchKind.PAGE]
    return [same, names, similar]


def _match(row: Mapping[str, Any], provider: str) -> Match:
    title, url = plain(row.get("title")), url_of(row.get("url"))
    heading = str(row.get("heading", "")).lower()
    picture = str(row.get("thumbnail", ""))
    data = _inline(picture)
    return Match(
        provider=provider,
        kind=MatchKind.PAGE if any(word in heading for word in _SAME) else MatchKind.SIMILAR,
        title=title,
        source=_source(row.get("lines", ()), title) or host_of(url),
        page_url=url,
        thumbnail_url=url_of(picture),
        picture_hash=None if data is None else dhash(decode(data, 64, _STRANGERS).image),
        thumbnail=data,
    )


def _source(lines: Sequence[object], title: str) -> str:
    """The shortest line beside the title: results name their site that way."""
    texts = [plain(line, 60) for line in lines]
    others = [text for text in texts if text and text not in title and title not in text]
    return min(others, key=len, default="")


def _inline(picture: str) -> bytes | None:
    """The bytes of a picture that stands in the page itself; None when they are no picture."""
    head, _, body = picture.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    if len(body) > _MAX_THUMBNAIL_CHARS:
        return None
    try:
        data = base64.b64decode(body, validate=True)
        width, height = decode(data, 64, _STRANGERS).image.size
    except (binascii.Error, ValueError, ImageError):
        return None
    return data if min(width, height) >= 8 else None  # smaller ones are placeholders
