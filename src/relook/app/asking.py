"""Everything a question needs, put together: settings, providers, a model. Layer: app.

`Asking` is the one place where a question is configured and `open_asker` the one place where
its parts are opened. It imports no facade: what it needs of a library is `AskedLibrary`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypedDict

from relook.answerers import ANSWERERS, Answerer, answerer_of
from relook.app.finder import least_similarity, library_finder
from relook.core import sources
from relook.core.config_file import Config
from relook.core.errors import ImageError, InputError, NotFoundError
from relook.core.picture_paths import given_path
from relook.core.same_picture import can_compare
from relook.core.secret import Secret
from relook.core.settings import (
    AskSettings,
    EvidenceSettings,
    GatherSettings,
    ImageLimits,
    ModelSettings,
    WebLimits,
)
from relook.core.sources import limits_at, read_file
from relook.library.records import ImageRecord
from relook.providers import PROVIDERS, Provider, ProviderSettings, Subject, is_remote
from relook.providers.saved import SavedProvider
from relook.rag.answer import Answer
from relook.rag.asker import Asker, Hear
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence
from relook.rag.fetching import subject_at
from relook.rag.lookup import Gatherer
from relook.rag.prompt import EVERYTHING, PromptTexts, Shows
from relook.rag.provider_call import ResultCache
from relook.search.engine import Engine

Picture = str | os.PathLike[str] | bytes | int


class AskedLibrary(Protocol):
    """What a question needs of a `Library`."""

    limits: ImageLimits

    @property
    def engine(self) -> Engine: ...

    def image(self, image_id: int, /) -> ImageRecord: ...


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
        shows: What of a question the model sees.
    """

    ask: AskSettings = field(default_factory=AskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    gather: GatherSettings = field(default_factory=GatherSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    web: WebLimits = field(default_factory=WebLimits)
    texts: PromptTexts = field(default_factory=PromptTexts)
    shows: Shows = EVERYTHING

    @classmethod
    def of(cls, config: Config) -> Asking:
        """The settings of a configuration."""
        return cls(
            ask=config.settings(AskSettings),
            model=config.settings(ModelSettings),
            gather=config.settings(GatherSettings),
            evidence=config.settings(EvidenceSettings),
            texts=config.settings(PromptTexts),
        )

    def with_(self, **overrides: Mapping[str, Any]) -> Asking:
        """The same settings with some of them replaced.

            asking.with_(ask={"when": "auto"}, gather={"timeout_s": 5.0})

        Args:
            overrides: For each group of settings, values by name; None leaves a setting as it is.
        """
        groups = {
            group: replace(getattr(self, group), **_given(values))
            for group, values in overrides.items()
        }
        return replace(self, **groups)

    @property
    def needs_library(self) -> bool:
        """Whether the person's library is among the providers that will be asked."""
        return self.ask.when != "never" and any(map(_needs_library, self.ask.providers))

    @property
    def shown_evidence(self) -> EvidenceSettings:
        """What becomes of matches, with the small pictures that a contact sheet is made of."""
        wanted = self.evidence.thumbnails or self.ask.form == "sheet"
        return replace(self.evidence, thumbnails=wanted)


class AskOptions(TypedDict, total=False):
    """What `ask` takes besides picture and question.

    Args:
        library: A library or its folder, for the provider `library` and for image ids.
        providers: Names of providers, or providers by name.
        model: `gpt-4o`, `openai:MODEL@URL`, `hf:FOLDER`, `evidence-only`, or an answerer.
        when: `always`, `never`, `auto` or `decide`.
        compare: Whether the answer without evidence comes with it.
        form: `text`, `sheet` or `screenshot`.
        evidence: Of an earlier answer, or a folder of saved screenshots; then nothing is looked
            up.
        strike, pin: Numbers of evidence that the model does not see, or sees first.
        allow_upload: Whether every service that is named here may get a picture of this
            machine, for this question.
        hear: Called with each stage.
        config: Every setting at once; the options above win over it.
    """

    library: AskedLibrary | str | os.PathLike[str] | None
    providers: Sequence[str] | Mapping[str, Provider]
    model: str | Answerer
    when: str
    compare: bool
    form: str
    evidence: Evidence | str | os.PathLike[str] | None
    strike: Sequence[int]
    pin: Sequence[int]
    allow_upload: bool
    hear: Hear | None
    config: Asking


def answer(
    picture: Picture, question: str, library: AskedLibrary | None, options: AskOptions
) -> Answer:
    """Answers one question; see `relook.ask`.

    Args:
        picture: As for `relook.ask`.
        question: Likewise.
        library: Open; None when none is needed.
        options: All others; their `library` is not used.
    """
    asking, providers = _configured(options), _providers(options)
    # A person may read their own network; the pages that providers find may not be there.
    subject = subject_of(picture, library, replace(asking.web, private_ok=True))
    evidence = options.get("evidence")
    if isinstance(evidence, str | os.PathLike):
        evidence = saved_evidence(evidence, subject, asking)
    with open_asker(
        asking,
        library=library,
        model=options.get("model"),
        providers=providers,
        allow_upload=options.get("allow_upload", False),
    ) as asker:
        return asker.ask(
            subject,
            question,
            evidence=evidence,
            edit=edited(options.get("strike", ()), options.get("pin", ())),
            hear=options.get("hear"),
        )


def saved_evidence(
    folder: str | os.PathLike[str], subject: Subject, asking: Asking | None = None
) -> Evidence:
    """Evidence of the files that somebody saved for a picture; nothing is looked up.

    Args:
        folder: Where they are, see `relook.providers.saved`; a file that is named after no
            picture belongs to this one.
        subject: The picture.
        asking: Every setting.

    Raises:
        InputError: `no_saved_evidence` when there is none.
    """
    asking = asking or Asking()
    provider = SavedProvider(folder, only_named=False)
    how = asking.shown_evidence
    evidence = Gatherer({"saved": provider}, settings=asking.gather, evidence=how).gather(subject)
    (result,) = evidence.results
    if not evidence.items:
        raise InputError("no_saved_evidence", result.message, result.hint)
    return replace(evidence, notes=(*evidence.notes, *([result.message] if result.message else ())))


def wants_library(options: AskOptions) -> bool:
    """Whether a question looks into the person's library, named or not."""
    providers = _providers(options)
    if isinstance(providers, Mapping):  # they are open already
        return False
    return _configured(options).with_(ask={"providers": tuple(providers)}).needs_library


def _configured(options: AskOptions) -> Asking:
    overrides = {name: options.get(name) for name in ("when", "compare", "form")}
    return options.get("config", Asking()).with_(ask=overrides)


def _providers(options: AskOptions) -> Sequence[str] | Mapping[str, Provider]:
    """The providers to ask: none when there is evidence already."""
    if options.get("evidence") is not None:
        return ()
    return options.get("providers", options.get("config", Asking()).ask.providers)


@contextmanager
def open_asker(
    asking: Asking | None = None,
    *,
    library: AskedLibrary | None = None,
    model: str | Answerer | None = None,
    providers: Sequence[str] | Mapping[str, Provider] | None = None,
    allow_upload: bool = False,
    remember: bool = False,
    cache: ResultCache | None = None,
    consent: Consent | None = None,
) -> Iterator[Asker]:
    """Opens everything that one or many questions need, and closes it together.

    Args:
        asking: Every setting.
        library: As for `ask`, but open.
        model: As for `ask`; an answerer that is given stays open.
        providers: As for `ask`; those that are given stay open.
        allow_upload: As for `ask`.
        remember: Whether `allow_upload` also counts from now on, once a service answered.
        cache: Where providers' answers are recorded; the per-user folder when None.
        consent: Whose agreements count; the person's remembered ones, and `allow_upload`,
            when None.

    Raises:
        NotFoundError: `unknown_provider` or `unknown_answerer`.
    """
    asking = asking or Asking()
    evidence = asking.shown_evidence
    if providers is None:
        providers = asking.ask.providers
    with ExitStack() as stack:
        answerer = asking.ask.model if model is None else model
        if isinstance(answerer, str):
            answerer = stack.enter_context(closing(make_answerer(answerer, asking.model)))
        if asking.ask.when == "never":
            providers = {}
        elif not isinstance(providers, Mapping):
            providers = {
                name: stack.enter_context(closing(make_provider(name, library, evidence)))
                for name in dict.fromkeys(providers)
            }
        consent = consent or _consent(answerer, providers.values(), allow_upload, remember)
        age_s = asking.gather.cache_age_s
        gatherer = Gatherer(
            providers,
            settings=asking.gather,
            evidence=evidence,
            web=asking.web,
            cache=cache or (ResultCache(max_age_s=age_s) if age_s else None),
            consent=consent,
        )
        yield Asker(
            answerer, gatherer, settings=asking.ask, texts=asking.texts, trimmed=evidence,
            consent=consent, shows=asking.shows,
        )  # fmt: skip


def make_provider(
    spec: str, library: AskedLibrary | None = None, settings: EvidenceSettings | None = None
) -> Provider:
    """Opens a provider by name; `replay:FILE` names its recording.

    Args:
        spec: What was typed.
        library: For a provider that needs one.
        settings: Whether small pictures come with its pictures, and how alike they have to be.

    Raises:
        NotFoundError: `unknown_provider`.
        InputError: `no_library_given` for the library's without one; what the provider raises.
        MissingExtraError: when a package it needs is not installed.
    """
    name, _, rest = spec.partition(":")
    settings, surroundings = settings or EvidenceSettings(), ProviderSettings()
    if library is not None and "library" in PROVIDERS.fact(name, "needs", ()):
        least = least_similarity(library.engine, settings.min_similarity)
        finder = library_finder(
            library.engine,
            thumbnails=settings.thumbnails,
            verify=settings.verify and can_compare(),
        )
        surroundings = ProviderSettings(finder, least)
    provider: Provider = PROVIDERS.open(name, rest, surroundings)
    return provider


def make_answerer(
    model: str, settings: ModelSettings | None = None, *, key: Secret | None = None
) -> Answerer:
    """Opens an answerer by what a person typed (`answerer_of`); `MODEL@URL` names its service.

    Args:
        model: What was typed.
        settings: How it is asked.
        key: For an answerer that needs one; found in the environment or the keyring when None.

    Raises:
        NotFoundError: `unknown_answerer`; InputError: `no_model`; MissingExtraError: a package it
            needs is missing.
    """
    name, spec = answerer_of(model, ANSWERERS.adapters())
    takes_key = key is not None and "key" in ANSWERERS.fact(name, "needs", ())
    more = {"key": key} if takes_key else {}
    answerer: Answerer = ANSWERERS.open(name, spec, settings or ModelSettings(), **more)
    return answerer


def subject_of(picture: Picture, library: AskedLibrary | None, web: WebLimits) -> Subject:
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
    named = given_path(picture)
    if "://" in named:
        return subject_at(named, web)
    path = Path(named)
    if not os.path.lexists(path):
        raise NotFoundError("no_file", f"there is no {path}", "check the path")
    try:
        return Subject.of(read_file(path), name=path.name, limits=limits_at(path))
    except ImageError as error:
        raise ImageError(error.code, f"{path}: {error.message}", error.hint) from error


def edited(strike: Sequence[int], pin: Sequence[int]) -> Callable[[Evidence], Evidence] | None:
    """A function that strikes and pins items of evidence; None when there is nothing to do."""
    if not strike and not pin:
        return None
    return lambda evidence: evidence.strike(*strike).pin(*pin)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _needs_library(provider: str) -> bool:
    return "library" in PROVIDERS.fact(provider.partition(":")[0], "needs", ())


def _consent(
    answerer: Answerer, providers: Iterable[Provider], allow_upload: bool, remember: bool
) -> Consent:
    """The person's remembered agreements, and to the named services when they allow uploads."""
    if not allow_upload:
        return Consent()
    services = [provider.name for provider in providers if is_remote(provider)]
    if answerer.third_party:
        services.append(answerer.host)
    return Consent(once=services, remember=services if remember else ())
