"""One service for questions about pictures, for the command line, HTTP and MCP. Layer: serving.

It keeps models open, checks what may be asked with and who agreed to uploads, and remembers
answers for a while so that they can be asked again with other evidence struck out. It knows no
request and no response.
"""

import collections
import enum
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from relook.answerers import ANSWERERS, Answerer, answerer_of
from relook.answerers import DEFAULT as NO_MODEL
from relook.app.asking import AskedLibrary, Asking, edited, make_answerer, open_asker
from relook.core.converter import JsonValue
from relook.core.errors import AccessError, NotFoundError, RelookError
from relook.core.json_form import Between, JsonShape, Key, Longest, Shortest
from relook.providers import DEFAULT as OWN_LIBRARY
from relook.providers import PROVIDERS, Subject
from relook.rag.answer import Answer
from relook.rag.asker import Asker, Hear
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence

Name = Annotated[str, Shortest(1), Longest(300)]
When = Literal["always", "never", "auto", "decide"]
Numbers = Annotated[Sequence[Annotated[int, Between(1, 999)]], Longest(100)]

_N_KEPT, _MAX_KEPT_BYTES = 32, 256 * 1024**2


class Uploads(enum.Enum):
    """Who agrees that a picture of this machine goes to a service elsewhere."""

    NOBODY = "nobody"
    """Nobody, whatever a person agreed to before: for agents. No page is read either."""
    PERSON = "person"
    """The person, before and for each service; a question cannot agree."""
    QUESTION = "question"
    """The person before, or a question for itself: for callers on the person's machine."""
    ALLOWED = "allowed"
    """The person, when the service was started, to all that it offers."""
    REMEMBERED = "remembered"
    """As `ALLOWED`, and from now on."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question; None leaves a setting to the configuration.

    Args:
        text: What the picture shows is asked when it is empty.
        providers: Names of providers.
        model: What answers.
        when: `always`, `never`, `auto` or `decide`.
        form: `text`, `sheet`, `screenshot` or `names`.
        compare: Whether the answer without evidence comes with it.
        strike, pin: Numbers of evidence that the model does not see, or sees first.
        allow_upload: Whether the services named here may get a picture of this machine, this
            once; only on a server that no other machine can reach.
    """

    text: Annotated[str, Key("question"), Longest(2000)] = ""
    providers: Annotated[Sequence[Name], Longest(8)] | None = None
    model: Name | None = None
    when: When | None = None
    form: Literal["text", "sheet", "screenshot", "names"] | None = None
    compare: bool | None = None
    strike: Numbers = ()
    pin: Numbers = ()
    allow_upload: bool = False


@dataclass(frozen=True, slots=True)
class Choice(JsonValue):
    """A provider that questions may name.

    Args:
        name: What to name it by.
        summary: What it is.
        remote: Whether asking it sends something to a third party.
    """

    json_shape: ClassVar = JsonShape(name="AskChoice")

    name: str
    summary: str
    remote: bool


@dataclass(frozen=True, slots=True)
class Choices(JsonValue):
    """What this server may be asked with.

    Args:
        providers: What may look a picture up.
        models: What may answer.
        hosts: For a model elsewhere: who would get the picture, the question and the evidence.
            Models that are not named stay on this machine, or cannot be used.
        default_model: Asked where none is named.
        default_providers: Asked where none is named.
        may_allow_upload: Whether a question may agree to uploads for itself.
        consent: Services that were agreed to before.
    """

    json_shape: ClassVar = JsonShape(name="AskChoices")

    providers: tuple[Choice, ...]
    models: tuple[str, ...]
    hosts: Mapping[str, str]
    default_model: str
    default_providers: tuple[str, ...]
    may_allow_upload: bool
    consent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """The picture of an answered question, its answer, and whose it is."""

    subject: Subject
    answer: Answer
    owner: str = ""

    @property
    def evidence(self) -> Evidence:
        """Its evidence with nothing struck."""
        evidence = self.answer.evidence
        return evidence.clear(*(item.number for item in evidence))


class Questions:
    """Answers questions with the models and providers that it offers.

    Args:
        asking: Defaults of a question.
        uploads: Who agrees to uploads.
        models, providers: What questions may name besides the defaults; anything when None.
    """

    def __init__(
        self,
        asking: Asking | None = None,
        uploads: Uploads = Uploads.PERSON,
        models: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        self.asking, self.uploads = asking or Asking(), uploads
        self._offered = {
            "model": _offered((self.asking.ask.model, NO_MODEL), models),
            "provider": _offered((*self.asking.ask.providers, OWN_LIBRARY), providers),
        }
        self._answerers: dict[str, Answerer] = {}
        self._kept: collections.OrderedDict[str, KeptQuestion] = collections.OrderedDict()
        self._lock = threading.Lock()

    def asks_elsewhere(self, question: Question) -> bool:
        """Whether a question may be answered by more than the person's own library."""
        asking = self.configured(question).ask
        return asking.model != NO_MODEL or any(name != OWN_LIBRARY for name in asking.providers)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that questions may name."""
        return self._offered["model"] or ()

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that questions may name."""
        return self._offered["provider"] or ()

    def choices(self) -> Choices:
        """What questions may name, and which of it sends something elsewhere."""
        return Choices(
            providers=tuple(_choice(name) for name in self.providers if _is_known(name)),
            models=self.models,
            hosts={model: host for model in self.models if (host := self._host(model))},
            default_model=self.asking.ask.model,
            default_providers=self.asking.ask.providers,
            may_allow_upload=self.uploads is Uploads.QUESTION,
            consent=tuple(sorted(Consent().given())),
        )

    def configured(self, question: Question) -> Asking:
        """The settings that a question is asked with.

        Raises:
            AccessError: `not_offered` for a model or provider that is not offered;
                `no_consent_here` when the question agrees to uploads and may not.
        """
        for kind, names in (("model", [question.model]), ("provider", question.providers or ())):
            for name in names:
                self._check_offered(kind, name)
        if question.allow_upload and self.uploads is not Uploads.QUESTION:
            raise no_consent_here()
        named = None if question.providers is None else tuple(question.providers)
        ask = {
            "model": question.model, "providers": named, "when": question.when,
            "form": question.form, "compare": question.compare,
        }  # fmt: skip
        # A recorded match may name a page, and reading the page tells its owner.
        pages = 0 if self.uploads is Uploads.NOBODY else None
        return self.asking.with_(ask=ask, evidence={"pages": pages})

    def answer(
        self,
        question: Question,
        subject: Subject,
        library: AskedLibrary | None = None,
        evidence: Evidence | None = None,
        hear: Hear | None = None,
    ) -> Answer:
        """Answers one question about a picture.

        Args:
            question: What is asked, and with what.
            subject: The picture.
            library: For the provider that needs one.
            evidence: Of an earlier answer; looked up when None.
            hear: Called with each stage.

        Raises:
            AccessError: as `configured`; `upload_not_allowed` when the model is elsewhere and
                nobody agreed.
            AnswerError: when a model was asked and gave none.
        """
        looks_up = evidence is None
        with self.asker(question, library, looks_up=looks_up) as asker:
            edit = edited(question.strike, question.pin)
            return asker.ask(subject, question.text, evidence=evidence, edit=edit, hear=hear)

    @contextmanager
    def asker(
        self,
        question: Question | None = None,
        library: AskedLibrary | None = None,
        *,
        looks_up: bool = True,
    ) -> Iterator[Asker]:
        """What answers many questions with the settings of one.

        Args:
            question: Whose settings; the defaults when None.
            library: For the provider that needs one.
            looks_up: Whether providers are opened.
        """
        question = question or Question()
        asking = self.configured(question)
        allowed = self.uploads in (Uploads.ALLOWED, Uploads.REMEMBERED)
        with open_asker(
            asking,
            library=library,
            model=self._answerer(asking.ask.model),
            providers=None if looks_up else {},
            allow_upload=allowed or question.allow_upload,
            remember=self.uploads is Uploads.REMEMBERED,
            consent=_NoConsent() if self.uploads is Uploads.NOBODY else None,
        ) as asker:
            yield asker

    def keep(self, subject: Subject, answer: Answer, owner: str = "") -> str:
        """Remembers an answered question for a while, for its owner alone; returns its id."""
        ask_id = uuid.uuid4().hex
        with self._lock:
            self._kept[ask_id] = KeptQuestion(subject, answer, owner)
            while len(self._kept) > 1 and self._keeps_too_much():
                self._kept.popitem(last=False)
        return ask_id

    def kept(self, ask_id: str, owner: str = "") -> KeptQuestion:
        """A remembered question of its owner.

        Raises:
            NotFoundError: `no_ask`.
        """
        with self._lock:
            if ask_id not in self._kept or self._kept[ask_id].owner != owner:
                raise NotFoundError(
                    "no_ask", f"no answer {ask_id!r} is remembered", "ask about the picture again"
                )
            self._kept.move_to_end(ask_id)
            return self._kept[ask_id]

    def close(self) -> None:
        """Closes the models; closing twice is fine."""
        with self._lock:
            for answerer in self._answerers.values():
                answerer.close()
            self._answerers.clear()

    def _keeps_too_much(self) -> bool:
        n_bytes = sum(len(kept.subject.data) for kept in self._kept.values())
        return len(self._kept) > _N_KEPT or n_bytes > _MAX_KEPT_BYTES

    def _check_offered(self, kind: str, name: str | None) -> None:
        offered = self._offered[kind]
        if name is not None and offered is not None and name not in offered:
            raise AccessError(
                "not_offered",
                f"this server does not offer the {kind} {name[:100]!r}",
                f"it offers: {', '.join(offered)}; start it with --ask-{kind} NAME to add one",
            )

    def _answerer(self, model: str) -> Answerer:
        """Models stay open: a client or its weights take longer to open than a question."""
        with self._lock:
            if model not in self._answerers:
                self._answerers[model] = make_answerer(model, self.asking.model)
            return self._answerers[model]

    def _host(self, model: str) -> str:
        """Who would get the picture when this model is asked; empty when it stays here."""
        name, _ = answerer_of(model, ANSWERERS.adapters())
        try:
            if not ANSWERERS.fact(name, "remote", True):
                return ""
            answerer = self._answerer(model)
        except RelookError:  # asking with it raises the same and sends nothing
            return ""
        return answerer.host if answerer.third_party else ""


def no_consent_here() -> AccessError:
    """Of a question that agrees to an upload, from somebody who may sit at another machine."""
    return AccessError(
        "no_consent_here",
        "this server can be reached by others, so a request cannot agree to uploads",
        "on the server's machine run: relook ask PICTURE --provider NAME --allow-upload",
    )


class _NoConsent(Consent):
    """Agrees to nothing: what a person agreed to for themselves is not for their agents."""

    def allows(self, provider: str) -> bool:
        return False

    def given(self) -> dict[str, str]:
        return {}


def _offered(defaults: Sequence[str], more: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if more is None else tuple(dict.fromkeys([*defaults, *more]))


def _is_known(provider: str) -> bool:
    return provider.partition(":")[0] in PROVIDERS


def _choice(provider: str) -> Choice:
    name = provider.partition(":")[0]
    remote = bool(PROVIDERS.fact(name, "remote", True))
    return Choice(provider, PROVIDERS.adapters()[name].summary, remote)
