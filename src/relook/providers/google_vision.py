"""Google Cloud Vision's web detection. Layer: providers.

Source: Cloud Vision REST reference, `images:annotate` with the feature WEB_DETECTION, and
the definitions web_detection.proto and image_annotator.proto of googleapis. Every list may
be absent; titles may hold HTML; an error may come inside an answer of status 200, beside
results; pages without a matching picture are about the label and are left out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relook.core.errors import ImageError
from relook.core.plain_text import plain
from relook.core.secret import Secret, find_secret
from relook.core.web import host_of
from relook.providers.base import Lookup, Outcome, ProviderResult, ProviderSettings, Subject
from relook.providers.json_service import (
    Call,
    CallError,
    JsonProvider,
    JsonService,
    object_of,
    rows_of,
    url_of,
)
from relook.providers.match import Match, MatchKind, Sent, interleave

KEY_VARIABLES = ("RELOOK_GOOGLE_VISION_KEY", "GOOGLE_VISION_API_KEY")
_LONGEST_PX = 1_280
_URL = "https://vision.googleapis.com"
# Web detection costs 3.50 dollars a thousand after a thousand free ones a month (Cloud
# Vision's price page, read in 2026).
_COST_USD = 0.0035
# google.rpc.Code -> outcome, and whether asking again may help.
_CODES = {
    3: (Outcome.REFUSED, False),  # INVALID_ARGUMENT
    4: (Outcome.FAILED, True),  # DEADLINE_EXCEEDED
    7: (Outcome.REFUSED, False),  # PERMISSION_DENIED, of the picture's address
    8: (Outcome.QUOTA, True),  # RESOURCE_EXHAUSTED
    13: (Outcome.FAILED, True),  # INTERNAL
    14: (Outcome.FAILED, True),  # UNAVAILABLE
    16: (Outcome.BAD_KEY, False),  # UNAUTHENTICATED
}


class GoogleVisionProvider(JsonProvider):
    """Web detection by an API key.

    A picture with a public address is asked about by that address; any other is sent, as a
    fresh JPEG without metadata.

    Args:
        secret: The key; looked for in the environment and the keyring when None.
        base_url: Another endpoint (a regional one, or a test's).
        cost_usd: What one question costs, for the budget.
    """

    name = "google-vision"
    remote = True
    takes_files = True
    variant = "web-detection"
    needs = ("key",)

    def __init__(
        self, secret: Secret | None = None, base_url: str = _URL, cost_usd: float = _COST_USD
    ) -> None:
        self._secret = secret or find_secret(self.name, KEY_VARIABLES)
        self._url = f"{base_url.rstrip('/')}/v1/images:annotate"
        self.cost_usd = cost_usd
        self._service = JsonService(self.name, self._secret)

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> GoogleVisionProvider:
        """Opens the service; `google-vision:URL` is another endpoint."""
        return cls(base_url=spec or _URL)

    def _find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        if self._secret is None:
            raise self._service.trouble(
                Outcome.BAD_KEY, f"{self.name} needs an API key", f"set ${KEY_VARIABLES[0]}"
            )
        status, values, sent = self._service.call(self._call(subject, lookup), lookup.timeout_s)
        if status >= 400:
            raise self._refused(status, values, sent)
        responses = values.get("responses")
        if not isinstance(responses, list) or not responses or not isinstance(responses[0], dict):
            raise self._service.trouble(Outcome.FAILED, "the answer has no responses", "", sent)
        matches = _matches(object_of(responses[0].get("webDetection")), lookup.limit)
        error = object_of(responses[0].get("error"))
        if error and not matches:
            raise self._failed(error, sent)
        message = plain(error.get("message"), 200)
        outcome = Outcome.FOUND if matches else Outcome.NOTHING
        cost = self.cost_usd
        return ProviderResult(self.name, outcome, matches, message, sent=(sent,), cost_usd=cost)

    def _call(self, subject: Subject, lookup: Lookup) -> Call:
        if subject.url is not None:
            image: dict[str, Any] = {"source": {"imageUri": subject.url}}
            what = "the picture's address"
        else:
            try:
                data = subject.jpeg(_LONGEST_PX)
            except ImageError as error:
                raise self._service.trouble(Outcome.REFUSED, error.message, error.hint) from None
            image, what = {"content": base64.b64encode(data).decode("ascii")}, "the picture"
        feature = {"type": "WEB_DETECTION", "maxResults": max(lookup.limit, 1)}
        body = {"requests": [{"image": image, "features": [feature]}]}
        key = self._secret.reveal() if self._secret else ""
        return Call("POST", self._url, what, body=body, headers={"X-Goog-Api-Key": key})

    def _refused(self, status: int, values: Mapping[str, Any], sent: Sent) -> CallError:
        """From an HTTP status: the error object is at the top."""
        error = object_of(values.get("error"))
        text = str(error.get("message", "")) or f"{sent.host} answered {status}"
        if status in (401, 403) or "api key" in text.lower():
            outcome = Outcome.BAD_KEY
            hint = f"check ${KEY_VARIABLES[0]} and that the Cloud Vision API is enabled for it"
            if error.get("status") == "RESOURCE_EXHAUSTED" or "quota" in text.lower():
                outcome, hint = Outcome.QUOTA, "see the project's quotas"
            return self._service.trouble(outcome, text, hint, sent)
        return self._service.trouble(Outcome.REFUSED, text, "", sent)

    def _failed(self, error: Mapping[str, Any], sent: Sent) -> CallError:
        """From an error inside the answer."""
        code = error.get("code")
        known = _CODES.get(code) if isinstance(code, int) else None
        outcome, passing = known or (Outcome.FAILED, False)
        text = str(error.get("message", "")) or f"it failed with code {error.get('code')}"
        hint = ""
        if outcome is Outcome.REFUSED:
            hint = "save the picture and ask about the file, if its address cannot be reached"
        return self._service.trouble(outcome, text, hint, sent, passing=passing)


def _matches(web: Mapping[str, Any], limit: int) -> tuple[Match, ...]:
    labels = [
        _named(row, "label", {"best guess": "yes"}) for row in rows_of(web, "bestGuessLabels")
    ]
    entities = [_named(row, "description", {}) for row in rows_of(web, "webEntities")]
    pages = [_page(row) for row in rows_of(web, "pagesWithMatchingImages")]
    pages.sort(key=lambda match: match.metadata.get("shows") != "the whole picture")
    whole = _pictures(web, "fullMatchingImages", MatchKind.SAME, {})
    part = _pictures(web, "partialMatchingImages", MatchKind.SAME, {"shows": "a part or an edit"})
    similar = _pictures(web, "visuallySimilarImages", MatchKind.SIMILAR, {})
    names = [match for match in (*labels, *entities) if match.title]
    pages = [match for match in pages if match.page_url and match.metadata]
    return interleave([pages, names, [*whole, *part], similar], limit)


def _named(values: Mapping[str, Any], field: str, facts: Mapping[str, str]) -> Match:
    title = plain(values.get(field), 120)
    return Match("google-vision", MatchKind.ENTITY, title, "Google web entities", metadata=facts)


def _page(values: Mapping[str, Any]) -> Match:
    url = url_of(values.get("url"))
    base = Match(
        "google-vision", MatchKind.PAGE, plain(values.get("pageTitle")), host_of(url), page_url=url
    )
    for field, shows in (
        ("fullMatchingImages", "the whole picture"),
        ("partialMatchingImages", "a part or an edit"),
    ):
        if rows := rows_of(values, field):
            picture = next(filter(None, (url_of(row.get("url")) for row in rows)), "")
            return replace(base, image_url=picture, metadata={"shows": shows})
    return base


def _pictures(
    web: Mapping[str, Any], field: str, kind: MatchKind, facts: Mapping[str, str]
) -> list[Match]:
    # Addresses as `x-raw-image:///...` lead nowhere.
    urls = filter(None, (url_of(row.get("url")) for row in rows_of(web, field)))
    return [
        Match("google-vision", kind, source=host_of(url), image_url=url, metadata=facts)
        for url in urls
    ]
