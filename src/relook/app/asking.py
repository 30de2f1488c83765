"""`relook.ask`: a picture and a question in, an answer with evidence out. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from relook.answerers import ANSWERERS, Answerer, answerer_of
from relook.app.finder import least_similarity, library_finder
from relook.core import sources
from relook.core.errors import ImageError, InputError, NotFoundError
from relook.core.images import read_bytes
from relook.core.secret import Secret
from relook.core.settings import (
    AskSettings,
    EvidenceSettings,
    GatherSettings,
    ModelSettings,
    WebLimits,
)
from relook.core.untrusted import limits_at
from relook.providers import PROVIDERS, Provider, Subject
from relook.rag.answer import Answer
from relook.rag.ask import Asker, Hear
from relook.rag.cache import ResultCache
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence
from relook.rag.fetch import subject_at
from relook.rag.gather import Gatherer
from relook.rag.prompt import PromptTexts

if TYPE_CHECKING:
    from relook.app.facade import Library

__all__ = [
    "AskOptions", "Asking", "ask", "edited", "for_sheet", "make_answerer", "make_provider",
    "needs_library", "open_asker",
    "subject_of",
]  # fmt: skip

Picture = str | os.PathLike[str] | bytes | int


class AskOptions(TypedDict, total=False):
    """What `ask` may be told besides picture and question.

    Args:
        library: A library or its folder, for the provider `library` and for image ids.
        providers: Names of providers, or providers by name.
        model: `gpt-4o`, `openai:MODEL@URL`, `hf:FOLDER`, `evidence-only`, or an answerer.
        when: `always`, `never` or `auto`.
        compare: Whether the answer without evidence comes with it.
        form: `text`, `sheet` or `screenshot`.
        evidence: Found before; then nothing is looked up.
        strike, pin: Numbers of evidence that the model does not see, or sees first.
        allow_upload: Whether every service that is named here may get a picture of this
            machine, for this question.
        hear: Hears of each stage.
        config: Every setting at once; what is said above wins.
    """

    library: Library | str | os.PathLike[str] | None
    providers: Sequence[str] | Mapping[str, Provider]
    model: str | Answerer
    when: str
    compare: bool
    form: str
    evidence: Evidence | None
    strike: Sequence[int]
    pin: Sequence[int]
    allow_upload: bool
    hear: Hear | None
    config: Asking


@dataclass(frozen=True, slots=True)
class Asking:
    """Every setting of a question.

    Args:
        ask: Whether and how evidence is used.
        model: How a model is asked.
        gather: How providers are asked.
        evidence: What becomes of matches.
        web: What fetching addresses may cost.
        texts: The prompt's sentences.
    """

    ask: AskSettings = field(default_factory=AskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    gather: GatherSettings = field(default_factory=GatherSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    web: WebLimits = field(default_factory=WebLimits)
    texts: PromptTexts = field(default_factory=PromptTexts)


def ask(picture: Picture, question: str = "", **options: Unpack[AskOptions]) -> Answer:
    """Answers a question about a picture with evidence about it.

        answer = relook.ask("square.jpg", "Where is this?", library="photos.relook")
        print(answer.text, answer.citations)
        answer.evidence.items[0].match.title

    Without a model it tells what the evidence agrees on. Nothing leaves this machine unless
    a provider or a model elsewhere is named; a picture of this machine goes there only with
    `allow_upload=True`, or after `relook ask --allow-upload`, which is remembered.

    Args:
        picture: A file, an http(s) address, the bytes of a file, or an image id of `library`.
        question: What the picture shows is asked when it is empty.
        options: See `AskOptions`.

    Raises:
        ImageError, FetchError: when the picture cannot be had.
        NotFoundError: `unknown_provider`, `unknown_answerer`, `no_evidence`, `no_image`.
        AccessError: `upload_not_allowed`. AnswerError: when a model was asked and gave none.
    """
    config = _config(options)
    with ExitStack() as stack:
        # With evidence at hand nobody is asked, so nothing has to be there to be asked.
        given = options.get("evidence") is not None
        named = () if given else options.get("providers", config.ask.providers)
        needs_one = "library" in named and config.ask.when != "never"
        library = _library(options.get("library"), needs_one, stack)
        # Whoever runs this may read their own network; pages found by providers may not.
        subject = subject_of(picture, library, replace(config.web, private_ok=True))
        asker = stack.enter_context(
            open_asker(
                config,
                library=library,
                model=options.get("model"),
                providers=named,
                allow_upload=options.get("allow_upload", False),
            )
        )
        return asker.ask(
            subject,
            question,
            evidence=options.get("evidence"),
            edit=edited(options.get("strike", ()), options.get("pin", ())),
            hear=options.get("hear"),
        )


@contextmanager
def open_asker(
    config: Asking | None = None,
    *,
    library: Library | None = None,
    model: str | Answerer | None = None,
    providers: Sequence[str] | Mapping[str, Provider] | None = None,
    allow_upload: bool = False,
    remember: bool = False,
    cache: ResultCache | None = None,
    consent: Consent | None = None,
) -> Iterator[Asker]:
    """Everything that one or many questions need, closed together.

    Args:
        config: Every setting.
        library: As for `ask`, but open.
        model: As for `ask`; an answerer that is given stays open.
        providers: As for `ask`; those that are given stay open.
        allow_upload: As for `ask`.
        remember: Whether `allow_upload` also counts from now on.
        cache: Where providers' answers are recorded; the per-user folder when None.
        consent: Whose agreements count; the person's remembered ones, and `allow_upload`,
            when None.

    Raises:
        NotFoundError: `unknown_provider` or `unknown_answerer`.
    """
    config = config or Asking()
    named = config.ask.providers if providers is None else providers
    chosen = config.ask.model if model is None else model
    with ExitStack() as stack:
        answerer = chosen
        if isinstance(answerer, str):
            answerer = stack.enter_context(closing(make_answerer(answerer, config.model)))
        found: Mapping[str, Provider] = {}
        if config.ask.when != "never":
            found = named if isinstance(named, Mapping) else _opened(named, library, config, stack)
        if consent is None:
            consent = Consent(once=_services(answerer, found.values()) if allow_upload else ())
        if allow_upload and remember:
            for service in consent.once - consent.given().keys():
                consent.allow(service)
        age_s = config.gather.cache_age_s
        gatherer = Gatherer(
            found,
            settings=config.gather,
            evidence=config.evidence,
            web=config.web,
            cache=cache or (ResultCache(max_age_s=age_s) if age_s else None),
            consent=consent,
        )
        yield Asker(
            answerer, gatherer, settings=config.ask, texts=config.texts, trimmed=config.evidence,
            consent=consent,
        )  # fmt: skip


def make_provider(
    spec: str, library: Library | None = None, settings: EvidenceSettings | None = None
) -> Provider:
    """Opens a provider by name; `replay:FILE` names its recording.

    Args:
        spec: What was typed.
        library: For the provider `library`.
        settings: Whether small pictures come with its pictures, and how alike they have to be.

    Raises:
        NotFoundError: `unknown_provider`.
        InputError: `no_library_given` for the library's without one; what the provider raises.
        MissingExtraError: when a package it needs is not installed.
    """
    name, colon, option = spec.partition(":")
    make = PROVIDERS.load(name)
    if name == "library":
        if library is None:
            raise InputError(
                "no_library_given", "the provider 'library' needs a library",
                "name one with --library, or another --provider",
            )  # fmt: skip
        settings = settings or EvidenceSettings()
        least = least_similarity(library.engine, settings.min_similarity)
        finder = library_finder(library.engine, thumbnails=settings.thumbnails)
        return make(finder, min_similarity=least)  # type: ignore[no-any-return]
    made: Provider = make(option) if colon else make()
    return made


def make_answerer(
    model: str, settings: ModelSettings | None = None, *, key: Secret | None = None
) -> Answerer:
    """Opens an answerer by what a person typed (`answerer_of`); `MODEL@URL` names its service.

    Args:
        model: What was typed.
        settings: How it is asked.
        key: Of its service; found in the environment or the keyring when None.

    Raises:
        NotFoundError: `unknown_answerer`; MissingExtraError: a package it needs is missing.
    """
    name, which = answerer_of(model, ANSWERERS.adapters())
    made: Answerer
    if name == "evidence-only":
        made = ANSWERERS.load(name)()
        return made
    settings = settings or ModelSettings()
    which, at, url = which.partition("@http")
    if at:
        settings = replace(settings, base_url=f"http{url}")
    made = ANSWERERS.load(name)(which, settings, **({"key": key} if key else {}))
    return made


def subject_of(picture: Picture, library: Library | None, web: WebLimits) -> Subject:
    """The picture that is asked about, from a file, an address, bytes or an image id.

    Raises:
        InputError, AccessError, FetchError, ImageError, NotFoundError: when it cannot be had.
    """
    if isinstance(picture, bytes):
        return Subject.of(picture, name="a picture")
    if isinstance(picture, int):
        if library is None:
            raise InputError("no_library_given", f"image {picture} is of no library", "name it")
        record = library.image(picture)
        return Subject.of(
            sources.read_bytes(record.facts.path, library.limits), image_id=picture,
            name=record.path.name, limits=limits_at(record.facts.path, library.limits),
        )  # fmt: skip
    named = os.fspath(picture)
    if "://" in named:
        return subject_at(named, web)
    path = Path(os.path.expanduser(named))
    if not os.path.lexists(path):
        raise NotFoundError("no_file", f"there is no {path}", "check the path")
    try:
        return Subject.of(read_bytes(path), name=path.name, limits=limits_at(path))
    except ImageError as error:
        raise ImageError(error.code, f"{path}: {error.message}", error.hint) from error


def edited(strike: Sequence[int], pin: Sequence[int]) -> Callable[[Evidence], Evidence] | None:
    """What takes struck items out of evidence and puts pinned ones first; None for neither."""
    if not strike and not pin:
        return None
    return lambda evidence: evidence.strike(*strike).pin(*pin)


def _config(options: AskOptions) -> Asking:
    config = options.get("config") or Asking()
    said: dict[str, Any] = {
        key: options[key] for key in ("when", "compare", "form") if key in options
    }
    return for_sheet(replace(config, ask=replace(config.ask, **said)))


def for_sheet(config: Asking) -> Asking:
    """The same settings, with the small pictures that a contact sheet is made of."""
    if config.ask.form != "sheet" or config.evidence.thumbnails:
        return config
    return replace(config, evidence=replace(config.evidence, thumbnails=True))


def needs_library(config: Asking) -> bool:
    """Whether the person's library is among the providers that will be asked."""
    return config.ask.when != "never" and "library" in config.ask.providers


def _library(
    given: Library | str | os.PathLike[str] | None, needs_one: bool, stack: ExitStack
) -> Library | None:
    from relook.app.facade import Library  # which imports this module

    if isinstance(given, Library) or (given is None and not needs_one):
        return given
    return stack.enter_context(Library(given))


def _opened(
    names: Sequence[str], library: Library | None, config: Asking, stack: ExitStack
) -> dict[str, Provider]:
    return {
        spec: stack.enter_context(closing(make_provider(spec, library, config.evidence)))
        for spec in dict.fromkeys(names)
    }


def _services(answerer: Answerer, providers: Iterable[Provider]) -> list[str]:
    """The names under which consent to these is kept."""
    named = [provider.name for provider in providers if provider.remote]
    return [*named, answerer.host] if answerer.third_party else named
