"""The contract of the provider seam, as checks. Layer: testing.

Whether the matches are right cannot be checked here; whether they are honest can: the
outcome fits the matches, text is plain, addresses are addresses, what was sent is said, and
time limits are kept. Web adapters are checked against a server of the test's own
(`relook.testing.web_server`).
"""

import io
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from relook.core.plain_text import plain
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject
from relook.providers.match import Match, MatchKind
from relook.testing.contract import require
from relook.testing.fakes import noise

_ADDRESS = "https://pictures.example.org/picture.png"


@dataclass(frozen=True)
class _Case:
    name: str
    subject: Subject
    lookup: Lookup


def check_provider(
    make: Callable[[], Provider],
    *,
    finds: bool = True,
    secret: str = "",
    timeout_s: float = 60.0,
    brief: bool = False,
) -> None:
    """Runs the contract of the provider seam.

    Args:
        make: Makes a provider, set up so that its service answers.
        finds: Whether it finds something for any picture it can be asked about.
        secret: Its key; no result may show it.
        timeout_s: What it is given for one question.
        brief: Whether only three questions are asked, for providers that take seconds.

    Raises:
        ContractError: with the first promise that is broken.
    """
    provider = make()
    try:
        _check_attributes(provider)
        for case in _cases(timeout_s)[: 3 if brief else None]:
            _check_case(provider, case, finds, secret)
        if not brief:
            _check_threads(provider, timeout_s)
    finally:
        provider.close()
    provider.close()  # a second time is fine


def sample_subject(seed: int = 1, url: str | None = None) -> Subject:
    """A picture to ask about: of this machine, or at a public address."""
    return Subject.of(_file(noise(seed, 64, 48), "PNG"), url=url, name=url or f"{seed}.png")


def _cases(timeout_s: float) -> list[_Case]:
    usual = Lookup(limit=20, timeout_s=timeout_s)
    tiny = Subject.of(_file(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"))
    moving = Subject.of(_file(noise(2, 40, 40), "GIF"), name="a\u202eb\n[1].gif")
    return [
        _Case("a file", sample_subject(), usual),
        _Case("an address", sample_subject(url=_ADDRESS), usual),
        _Case("one match wanted", sample_subject(url=_ADDRESS), Lookup(1, timeout_s)),
        _Case("three matches wanted", sample_subject(), Lookup(3, timeout_s)),
        _Case("words", sample_subject(url=_ADDRESS), Lookup(5, timeout_s, 'red & "blue" \u00e9')),
        _Case("one pixel", tiny, usual),
        _Case("a GIF with an odd name", moving, usual),
    ]


def _check_attributes(provider: Provider) -> None:
    require(isinstance(provider.name, str) and provider.name != "", "it has a name", provider.name)
    require(isinstance(provider.remote, bool), "remote is yes or no", provider.remote)
    require(isinstance(provider.takes_files, bool), "takes_files is yes or no")
    cost = provider.cost_usd
    require(math.isfinite(cost) and cost >= 0, "a question costs nothing or some dollars", cost)
    require(isinstance(provider.variant, str), "its variant is text", provider.variant)


def _check_case(provider: Provider, case: _Case, finds: bool, secret: str) -> None:
    began = time.perf_counter()
    result = _found(provider, case)
    took_s = time.perf_counter() - began
    name = case.name
    limit_s = case.lookup.timeout_s
    require(took_s <= limit_s + 1.0, f"{name}: it is back in {limit_s:g} s", round(took_s, 2))
    _check_result(provider, case, result)
    possible = provider.takes_files or not case.subject.local
    if not possible:
        outcome = result.outcome
        require(
            outcome is Outcome.UNSUPPORTED, f"{name}: what it cannot take is unsupported", outcome
        )
        require(result.sent == (), f"{name}: nothing is sent of what it cannot take", result.sent)
    elif finds:
        promise = f"{name}: something is found, since `finds` says so"
        require(result.outcome is Outcome.FOUND, promise, (result.outcome, result.message))
    for number, match in enumerate(result.matches):
        _check_match(f"{name}, match {number}", match)
        require(match.rank == number, f"{name}: ranks count from 0, best first", match.rank)
    _check_json(name, result)
    if secret:
        shown = repr(result) + json.dumps(result.as_dict(pictures=True))
        require(secret not in shown, f"{name}: the key shows in no result")


def _found(provider: Provider, case: _Case) -> ProviderResult:
    try:
        result = provider.find(case.subject, case.lookup)
    except Exception as error:
        require(False, f"{case.name}: whatever happens becomes a result", repr(error))
        raise
    require(isinstance(result, ProviderResult), f"{case.name}: a result is returned", result)
    return result


def _check_result(provider: Provider, case: _Case, result: ProviderResult) -> None:
    name, matches = case.name, result.matches
    require(result.provider == provider.name, f"{name}: it goes by its name", result.provider)
    n_most = case.lookup.limit
    require(len(matches) <= n_most, f"{name}: at most {n_most} matches", len(matches))
    fits = bool(matches) == (result.outcome is Outcome.FOUND)
    require(fits, f"{name}: there are matches exactly when it found some", result.outcome)
    explained = result.answered or result.message != ""
    require(explained, f"{name}: an outcome that is no answer says what happened", result.outcome)
    require(math.isfinite(result.took_s) and result.took_s >= 0, f"{name}: its time", result.took_s)
    require(result.cost_usd >= 0, f"{name}: a cost is not negative", result.cost_usd)
    for text in (result.message, result.hint):
        require(plain(text, 1_000) == text, f"{name}: messages are plain text", text)
    if not provider.remote:
        require(result.sent == (), f"{name}: what is not remote sends nothing", result.sent)
    elif result.answered:
        require(result.sent != (), f"{name}: what was sent is said")
    for sent in result.sent:
        good = sent.host != "" and sent.n_bytes >= 0 and sent.what != ""
        require(good, f"{name}: where, how much and what was sent", sent)


def _check_json(name: str, result: ProviderResult) -> None:
    again = ProviderResult.from_dict(json.loads(json.dumps(result.as_dict(pictures=True))))
    same = again.matches == result.matches and again.outcome == result.outcome
    require(same, f"{name}: the JSON form gives the result back")


def _check_match(name: str, match: Match) -> None:
    require(isinstance(match.kind, MatchKind), f"{name}: its kind is one of the four", match.kind)
    for text in (match.title, match.source, match.text, match.date, *match.metadata.values()):
        require(plain(text, 2_000) == text, f"{name}: text is plain and short", text)
    for url in (match.page_url, match.image_url, match.thumbnail_url):
        good = url == "" or url.startswith(("http://", "https://"))
        require(good, f"{name}: an address is http(s) or empty", url)
    if match.similarity is not None:
        inside = 0.0 <= match.similarity <= 1.0
        require(inside, f"{name}: a similarity is 0..1 or None", match.similarity)
    texts = (match.title, match.text, match.page_url, match.image_url)
    require(any(texts) or match.image_id is not None, f"{name}: it says something", match)


def _check_threads(provider: Provider, timeout_s: float) -> None:
    case = _Case("four at once", sample_subject(url=_ADDRESS), Lookup(5, timeout_s))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: _found(provider, case), range(4)))
    first = results[0]
    for other in results[1:]:
        same = (other.outcome, other.matches) == (first.outcome, first.matches)
        require(same, "four at once get the same answer", (first.outcome, other.outcome))


def _file(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()
