"""Google Vision's adapter against a server that answers in the documented shapes."""

import base64
import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from provider_parts import KEY, SECRET, local_subject, public_subject

from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.google_vision import GoogleVisionProvider
from relook.providers.match import Match, MatchKind
from relook.testing.web_server import Reply, WebServer, serving

PATH = "/v1/images:annotate"
LOOKUP = Lookup(limit=20, timeout_s=120.0)

# Everything the reference names, with what third parties have seen in it.
FULL = {
    "webEntities": [
        {"entityId": "/m/04g0kcw", "score": 0.7271, "description": "Eiffel Tower"},
        {"entityId": "/m/none", "score": 0.5},
    ],
    "fullMatchingImages": [{"url": "https://a.example/1.jpg"}, {"url": "x-raw-image:///abc"}],
    "partialMatchingImages": [{"url": "https://a.example/crop.jpg"}],
    "pagesWithMatchingImages": [
        {"url": "https://label.example/", "pageTitle": "only about the label"},
        {
            "url": "https://part.example/p",
            "pageTitle": "Part",
            "partialMatchingImages": [{"url": "https://part.example/p.jpg"}],
        },
        {
            "url": "https://www.full.example/p",
            "pageTitle": "<b>Eiffel</b> Tower &amp; <script>alert(1)</script>Seine",
            "fullMatchingImages": [{"url": ""}, {"url": "https://full.example/p.jpg"}],
        },
    ],
    "visuallySimilarImages": [{"url": "https://similar.example/1.jpg"}],
    "bestGuessLabels": [{"label": "eiffel tower", "languageCode": "en"}],
}


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def ask(
    site: WebServer, answer: Any, subject: Subject | None = None, lookup: Lookup = LOOKUP
) -> ProviderResult:
    """One question to a server that answers so."""
    site.replies[PATH] = answer if isinstance(answer, Reply) else Reply(answer)
    provider = GoogleVisionProvider(SECRET, site.address)
    try:
        return provider.find(subject or local_subject(), lookup)
    finally:
        provider.close()


def web(**lists: Any) -> dict[str, Any]:
    return {"responses": [{"webDetection": lists}]}


def test_a_full_answer_becomes_typed_matches(site: WebServer) -> None:
    result = ask(site, web(**FULL))
    assert result.outcome is Outcome.FOUND
    expected = [
        (
            "page",
            "Eiffel Tower & Seine",
            "https://www.full.example/p",
            "https://full.example/p.jpg",
        ),
        ("entity", "eiffel tower", "", ""),
        ("same", "", "", "https://a.example/1.jpg"),
        ("similar", "", "", "https://similar.example/1.jpg"),
        ("page", "Part", "https://part.example/p", "https://part.example/p.jpg"),
        ("entity", "Eiffel Tower", "", ""),
        ("same", "", "", "https://a.example/crop.jpg"),
    ]
    told = [(one.kind.value, one.title, one.page_url, one.image_url) for one in result.matches]
    assert told == expected
    assert [one.rank for one in result.matches] == list(range(7))
    assert result.matches[0].source == "full.example"
    assert result.matches[4].metadata == {"shows": "a part or an edit"}
    assert all(one.similarity is None for one in result.matches)
    assert result.cost_usd == 0.0035


def test_a_redirect_takes_neither_picture_nor_key_elsewhere(site: WebServer) -> None:
    with serving() as other:
        answer = Reply(web(**FULL), 307, {"Location": f"{other.address}{PATH}"})
        result = ask(site, answer)
        assert other.asked == []
    assert (result.outcome, len(site.asked)) == (Outcome.FAILED, 1)
    assert "answered 307: a redirect, which is not followed" in result.message


def test_a_local_picture_is_sent_without_its_metadata(site: WebServer) -> None:
    image = Image.new("RGB", (3000, 1500), (10, 200, 30))
    exif = image.getexif()
    exif[0x010E] = "taken at my home"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, comment=b"taken at my home")
    assert b"my home" in out.getvalue()
    result = ask(site, web(), Subject.of(out.getvalue()))
    request = site.asked[0].json["requests"][0]
    sent = base64.b64decode(request["image"]["content"], validate=True)
    assert b"my home" not in sent
    assert Image.open(io.BytesIO(sent)).size == (1280, 640)
    assert request["features"] == [{"type": "WEB_DETECTION", "maxResults": 20}]
    told = [(one.host, one.n_bytes, one.what) for one in result.sent]
    assert told == [("127.0.0.1", len(site.asked[0].body), "the picture")]


def test_a_public_picture_is_asked_about_by_its_address(site: WebServer) -> None:
    result = ask(site, web(), public_subject())
    image = site.asked[0].json["requests"][0]["image"]
    assert image == {"source": {"imageUri": "https://pictures.example.org/1.png"}}
    assert result.sent[0].what == "the picture's address"


@pytest.mark.parametrize(
    "answer",
    [
        {"responses": [{}]},
        web(),
        web(webEntities=[], fullMatchingImages=None),
        web(pagesWithMatchingImages=[{"url": "https://label.example/", "pageTitle": "label"}]),
        web(webEntities=[{"entityId": "/m/1", "score": 1}]),
    ],
)
def test_nothing_found_is_an_answer(answer: object, site: WebServer) -> None:
    result = ask(site, answer)
    assert (result.outcome, result.matches, result.message) == (Outcome.NOTHING, (), "")


@pytest.mark.parametrize(
    ("code", "outcome", "passing"),
    [
        (3, Outcome.REFUSED, False),
        (7, Outcome.REFUSED, False),
        (8, Outcome.QUOTA, True),
        (14, Outcome.FAILED, True),
        (16, Outcome.BAD_KEY, False),
        (99, Outcome.FAILED, False),
    ],
)
def test_an_error_inside_an_answer_of_200(
    code: int, outcome: Outcome, passing: bool, site: WebServer
) -> None:
    answer = {"responses": [{"error": {"code": code, "message": "Bad <i>image</i> data."}}]}
    result = ask(site, answer)
    assert (result.outcome, result.passing) == (outcome, passing)
    assert result.message == "Bad image data."
    assert result.sent != ()


def test_an_error_beside_results_loses_none_of_them(site: WebServer) -> None:
    answer = {"responses": [{"webDetection": FULL, "error": {"code": 14, "message": "partly"}}]}
    result = ask(site, answer)
    assert (result.outcome, len(result.matches)) == (Outcome.FOUND, 7)
    assert result.message == "partly"


def _error(code: int, status: str, message: str) -> Reply:
    body = {"error": {"code": code, "status": status, "message": message}}
    return Reply(body, code, {"Retry-After": "7"} if code in (429, 503) else {})


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (_error(400, "INVALID_ARGUMENT", "API key not valid."), Outcome.BAD_KEY),
        (_error(400, "INVALID_ARGUMENT", "Request payload size exceeds"), Outcome.REFUSED),
        (_error(403, "PERMISSION_DENIED", "The API has not been used"), Outcome.BAD_KEY),
        (_error(403, "RESOURCE_EXHAUSTED", "Daily limit"), Outcome.QUOTA),
        (_error(401, "UNAUTHENTICATED", "no"), Outcome.BAD_KEY),
        (_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), Outcome.QUOTA),
        (_error(503, "UNAVAILABLE", "later"), Outcome.FAILED),
        (Reply(b"<html>502 Bad Gateway</html>", 502), Outcome.FAILED),
        (Reply(b"not json"), Outcome.FAILED),
        (Reply(b""), Outcome.FAILED),
        (Reply(b"[1, 2]"), Outcome.FAILED),
        (Reply(b"[" * 100_000), Outcome.FAILED),
        (Reply({}), Outcome.FAILED),
        (Reply({"responses": []}), Outcome.FAILED),
        (Reply({"responses": "none"}), Outcome.FAILED),
        (Reply(b'{"responses": [{"webDet', n_bytes_claimed=500), Outcome.FAILED),
        (Reply(b" " * 17 * 1024**2), Outcome.FAILED),
    ],
)
def test_what_goes_wrong_is_told_apart(reply: Reply, outcome: Outcome, site: WebServer) -> None:
    result = ask(site, reply)
    assert (result.outcome, result.matches) == (outcome, ())
    assert result.message != ""
    assert result.sent[0].what == "the picture"
    wants_wait = reply.headers.get("Retry-After")
    assert result.retry_after_s == (float(wants_wait) if wants_wait else None)


def test_a_slow_service_is_left_in_time(site: WebServer) -> None:
    for reply in (Reply(web(), delay_s=120.0), Reply(web(**FULL), drip_s=0.05)):
        result = ask(site, reply, lookup=Lookup(timeout_s=0.4))
        assert result.outcome is Outcome.TIMED_OUT


def test_a_service_that_is_not_there() -> None:
    with serving() as gone:
        pass
    result = ask(gone, web())
    assert (result.outcome, result.passing, result.sent) == (Outcome.FAILED, True, ())


def test_nonsense_of_every_type_is_survived(site: WebServer) -> None:
    nonsense: list[Any] = [None, 1, "text", [], {}, {"url": 5}, {"url": None}, {"url": "https://x"}]
    lists = dict.fromkeys(FULL, nonsense)
    lists["bestGuessLabels"] = [{"label": ["a"]}, {"label": 7}]
    result = ask(site, web(**lists))
    assert result.outcome is Outcome.FOUND
    assert {one.image_url for one in result.matches} <= {"", "https://x"}
    for broken in (5, "text", [FULL], None):
        assert ask(site, {"responses": [{"webDetection": broken}]}).outcome is Outcome.NOTHING


def test_a_large_answer_is_cut_to_the_limit(site: WebServer) -> None:
    rows = [
        {
            "url": f"https://x.example/{n}",
            "pageTitle": "t" * 900,
            "fullMatchingImages": [{"url": ""}],
        }
        for n in range(420)
    ]
    body = web(pagesWithMatchingImages=rows)
    assert len(Reply(body).data) > 390_000
    result = ask(site, body, lookup=Lookup(limit=8))
    assert [one.page_url for one in result.matches] == [f"https://x.example/{n}" for n in range(8)]
    assert all(len(one.title) <= 300 for one in result.matches)


def test_no_key_means_nothing_is_sent(site: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELOOK_GOOGLE_VISION_KEY", "GOOGLE_VISION_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    provider = GoogleVisionProvider(base_url=site.address)
    result = provider.find(local_subject(), LOOKUP)
    provider.close()
    assert (result.outcome, result.sent, site.asked) == (Outcome.BAD_KEY, (), [])
    assert "RELOOK_GOOGLE_VISION_KEY" in result.hint


def test_the_key_shows_nowhere(site: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"code": 400, "message": f"bad key {KEY}, k3y%2Fwith%2Bodd%20chars"}}
    told = [
        ask(site, Reply(echo, 400)),
        ask(site, Reply(KEY.encode(), 200)),
        ask(site, web(**FULL)),
    ]
    assert site.asked[0].headers["x-goog-api-key"] == KEY
    assert KEY not in site.asked[0].path
    for result in told:
        assert "k3y" not in repr(result)
        assert "k3y" not in str(result.as_dict(pictures=True))
    assert "k3y" not in caplog.text


def test_a_match_survives_its_json_form(site: WebServer) -> None:
    result = ask(site, web(**FULL))
    again = ProviderResult.from_dict(result.as_dict(pictures=True))
    assert again.timed(0) == result.timed(0)
    assert isinstance(again.matches[0], Match)
    assert again.matches[0].kind is MatchKind.PAGE
