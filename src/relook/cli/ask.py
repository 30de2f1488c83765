"""`relook ask` and `relook consent`. Layer: cli. Defaults of the options are the settings'."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relook.app.configured import config_of
from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.options import JsonOption, LibraryOption, help_sentence
from relook.cli.output import clean_lines, print_json, print_table, progress_bar, written_file
from relook.cli.print_answer import Stages, print_answer
from relook.core.errors import InputError, counted
from relook.core.outputs import PAGE, check_output
from relook.core.progress import Progress
from relook.core.settings import AskSettings, EvidenceSettings, GatherSettings, ModelSettings

if TYPE_CHECKING:
    from relook.app.asking import AskedLibrary, Asking
    from relook.core.config_file import Config
    from relook.providers import Subject
    from relook.rag.answer import Answer
    from relook.rag.evidence import Evidence
    from relook.serving.questions import Questions

_ID = "id:"


ProviderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", "-p", metavar="NAME",
        help="What looks the picture up; repeat for several (relook doctor lists them).",
    ),
]  # fmt: skip
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", envvar="RELOOK_MODEL",
        help="gpt-4o, openai:MODEL@URL, hf:FOLDER, or evidence-only (no model; the default).",
    ),
]  # fmt: skip
BaseUrlOption = Annotated[str | None, typer.Option(help=help_sentence(ModelSettings, "base_url"))]
WhenOption = Annotated[
    str | None,
    typer.Option(help=help_sentence(AskSettings, "when"), metavar="always|never|auto|decide"),
]
FormOption = Annotated[
    str | None,
    typer.Option(help=help_sentence(AskSettings, "form"), metavar="text|sheet|screenshot|names"),
]
UploadOption = Annotated[
    bool,
    typer.Option(
        "--allow-upload",
        help="Services named here may get pictures of this machine; remembered once one answers.",
    ),
]
PromptOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file with other sentences of the prompt.")
]
PictureArgument = Annotated[
    str | None, typer.Argument(metavar="PICTURE", help="A file, an address, or id:NUMBER.")
]
QuestionArgument = Annotated[str, typer.Argument(metavar="QUESTION")]
CompareOption = Annotated[
    bool | None, typer.Option("--compare", help=help_sentence(AskSettings, "compare"))
]
StrikeOption = Annotated[
    str, typer.Option(metavar="2,3", help="Evidence that the model does not see.")
]
PinOption = Annotated[str, typer.Option(metavar="1", help="Evidence that it sees first.")]
EvidenceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Nothing is looked up: what an earlier --json output found, or saved screenshots.",
    ),
]
PagesOption = Annotated[int | None, typer.Option(help=help_sentence(EvidenceSettings, "pages"))]
TimeoutOption = Annotated[
    float | None, typer.Option(help=help_sentence(GatherSettings, "timeout_s"))
]
BudgetOption = Annotated[
    float | None, typer.Option(help=help_sentence(GatherSettings, "budget_usd"))
]
MaxTokensOption = Annotated[
    int | None, typer.Option(help=help_sentence(ModelSettings, "max_tokens"))
]
ModelTimeoutOption = Annotated[
    float | None, typer.Option(help=help_sentence(ModelSettings, "timeout_s"))
]
StreamOption = Annotated[
    bool | None, typer.Option("--stream/--no-stream", help=help_sentence(ModelSettings, "stream"))
]
ReportOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", help="Also write everything as one page that stands alone."),
]
ThinkingOption = Annotated[
    bool, typer.Option("--thinking", help="Show what the model thought before it answered.")
]
BatchOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Questions as JSONL, instead of one.")
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where a batch's answers go, as JSONL.")
]


def ask(
    picture: PictureArgument = None,
    question: QuestionArgument = "",
    library: LibraryOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    when: WhenOption = None,
    compare: CompareOption = None,
    form: FormOption = None,
    strike: StrikeOption = "",
    pin: PinOption = "",
    evidence: EvidenceOption = None,
    allow_upload: UploadOption = False,
    pages: PagesOption = None,
    timeout: TimeoutOption = None,
    budget: BudgetOption = None,
    max_tokens: MaxTokensOption = None,
    model_timeout: ModelTimeoutOption = None,
    stream: StreamOption = None,
    thinking: ThinkingOption = False,
    report: ReportOption = None,
    prompt: PromptOption = None,
    batch: BatchOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question about a picture; similar pictures and their pages become evidence.

    Exit codes: 0 answered with what was found; 1 failed (also when no provider answered, or the
    model wrote nothing); 4 nothing was found; 5 blocked; 6 no provider could be asked; 3 of a
    batch, some questions were not answered.
    """
    from relook.serving.questions import Questions, Uploads

    _check_given(picture, batch, out, report)
    if batch is not None and evidence is not None:
        provider = [*(provider or ()), saved_spec(evidence)]
    of_model = {"base_url": base_url, "max_tokens": max_tokens, "timeout_s": model_timeout,
                "stream": stream}  # fmt: skip
    asking = asking_of(
        config, prompt,
        ask={"when": when, "compare": compare, "form": form, "model": model,
             "providers": tuple(provider) if provider else None},
        model=of_model,
        gather={"timeout_s": timeout, "budget_usd": budget},
        evidence={"pages": pages, "thumbnails": True if report else None},
    )  # fmt: skip
    _heard_by_model(asking, {"compare": compare, "thinking": thinking or None, **of_model})
    order = _Order(picture, question, strike, pin, evidence, thinking, report, as_json)
    with ExitStack() as stack:
        needed = order.by_id or (evidence is None and asking.needs_library)
        lib = stack.enter_context(open_library(library, config)) if needed else None
        uploads = Uploads.REMEMBERED if allow_upload else Uploads.PERSON
        questions = stack.enter_context(closing(Questions(asking, uploads)))
        if batch is not None and out is not None:
            _answer_batch(questions, lib, (batch, out), as_json)
        else:
            _answer_one(questions, lib, asking, order)


def _check_given(
    picture: str | None, batch: Path | None, out: Path | None, report: Path | None
) -> None:
    if (picture is None) == (batch is None) or (batch is None) != (out is None):
        raise typer.BadParameter("give a PICTURE, or --batch FILE with --out FILE")
    if report is not None:
        check_output(report, PAGE)


def _heard_by_model(asking: Asking, options: Mapping[str, object]) -> None:
    """Refuses what is for a model where none answers.

    Raises:
        BadParameter: when one of the options was given.
    """
    if asking.ask.model != AskSettings().model:
        return
    for name in (name for name, value in options.items() if value is not None):
        option = "model-timeout" if name == "timeout_s" else name.replace("_", "-")
        raise typer.BadParameter(f"--{option} does nothing without --model")


@dataclass(frozen=True)
class _Order:
    """What one question is about, and how its answer is told: options of `ask`."""

    picture: str | None
    question: str
    strike: str
    pin: str
    evidence: Path | None
    thinking: bool
    report: Path | None
    as_json: bool

    @property
    def by_id(self) -> bool:
        """Whether a library is needed to know the pictures."""
        return self.picture is None or self.picture.startswith(_ID)


def _answer_one(
    questions: Questions, lib: AskedLibrary | None, asking: Asking, order: _Order
) -> None:
    from relook.serving.questions import Question

    streams = sys.stdout.isatty() and not asking.ask.compare and not order.thinking
    stages = Stages(order.as_json, streams)
    struck, pinned = numbers(order.strike, "--strike"), numbers(order.pin, "--pin")
    subject = picture_of(str(order.picture), lib, asking)
    known = read_evidence(order.evidence, subject, asking) if order.evidence else None
    wanted = Question(order.question, strike=struck, pin=pinned)
    answer = questions.answer(wanted, subject, lib, known, stages)
    if order.report is not None:
        _write_report(order.report, answer, subject)
    if order.as_json:
        print_json(answer.as_dict())
    else:
        print_answer(answer, stages.streamed, order.thinking)
    if code := _exit_code(answer):
        raise typer.Exit(code)


def _write_report(file: Path, answer: Answer, subject: Subject) -> None:
    from relook.rag.answer_report import report_now

    page = report_now(answer, subject)
    with written_file(file, PAGE) as opened:
        opened.write(page.encode())


_EXIT_CODES = {"failed": 1, "nothing": 4, "blocked": 5, "not_asked": 6}


def _exit_code(answer: Answer) -> int:
    """Not 0 when the picture was to be looked up and nothing came of it, or no answer was written.

    "Nothing found", "blocked", "failed" and "not asked" differ, so that no script takes one for
    another.
    """
    if answer.written.finish == "empty" or not answer.text:
        return 1
    return _EXIT_CODES.get(answer.evidence.outcome.value, 0) if answer.evidence.results else 0


def _answer_batch(
    questions: Questions, library: AskedLibrary | None, files: tuple[Path, Path], as_json: bool
) -> None:
    from relook.rag.batch import read_questions, run_batch

    batch, out = read_questions(files[0]), files[1]

    def subject_of(picture: str | int) -> Subject:
        named = picture if isinstance(picture, str) else f"{_ID}{picture}"
        return picture_of(named, library, questions.asking)

    with questions.asker(library=library) as asker, progress_bar(as_json) as bar:
        progress = (lambda n, total: bar(Progress("asking", n, total))) if bar else None
        done = run_batch(asker, batch, out, subject_of, progress)
    if as_json:
        print_json(done.as_dict())
    else:
        before = f" ({done.n_before} were before)" if done.n_before else ""
        sys.stdout.write(f"{counted(done.n_answered, 'question')} answered{before}: {out}\n")
        for failed in done.failed:
            sys.stderr.write(clean_lines(f"not answered: {failed.key}: {failed.message}\n"))
    if done.failed:
        raise typer.Exit(3)


def asking_of(
    config: Config | None, prompt: Path | None = None, **overrides: dict[str, Any]
) -> Asking:
    """The settings of a question: flags over the configuration.

    Args:
        config: Of the command; what the environment and the user's file say when None.
        prompt: File with other sentences of the prompt.
        overrides: What flags say, as for `Asking.with_`.

    Raises:
        InputError: `bad_prompt` for a file of sentences that cannot be read.
    """
    from relook.app.asking import Asking
    from relook.rag.prompt import read_texts

    asking = Asking.of(config or config_of(None)).with_(**overrides)
    return replace(asking, texts=read_texts(prompt)) if prompt else asking


def picture_of(named: str, library: AskedLibrary | None, asking: Asking) -> Subject:
    """The picture that a person names: a file, an address, or `id:NUMBER`."""
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


def saved_spec(folder: Path) -> str:
    """The provider that finds each picture's saved screenshots in a folder.

    Raises:
        typer.BadParameter: when it is a file, which holds the evidence of one picture.
    """
    if not folder.is_dir():
        raise typer.BadParameter(
            f"{folder} is no folder; for many questions name one with saved screenshots",
            param_hint="--evidence",
        )
    return f"saved:{folder}"


def read_evidence(file: Path, subject: Subject, asking: Asking) -> Evidence:
    """The evidence of an earlier answer, from what `--json` printed, or of a folder.

    Raises:
        InputError: `bad_evidence`; `no_saved_evidence` for a folder without any.
    """
    from relook.app.asking import saved_evidence
    from relook.rag.evidence import Evidence

    if file.is_dir():
        return saved_evidence(file, subject, asking)
    try:
        values = json.loads(file.read_text("utf-8"))
        return Evidence.from_dict(values.get("evidence", values))
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

    agreements = Consent()
    for service in revoke or []:
        if not agreements.revoke(service):
            raise InputError(
                "no_consent", f"{service!r} may not get pictures anyway", "see relook consent"
            )
    given = agreements.given()
    if as_json:
        print_json({"consent": given, "file": str(agreements.file)})
    elif given:
        print_table(["service", "since"], list(given.items()))
    else:
        sys.stdout.write("no service may get pictures of this machine\n")
