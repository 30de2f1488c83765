"""What a server needs to answer questions: models that stay open, and what was asked.

Layer: server.
"""

from __future__ import annotations

import collections
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.answerers import ANSWERERS, Answerer, answerer_of
from relook.app.asking import (
    Asking,
    for_sheet,
    make_answerer,
    needs_library,
    open_asker,
    subject_of,
)
from relook.core.errors import AccessError, InputError, NotFoundError, RelookError
from relook.core.images import read_bytes
from relook.core.untrusted import limits_at
from relook.providers import PROVIDERS, Subject
from relook.rag.ask import Asker
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence
from relook.server.models_ask import AskBody
from relook.server.screenshots import Screenshots
from relook.server.settings import ServerSettings, is_loopback
from relook.server.shelf import Shelf, Volume
from relook.server.work import Pool

__all__ = ["Asked", "Asks"]

_N_KEPT = 32
_MAX_KEPT_BYTES = 256 * 1024**2
_STAY_HERE = ("evidence-only", "hf")
_N_WORKERS, _N_WAITING, _TIMEOUT_S = 4, 16, 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered, to ask again with other evidence struck out.

    Args:
        subject: Its picture.
        evidence: What was found, with nothing struck.
    """

    subject: Subject
    evidence: Evidence


class Asks:
    """Answers questions for one server.

    Args:
        shelf: The libraries.
        settings: Which models and providers requests may name.
        asking: Defaults of a question.
    """

    def __init__(
        self, shelf: Shelf, settings: ServerSettings, asking: Asking | None = None
    ) -> None:
        self._shelf, self.asking = shelf, asking or Asking()
        ask = self.asking.ask
        self.models = tuple(dict.fromkeys([ask.model, "evidence-only", *settings.ask_models]))
        self.providers = tuple(dict.fromkeys([*ask.providers, "library", *settings.ask_providers]))
        self.may_allow_upload = is_loopback(settings.host)
        self.screenshots = Screenshots()
        self.pool = Pool("ask", _N_WORKERS, _N_WAITING, _TIMEOUT_S)
        self._answerers: dict[str, Answerer] = {}
        self._kept: collections.OrderedDict[str, Asked] = collections.OrderedDict()
        self._lock = threading.Lock()

    def choices(self) -> dict[str, Any]:
        """What requests may name."""
        known = PROVIDERS.adapters()
        rows = [
            {"name": name, "summary": known[name.partition(":")[0]].summary,
             "remote": name.partition(":")[0] not in ("library", "replay")}
            for name in self.providers
            if name.partition(":")[0] in known
        ]  # fmt: skip
        return {
            "providers": rows,
            "models": list(self.models),
            "hosts": {model: host for model in self.models if (host := self._host(model))},
            "default_model": self.asking.ask.model,
            "default_providers": list(self.asking.ask.providers),
            "may_allow_upload": self.may_allow_upload,
            "consent": sorted(Consent().given()),
        }

    def config(self, body: AskBody) -> Asking:
        """The settings that a request asks with.

        Raises:
            AccessError: `not_offered` for a model or provider that this server does not offer,
                `no_consent_here` when consent would have to come from the server's person.
        """
        self._check(body.model, self.models, "model")
        for name in body.providers or ():
            self._check(name, self.providers, "provider")
        if body.allow_upload and not self.may_allow_upload:
            raise AccessError(
                "no_consent_here",
                "this server can be reached by others, so a request cannot agree to uploads",
                "on the server's machine run: relook ask PICTURE --provider NAME --allow-upload",
            )
        said: dict[str, Any] = {
            "model": body.model, "when": body.when, "form": body.form, "compare": body.compare,
            "providers": None if body.providers is None else tuple(body.providers),
        }  # fmt: skip
        said = {key: value for key, value in said.items() if value is not None}
        return for_sheet(replace(self.asking, ask=replace(self.asking.ask, **said)))

    def volume(self, library_id: str | None) -> Volume:
        """The library that a request names, or the first one."""
        return next(iter(self._shelf)) if library_id is None else self._shelf.get(library_id)

    def subject(self, body: AskBody, config: Asking) -> Asked:
        """The picture that a request asks about; addresses are fetched as for a stranger.

        Raises:
            NotFoundError, InputError, AccessError, FetchError, ImageError: when it cannot be had.
        """
        if body.ask_id is not None:
            return self._again(body.ask_id)
        if body.url is not None:
            return Asked(subject_of(_web(body.url), None, config.web), Evidence())
        volume = self.volume(body.library_id)
        if body.image_id is not None:
            return Asked(subject_of(body.image_id, volume.library, config.web), Evidence())
        path = volume.pictures.path(str(body.picture))
        return Asked(_upload(path), Evidence())

    @contextmanager
    def asker(self, body: AskBody, config: Asking) -> Iterator[Asker]:
        """What answers a request."""
        looks_up = body.ask_id is None
        needs = looks_up and needs_library(config)
        with open_asker(
            config,
            library=self.volume(body.library_id).library if needs else None,
            model=self._answerer(config.ask.model),
            providers=None if looks_up else {},
            allow_upload=body.allow_upload,
        ) as asker:
            yield asker

    def keep(self, subject: Subject, evidence: Evidence) -> str:
        """Remembers an answered question for a while; returns its id."""
        ask_id = uuid.uuid4().hex
        with self._lock:
            self._kept[ask_id] = Asked(subject, evidence.clear(*(one.number for one in evidence)))
            while len(self._kept) > 1 and (
                len(self._kept) > _N_KEPT
                or sum(len(one.subject.data) for one in self._kept.values()) > _MAX_KEPT_BYTES
            ):
                self._kept.popitem(last=False)
        return ask_id

    def close(self) -> None:
        """Waits for what runs and closes the models; closing twice is fine."""
        self.pool.close()
        with self._lock:
            for answerer in self._answerers.values():
                answerer.close()
            self._answerers.clear()

    def _again(self, ask_id: str) -> Asked:
        with self._lock:
            if ask_id not in self._kept:
                raise NotFoundError(
                    "no_ask", f"no answer {ask_id!r} is remembered", "ask about the picture again"
                )
            self._kept.move_to_end(ask_id)
            return self._kept[ask_id]

    def _host(self, model: str) -> str:
        """Who would get the picture when this model is asked; empty when it stays here."""
        if answerer_of(model, ANSWERERS.adapters())[0] in _STAY_HERE:
            return ""
        try:
            answerer = self._answerer(model)
        except RelookError:  # asking with it says why it cannot be used, and sends nothing
            return ""
        return answerer.host if answerer.third_party else ""

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
                f"start it with --ask-{kind} NAME; it offers: {', '.join(offered)}",
            )


def _upload(path: Path) -> Subject:
    return Subject.of(read_bytes(path), name="an upload", limits=limits_at(path))


def _web(url: str) -> str:
    """An address, and never a file of the server."""
    if not url.lower().startswith(("http://", "https://")):
        raise InputError("bad_url", f"{url[:100]!r} is no http(s) address", "upload a file instead")
    return url
