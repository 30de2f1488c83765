"""`relook ask` and `relook consent`. Layer: cli."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relook.cli import ask_options as options
from relook.cli.asked import Stages, print_answer
from relook.cli.configured import ConfigOption, config_of, open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import clean_lines, print_json, print_table, progress_bar
from relook.core.errors import InputError
from relook.core.settings import (
    AskSettings,
    EvidenceSettings,
    GatherSettings,
    ModelSettings,
    WebLimits,
)
from relook.library.report import Progress

if TYPE_CHECKING:
    from relook.app.asking import Asking
    from relook.app.facade import Library
    from relook.core.config_file import Config
    from relook.providers import Subject
    from relook.rag.ask import Asker
    from relook.rag.evidence import Evidence
    from relook.rag.prompt import PromptTexts

__all__ = ["ask", "asking_of", "consent", "numbers", "picture_of", "read_evidence"]

_ID = "id:"


def ask(
    picture: options.PictureArgument = None,
    question: options.QuestionArgument = "",
    library: LibraryOption = None,
    provider: options.ProviderOption = None,
    model: options.ModelOption = None,
    base_url: options.BaseUrlOption = None,
    when: options.WhenOption = None,
    compare: options.CompareOption = None,
    form: options.FormOption = None,
    strike: options.StrikeOption = "",
    pin: options.PinOption = "",
    evidence: options.EvidenceOption = None,
    allow_upload: options.UploadOption = False,
    pages: options.PagesOption = None,
    timeout: options.TimeoutOption = None,
    budget: options.BudgetOption = None,
    max_tokens: options.MaxTokensOption = None,
    model_timeout: options.ModelTimeoutOption = None,
    stream: options.StreamOption = None,
    prompt: options.PromptOption = None,
    batch: options.BatchOption = None,
    out: options.OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question about a picture; similar pictures and their pages become evidence."""
    if (picture is None) == (batch is None) or (batch is None) != (out is None):
        raise typer.BadParameter("give a PICTURE, or --batch FILE with --out FILE")
    asking = asking_of(
        config,
        ask={"when": when, "compare": compare, "form": form, "model": model,
             "providers": () if evidence else tuple(provider) if provider else None},
        model={"base_url": base_url, "max_tokens": max_tokens, "timeout_s": model_timeout,
               "stream": stream},
        gather={"timeout_s": timeout, "budget_usd": budget},
        evidence={"pages": pages},
        prompt=prompt,
    )  # fmt: skip
    if picture is None and batch is not None and out is not None:
        with _open(asking, library, config, True, allow_upload) as (lib, asker):
            _batch(asker, asking, lib, (batch, out), as_json)
        return
    asked = _One(str(picture), question, evidence, strike, pin)
    with _open(asking, library, config, asked.by_id, allow_upload) as (lib, asker):
        _ask_one(asker, asking, lib, asked, as_json)


@dataclass(frozen=True)
class _One:
    """One question as the flags say it."""

    picture: str
    question: str
    evidence: Path | None
    strike: str
    pin: str

    @property
    def by_id(self) -> bool:
        return self.picture.startswith(_ID)


@contextmanager
def _open(
    asking: Asking, library: Path | None, config: Config | None, with_ids: bool, upload: bool
) -> Iterator[tuple[Library | None, Asker]]:
    """The library, where one is needed, and what answers."""
    from relook.app.asking import needs_library, open_asker

    with ExitStack() as stack:
        lib = None
        if with_ids or needs_library(asking):
            lib = stack.enter_context(open_library(library, config))
        opened = open_asker(asking, library=lib, allow_upload=upload, remember=True)
        yield lib, stack.enter_context(opened)


def _ask_one(
    asker: Asker, asking: Asking, library: Library | None, asked: _One, as_json: bool
) -> None:
    from relook.app.asking import edited

    stages = Stages(as_json, sys.stdout.isatty() and not asking.ask.compare)
    answer = asker.ask(
        picture_of(asked.picture, library, asking),
        asked.question,
        evidence=read_evidence(asked.evidence) if asked.evidence else None,
        edit=edited(numbers(asked.strike, "--strike"), numbers(asked.pin, "--pin")),
        hear=stages,
    )
    if as_json:
        print_json(answer.as_dict())
    else:
        print_answer(answer, stages.streamed)


def _batch(
    asker: Asker, asking: Asking, library: Library | None, files: tuple[Path, Path], as_json: bool
) -> None:
    from relook.rag.batch import read_questions, run_batch

    questions, out = read_questions(files[0]), files[1]

    def subject_of(picture: str | int) -> Subject:
        named = picture if isinstance(picture, str) else f"{_ID}{picture}"
        return picture_of(named, library, asking)

    with progress_bar(as_json) as bar:
        told = (lambda n, total: bar(Progress("asking", n, total))) if bar else None
        done = run_batch(asker, questions, out, subject_of, told)
    if as_json:
        print_json(done.as_dict())
    else:
        before = f" ({done.n_before} were before)" if done.n_before else ""
        sys.stdout.write(f"{done.n_answered} questions answered{before}: {out}\n")
        for one in done.failed:
            sys.stderr.write(clean_lines(f"not answered: {one.key}: {one.message}\n"))
    if done.failed:
        raise typer.Exit(3)


def asking_of(
    config: Config | None,
    *,
    ask: dict[str, Any],
    model: dict[str, Any],
    gather: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
    prompt: Path | None = None,
) -> Asking:
    """The settings of a question: what flags say (None: nothing) over the configuration.

    Raises:
        InputError: `bad_prompt` for a file of sentences that cannot be read.
    """
    from relook.app.asking import Asking, for_sheet
    from relook.rag.prompt import PromptTexts, read_texts

    found = config or config_of(None)
    texts: PromptTexts = read_texts(prompt) if prompt else found.settings(PromptTexts)
    return for_sheet(
        Asking(
            ask=_over(found.settings(AskSettings), ask),
            model=_over(found.settings(ModelSettings), model),
            gather=_over(found.settings(GatherSettings), gather or {}),
            evidence=_over(found.settings(EvidenceSettings), evidence or {}),
            web=WebLimits(),
            texts=texts,
        )
    )


def _over(settings: Any, said: dict[str, Any]) -> Any:
    return replace(settings, **{key: value for key, value in said.items() if value is not None})


def picture_of(named: str, library: Library | None, asking: Asking) -> Subject:
    """The subject that a person names: a file, an address, or `id:NUMBER`."""
    from relook.app.asking import subject_of

    # Whoever runs a command may read their own network.
    web = replace(asking.web, private_ok=True)
    if not named.startswith(_ID):
        return subject_of(named, library, web)
    digits = named.removeprefix(_ID)
    if not digits.isdigit():
        raise InputError("bad_id", f"{named!r} is no image id", "write it as id:7")
    return subject_of(int(digits), library, web)


def numbers(text: str, flag: str) -> list[int]:
    """`2,3` as numbers.

    Raises:
        typer.BadParameter: when it is something else.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() for part in parts):
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 2,3", param_hint=flag)
    return [int(part) for part in parts]


def read_evidence(file: Path) -> Evidence:
    """The evidence of an earlier answer, from what `--json` printed.

    Raises:
        InputError: `bad_evidence`.
    """
    from relook.rag.evidence import Evidence

    try:
        found = json.loads(file.read_text("utf-8"))
        return Evidence.from_dict(found.get("evidence", found))
    except (OSError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "bad_evidence", f"cannot read evidence from {file}: {error}",
            "give what relook ask --json printed",
        ) from error  # fmt: skip


def consent(
    revoke: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE", help="Take one back. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Which services may get pictures of this machine (relook ask --allow-upload)."""
    from relook.rag.consent import Consent

    kept = Consent()
    for service in revoke or []:
        if not kept.revoke(service):
            raise InputError(
                "no_consent", f"{service!r} may not get pictures anyway", "see relook consent"
            )
    given = kept.given()
    if as_json:
        print_json({"consent": given, "file": str(kept.file)})
    elif given:
        print_table(["service", "since"], list(given.items()))
    else:
        sys.stdout.write("no service may get pictures of this machine\n")
