"""Google Lens, Bing and Yandex reverse image search through SerpApi. Layer: providers.

Source: SerpApi's documentation of the engines `google_lens`, `bing_reverse_image` and
`yandex_images`, and answers recorded by others. Every field may be absent, and some change
their type between answers. "No results" comes as status 200 with an `error`. In Bing's rows
`link` leads to Bing and `source` is the page; in the others' `link` is the page. All three
take a public address only, so a picture of this machine cannot be asked about here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relook.core.plain_text import plain
from relook.core.secret import Secret, find_secret
from relook.core.web import host_of
from relook.providers.base import Lookup, Outcome, ProviderResult, ProviderSettings, Subject
from relook.providers.json_service import (
    Call,
    JsonProvider,
    JsonService,
    object_of,
    rows_of,
    text_of,
    url_of,
)
from relook.providers.match import Match, MatchKind, Sent, interleave

KEY_VARIABLES = ("RELOOK_SERPAPI_KEY", "SERPAPI_API_KEY", "SERPAPI_KEY")
_URL = "https://serpapi.com"
# The smallest plan with a price: 75 dollars for 5,000 searches (price page, read in 2026).
_COST_USD = 0.015

Rows = list[Match]
Values = Mapping[str, Any]


class SerpApiProvider(JsonProvider):
    """Google Lens, look-alikes; its subclasses are other searches of SerpApi.

    Args:
        kind: For Google Lens: "visual_matches" (quick), "exact_matches" or "all" (slow).
        secret: The key; looked for in the environment and the keyring when None.
        base_url: Another address of the service, for tests.
        cost_usd: What one search costs under the person's plan, for the budget.
    """

    name = "serpapi"
    engine = "google_lens"
    kind = "visual_matches"
    remote = True
    takes_files = False
    needs = ("key", "address")

    def __init__(
        self,
        kind: str = "",
        secret: Secret | None = None,
        base_url: str = _URL,
        cost_usd: float = _COST_USD,
    ) -> None:
        self.cost_usd = cost_usd
        self._engine, self._kind = _ENGINES[self.engine], kind or self.kind
        self.variant = f"{self.engine} {self._kind}".strip()
        self._secret = secret or find_secret("serpapi", KEY_VARIABLES)
        self._url = f"{base_url.rstrip('/')}/search.json"
        self._service = JsonService(self.name, self._secret, "api_key", base_url)

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> SerpApiProvider:
        """Opens the search; `serpapi:KIND` is another kind of Google Lens."""
        return cls(spec)

    def _find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        if subject.url is None:
            message = f"{self.name} can only be asked about a picture with a public address"
            raise self._service.trouble(Outcome.UNSUPPORTED, message)
        if self._secret is None:
            message = f"{self.name} needs an API key"
            raise self._service.trouble(Outcome.BAD_KEY, message, f"set ${KEY_VARIABLES[0]}")
        params = {"engine": self.engine, self._engine.url_param: subject.url}
        if self._kind:
            params["type"] = self._kind
        if lookup.words and self._engine.takes_words and self._kind != "exact_matches":
            params["q"] = lookup.words
        call = Call("GET", self._url, "the picture's address", params)
        status, values, sent = self._service.call(call, lookup.timeout_s)
        matches = interleave(self._engine.read(values, self.name), lookup.limit)
        if not matches:
            self._check(status, values, sent)
        outcome = Outcome.FOUND if matches else Outcome.NOTHING
        cost = self.cost_usd
        return ProviderResult(self.name, outcome, matches, sent=(sent,), cost_usd=cost)

    def _check(self, status: int, values: Values, sent: Sent) -> None:
        """Raises unless an answer without matches means that there are none."""
        error = plain(values.get("error"), 300)
        words = error.lower()
        trouble = self._service.trouble
        if status in (401, 403) or "invalid api key" in words:
            hint = f"check ${KEY_VARIABLES[0]}"
            raise trouble(Outcome.BAD_KEY, error or f"status {status}", hint, sent)
        if "run out of searches" in words or "limit" in words or status == 402:
            raise trouble(Outcome.QUOTA, error, "see your plan at the service", sent)
        state = object_of(values.get("search_information")).get("images_results_state")
        if "hasn't returned any results" in words or state == "Fully empty":
            return
        if status >= 400:
            raise trouble(Outcome.REFUSED, error or f"status {status}", "", sent)
        progress = object_of(values.get("search_metadata")).get("status")
        if error or progress != "Success":
            how = f"the search ended as {progress!r}" if progress else "there is no search in it"
            message = error or f"not the answer of a finished search: {how}"
            raise trouble(Outcome.FAILED, message, "", sent, passing=True)
        if not any(section in values for section in self._engine.sections):
            message = "the search ended as 'Success' without any section of results"
            hint = "ask again: the service often has results a moment later"
            raise trouble(Outcome.FAILED, message, hint, sent, passing=True)


def _match(name: str, kind: MatchKind, row: Values, page: str, image: str) -> Match:
    thumbnail = url_of(row.get("thumbnail"))
    site = plain(row.get("source"), 80) if not url_of(row.get("source")) else ""
    return Match(
        provider=name,
        kind=kind,
        title=plain(row.get("title")),
        source=site or plain(row.get("domain"), 80) or host_of(page),
        page_url=page,
        image_url=image,
        thumbnail_url=thumbnail,
        text=plain(row.get("snippet")),
        date=plain(row.get("date"), 40),
        metadata=_price(row),
    )


def _price(row: Values) -> dict[str, str]:
    price = row.get("price")
    text = plain(object_of(price).get("value") if isinstance(price, dict) else price, 40)
    return {"price": text} if text else {}


def _entity(name: str, title: object, text: object = "", source: str = "") -> Match:
    return Match(name, MatchKind.ENTITY, plain(title, 120), source, text=plain(text))


def _rows(values: Values, name: str, field: str, kind: MatchKind, *keys: str) -> Rows:
    """Matches of a list of rows; the keys name a row's page and its picture."""
    page, image = keys
    return [
        _match(name, kind, row, url_of(row.get(page)), url_of(row.get(image)))
        for row in rows_of(values, field)
    ]


def _objects(values: Values, field: str) -> list[Values]:
    """The objects of a field that holds one or a list of them."""
    value = values.get(field)
    return [value] if isinstance(value, dict) else rows_of(values, field)


def _lens(values: Values, name: str) -> list[Rows]:
    exact = _rows(values, name, "exact_matches", MatchKind.PAGE, "link", "image")
    visual = _rows(values, name, "visual_matches", MatchKind.SIMILAR, "link", "image")
    names = [
        _entity(
            name, graph.get("title"), graph.get("description") or graph.get("subtitle"),
            "Google knowledge graph",
        )
        for graph in _objects(values, "knowledge_graph")
    ]  # fmt: skip
    related = rows_of(values, "related_content")
    names += [_entity(name, row.get("query"), source="Google Lens") for row in related]
    return _titled([exact, names, visual])


def _bing(values: Values, name: str) -> list[Rows]:
    same = _rows(values, name, "pages_with_this_image", MatchKind.PAGE, "source", "original")
    similar = _rows(values, name, "related_content", MatchKind.SIMILAR, "source", "original")
    rows = _objects(values, "looks_like")
    names = [_entity(name, row.get("title"), row.get("snippet"), "Bing") for row in rows]
    return _titled([same, names, similar])


def _yandex(values: Values, name: str) -> list[Rows]:
    same = _rows(values, name, "image_results", MatchKind.PAGE, "link", "original_image")
    # A similar picture's `link` leads to Yandex, so no key names its page.
    similar = _rows(values, name, "similar_images", MatchKind.SIMILAR, "", "image")
    tags = rows_of(values, "image_tags")
    names = [_entity(name, text_of(tag.get("text")), source="Yandex") for tag in tags]
    return _titled([same, names, similar])


def _titled(lists: list[Rows]) -> list[Rows]:
    """The lists without matches that say nothing."""
    return [
        [match for match in rows if match.title or match.page_url or match.image_url]
        for rows in lists
    ]


@dataclass(frozen=True, slots=True)
class _Engine:
    url_param: str
    takes_words: bool
    read: Callable[[Values, str], list[Rows]]
    sections: tuple[str, ...]
    """Fields of an answer that holds results; an empty one says that there are none."""


_LENS = ("visual_matches", "exact_matches", "knowledge_graph", "related_content")
_BING = ("pages_with_this_image", "related_content", "looks_like")
_YANDEX = ("image_results", "similar_images", "image_tags")
_ENGINES = {
    "google_lens": _Engine("url", True, _lens, _LENS),
    "bing_reverse_image": _Engine("image_url", False, _bing, _BING),
    "yandex_images": _Engine("url", False, _yandex, _YANDEX),
}


class LensExactProvider(SerpApiProvider):
    """Google Lens, pages with the same picture."""

    name = "serpapi-exact"
    kind = "exact_matches"


class BingProvider(SerpApiProvider):
    """Bing's reverse image search."""

    name = "serpapi-bing"
    engine = "bing_reverse_image"
    kind = ""


class YandexProvider(SerpApiProvider):
    """Yandex Images by picture."""

    name = "serpapi-yandex"
    engine = "yandex_images"
    kind = ""
