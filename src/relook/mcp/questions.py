"""Questions about pictures as agents put them: what may be asked, and who agreed. Layer: mcp.

An agent chooses among the models and providers that a person offered when the server was
started, and can agree to nothing: without `--allow-upload` no picture leaves the machine,
whatever was agreed to elsewhere before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from relook.answerers import Answerer
from relook.app.asking import Asking, edited, for_sheet, make_answerer, needs_library, open_asker
from relook.core.errors import AccessError
from relook.mcp.settings import McpSettings
from relook.providers import Subject
from relook.rag.answer import Answer
from relook.rag.ask import Asker, Hear
from relook.rag.consent import Consent
from relook.server.shelf import Volume
from relook.server.work import Pool

__all__ = ["Asked", "Questions"]

_N_WORKERS, _N_WAITING, _TIMEOUT_S = 2, 16, 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """How one question is asked; None leaves it to the configuration.

    Args:
        question: What the picture shows is asked when it is empty.
        providers: Names of providers.
        model: What answers.
        when: `always`, `never` or `auto`.
        compare: Whether the answer without evidence comes with it.
        strike, pin: Numbers of evidence that the model does not see, or sees first.
    """

    question: str = ""
    providers: tuple[str, ...] | None = None
    model: str | None = None
    when: str | None = None
    compare: bool | None = None
    strike: tuple[int, ...] = field(default=())
    pin: tuple[int, ...] = field(default=())


class Questions:
    """Answers the questions of one server.

    Args:
        settings: Which models and providers agents may name.
        asking: Defaults of a question.
        allow_upload: Whether the person agreed to uploads when the server was started.
    """

    def __init__(
        self, settings: McpSettings, asking: Asking | None = None, allow_upload: bool = False
    ) -> None:
        self.asking, self.allow_upload = asking or Asking(), allow_upload
        ask = self.asking.ask
        self.models = tuple(dict.fromkeys([ask.model, "evidence-only", *settings.ask_models]))
        self.providers = tuple(dict.fromkeys([*ask.providers, "library", *settings.ask_providers]))
        self.pool = Pool("question", _N_WORKERS, _N_WAITING, _TIMEOUT_S)
        self._answerers: dict[str, Answerer] = {}
        self._lock = threading.Lock()

    def answer(self, volume: Volume, subject: Subject, asked: Asked, hear: Hear) -> Answer:
        """The answer to one question about a picture.

        Raises:
            AccessError: `not_offered` for a model or provider that was not offered;
                `upload_not_allowed` when the model is elsewhere and nobody agreed.
            AnswerError: when a model was asked and gave none.
        """
        config = self._config(asked)
        with self._asker(volume, config) as asker:
            try:
                return asker.ask(
                    subject, asked.question, edit=edited(asked.strike, asked.pin), hear=hear
                )
            except AccessError as error:
                if error.code != "upload_not_allowed":
                    raise
                hint = "only a person can agree, by starting it with: relook mcp --allow-upload"
                raise AccessError(error.code, error.message, hint) from error

    def close(self) -> None:
        """Waits for what runs and closes the models; closing twice is fine."""
        self.pool.close()
        with self._lock:
            for answerer in self._answerers.values():
                answerer.close()
            self._answerers.clear()

    def _config(self, asked: Asked) -> Asking:
        self._check(asked.model, self.models, "model")
        for name in asked.providers or ():
            self._check(name, self.providers, "provider")
        said: dict[str, Any] = {
            "model": asked.model, "when": asked.when, "compare": asked.compare,
            "providers": asked.providers,
        }  # fmt: skip
        said = {key: value for key, value in said.items() if value is not None}
        asking = replace(self.asking, ask=replace(self.asking.ask, **said))
        if not self.allow_upload:  # a recorded match may name a page; reading it tells its owner
            asking = replace(asking, evidence=replace(asking.evidence, pages=0))
        return for_sheet(asking)

    @contextmanager
    def _asker(self, volume: Volume, config: Asking) -> Iterator[Asker]:
        with open_asker(
            config,
            library=volume.library if needs_library(config) else None,
            model=self._answerer(config.ask.model),
            allow_upload=self.allow_upload,
            consent=None if self.allow_upload else _Nobody(),
        ) as asker:
            yield asker

    def _answerer(self, model: str) -> Answerer:
        """Models stay open: a client or its weights take longer to open than a question."""
        with self._lock:
            if model not in self._answerers:
                self._answerers[model] = make_answerer(model, self.asking.model)
            return self._answerers[model]

    def _check(self, name: str | None, offered: tuple[str, ...], kind: str) -> None:
        if name is not None and name not in offered:
            raise AccessError(
                "not_offered",
                f"this server does not offer the {kind} {name[:100]!r}",
                f"it offers: {', '.join(offered)}; a person adds one with: relook mcp --ask-{kind}"
                " NAME",
            )


class _Nobody(Consent):
    """Agrees to nothing: what a person agreed to for themselves is not for their agents."""

    def allows(self, provider: str) -> bool:
        return False

    def given(self) -> dict[str, str]:
        return {}
