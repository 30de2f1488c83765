"""A question file end to end: look up, answer, judge; resumable. Layer: bench.

Answers go to a JSONL file in the paper's record format, which `relook bench answers` reads.

Source: github.com/mi92/reverse-image-rag, branch `paper`, `use_case` of `query_with_image`, for
what each of the paper's runs shows a model. The sentences of its entity and decide runs are not
published; those here are ours.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from relook.bench.answer_log import AnswerRecord, parse_record, read_json
from relook.bench.answers import Judge, StringJudge
from relook.core.converter import JsonValue
from relook.core.errors import AnswerError, InputError, RelookError, StorageError
from relook.core.json_form import SHOWN
from relook.providers.base import ProviderResult, Subject
from relook.rag.answer import Answer, Written
from relook.rag.asker import Asker
from relook.rag.batch import Journal
from relook.rag.evidence import Evidence, check_looked_up
from relook.rag.prompt import EVERYTHING, PromptTexts, Shows

_NOT_LOOKED_UP, _NOTHING_FOUND, REGULAR = "not_looked_up", "nothing_found", "regular"
_WHAT = "What does the picture show?"
# What is asked about where neither a provider nor the model gets the picture.
_NO_PICTURE = Subject(b"", "", "", 0, 0, 0, name="no picture")
_PICTURE_KEYS = ("picture", "image", "image_id", "image_path", "url")
_NAMED = "each line is an entity_id, a tab and a name"
_SNAKE = "What is the binomial name of the snake in the image? Give the binomial name only."
_NUMBERS = (
    " When the question asks for a quantity, end with a line of its own: AVERAGE: and your best "
    "single number in the unit that was asked for."
)
_SHAPE = (
    'it is a JSON list, JSONL, or {category: [...]} of {"picture": ..., "question": ..., '
    '"answer": ...}; the paper\'s files do as they are'
)
SubjectOf = Callable[[str], Subject]


@dataclass(frozen=True, slots=True)
class BenchQuestion:
    """A question with its right answers.

    Args:
        idx: Position in the file, from 0.
        picture: Where its picture is.
        question: What is asked.
        facts: The file's own keys, which the log repeats.
    """

    idx: int
    picture: str
    question: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AskRun(JsonValue):
    """What a run did.

    A question whose every look-up failed is not answered: its answer would say nothing of
    retrieval.

    Args:
        run: A name of `RUNS`.
        n_answered: In this run.
        n_before: By an earlier one.
        failed: `idx`, code and message of those that were not answered; a later run tries
            them again.
        n_with_evidence: Answers, of this and earlier ones, that were given evidence.
        n_partly_looked_up: Answers for which a provider, but not every one, failed.
        looked_up: Answers by how looking up ended: `found`, `nothing`, `not_asked`.
    """

    run: str
    n_answered: int
    n_before: int
    failed: tuple[Mapping[str, Any], ...]
    n_with_evidence: int = 0
    n_partly_looked_up: int = 0
    looked_up: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_not_looked_up(self) -> Annotated[int, SHOWN]:
        """Questions among `failed` whose every look-up failed."""
        return sum(failure["code"] == _NOT_LOOKED_UP for failure in self.failed)


@dataclass(frozen=True, slots=True)
class PaperRun:
    """One of the paper's experiments: what a model is shown of each question.

    Args:
        summary: One line for help texts.
        shows: What of the question it sees.
        when: Whether evidence is used; as the person says when empty.
        texts: Sentences that take the place of others.
        of_entity: Whether it is judged by the name of the thing, not by the question's answer.
    """

    summary: str
    shows: Shows = EVERYTHING
    when: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    of_entity: bool = False

    def applied_to(self, texts: PromptTexts) -> PromptTexts:
        """The sentences of a prompt, with those of this run."""
        return replace(texts, **self.texts)


_UNSEEN = {
    "sheet": "The picture shows the evidence: each field has a number, what kind of result it is, "
    "and its title.",
    "screenshot": "The picture is a screenshot of a page of search results. Its words are the "
    "evidence.",
}
RUNS: Mapping[str, PaperRun] = {
    REGULAR: PaperRun("picture, question and evidence"),
    "text-only": PaperRun("the question alone", Shows(picture=False, rules=False), "never"),
    "consistency": PaperRun(
        "evidence and question, without the picture", Shows(picture=False), "always", _UNSEEN
    ),
    "entity": PaperRun(
        "evidence alone: what does it show?",
        Shows(picture=False, question=False),
        "always",
        {
            **_UNSEEN,
            "system": "You get what a search for a picture found, and not the picture. Name the "
            "one thing that the picture shows, as exactly as you can. Reply with the name only.",
        },
        of_entity=True,
    ),
    "decide": PaperRun("the model says whether it wants evidence", when="decide"),
}
"""The runs of `relook bench ask --run`, by name."""


def of_entities(
    questions: Sequence[BenchQuestion], names: Mapping[str, Sequence[str]]
) -> list[BenchQuestion]:
    """The questions with the thing's names as their right answers.

    Args:
        questions: Those with `entity` (a name or several), `entity_id` or `binomial_name`.
        names: Names of things by `entity_id`.

    Raises:
        InputError: `no_entity` when the name of a thing is not known.
    """
    named = [_entity_names(question.facts, names) for question in questions]
    unknown = [question.idx for question, known in zip(questions, named, strict=True) if not known]
    if unknown:
        raise InputError(
            "no_entity",
            f"{len(unknown):,} of {len(questions):,} questions do not say what their picture shows,"
            f" number {unknown[0]} for one",
            'add "entity": NAME to them, or give --entities FILE, lines of entity_id, tab, name',
        )
    return [
        replace(
            question,
            question=_WHAT,
            facts={**question.facts, "answer": known, "answer_eval": known},
        )
        for question, known in zip(questions, named, strict=True)
    ]


def read_entities(file: Path) -> dict[str, list[str]]:
    """Names of things by id: lines of id, tab, name (several lines for several names).

    Raises:
        InputError: `bad_entities` with the line that cannot be read.
    """
    names: dict[str, list[str]] = {}
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("bad_entities", f"cannot read {file}: {error}", _NAMED) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entity_id, _, name = (part.strip() for part in line.partition("\t"))
        if not entity_id or not name:
            raise InputError(
                "bad_entities", f"line {number} of {file} is no id and name: {line!r}", _NAMED
            )
        names.setdefault(entity_id, []).append(name)
    return names


def _entity_names(facts: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> list[str]:
    own = facts.get("entity") or facts.get("binomial_name")
    if own:
        return [own] if isinstance(own, str) else list(own)
    return list(names.get(str(facts.get("entity_id")), ()))


def for_numbers(texts: PromptTexts) -> PromptTexts:
    """The sentences with the one that asks for a single number, which can then be judged."""
    return replace(texts, system=texts.system + _NUMBERS)


def read_bench_questions(file: Path, pictures: Path | None = None) -> list[BenchQuestion]:
    """Questions with answers: the paper's files, or a list of one's own.

    Args:
        file: See `_SHAPE`.
        pictures: Folder that the file's picture names are in; the file's own when None.

    Raises:
        InputError: `bad_questions` with what cannot be read.
    """
    folder = file.parent if pictures is None else pictures
    questions = []
    for idx, (category, row) in enumerate(read_json(file)):
        try:
            questions.append(_question(idx, category, row, folder))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "bad_questions", f"question {idx + 1} of {file} cannot be read: {error!r}", _SHAPE
            ) from error
    if not questions:
        raise InputError("bad_questions", f"{file} has no questions", _SHAPE)
    return questions


def bench_ask(
    asker: Asker,
    questions: Sequence[BenchQuestion],
    out: Path,
    subject_of: SubjectOf,
    judge: Judge | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    run: str = REGULAR,
) -> AskRun:
    """Answers and judges what is not in the log yet; each answer is on the disk at once.

    Args:
        asker: What answers, set up for the run.
        questions: All of them.
        out: The log, as JSONL.
        subject_of: Opens a picture.
        judge: Says what is right; by words when None.
        progress: Called with questions done and questions in all.
        run: A name of `RUNS`.

    Raises:
        InputError: `bad_journal`, also when the log is of other questions or of another run.
        StorageError: when the disk refuses.
    """
    judge, failed = judge or StringJudge(), []
    opened = subject_of if _needs_picture(asker) else lambda _: _NO_PICTURE
    with Journal(out, lambda row: str(row["idx"])) as journal:
        for question in questions:
            _check_same(question, run, journal.rows.get(str(question.idx)), out)
        n_before = sum(str(question.idx) in journal for question in questions)
        for done, question in enumerate(questions):
            if progress:
                progress(done, len(questions))
            if str(question.idx) in journal:
                continue
            try:
                row = _answered(asker, question, opened(question.picture), judge)
                journal.add({**row, "run": run})
            except StorageError:
                raise  # the next one would meet the same full disk
            except RelookError as error:
                failed.append({"idx": question.idx, "code": error.code, "message": str(error)})
        rows = [journal.rows.get(str(question.idx), {}) for question in questions]
    return AskRun(
        run, len(questions) - n_before - len(failed), n_before, tuple(failed),
        sum(bool(row.get("with_evidence")) for row in rows),
        sum(bool(row.get("lookups_failed")) for row in rows),
        dict(Counter(str(row["looked_up"]) for row in rows if "looked_up" in row)),
    )  # fmt: skip


def _needs_picture(asker: Asker) -> bool:
    return asker.shows.picture or asker.settings.when != "never"


def _asked(asker: Asker, question: BenchQuestion, subject: Subject) -> Answer:
    """The answer; no model is asked where every look-up failed, or where it would see nothing."""

    def check(evidence: Evidence) -> Evidence:
        check_looked_up(evidence)
        if not asker.shows.picture and not evidence.shown:
            raise AnswerError(_NOTHING_FOUND, "nothing was found", "ask another provider")
        return evidence

    try:
        return asker.ask(subject, question.question, edit=check)
    except AnswerError as error:
        if error.code != _NOTHING_FOUND:
            raise
        return Answer(question.question, Written(""), Evidence(), why=error.message)


def _answered(
    asker: Asker, question: BenchQuestion, subject: Subject, judge: Judge
) -> dict[str, Any]:
    """One record of the log."""
    answer = _asked(asker, question, subject)
    lost = _lost(answer.evidence.results)
    usage = answer.written.usage
    row = {
        **question.facts,
        "idx": question.idx,
        "question": question.question,
        "pred": answer.text,
        "model": answer.written.model or answer.answerer,
        "finish": answer.written.finish.value,
        "with_evidence": answer.with_evidence,
        "looked_up": answer.evidence.outcome.value,
        "decided": answer.decided,
        "why": answer.why,
        "picked": answer.written.picked,
        "citations": list(answer.citations),
        "invented": list(answer.written.invented),
        "evidence": [item.match.title or item.match.text for item in answer.evidence.shown],
        "lookups_failed": lost,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "took_s": round(answer.took_s, 3),
    }
    record: AnswerRecord = parse_record(row)
    verdict = judge.judge(record)
    judged = {"judge": judge.name, "judge_text": verdict.text, "judge_correct": verdict.correct}
    return {**row, **judged}


def _lost(results: Sequence[ProviderResult]) -> list[str]:
    """The providers that said nothing of a picture."""
    return [result.provider for result in results if not result.answered]


def _question(idx: int, category: str, row: Mapping[str, Any], folder: Path) -> BenchQuestion:
    facts = dict(row)
    if "binomial_name" in facts:  # SnakeCLEF's file asks all the same thing
        facts = {"answer": facts["binomial_name"], "question": _SNAKE, **facts}
    if category:
        facts.setdefault("category", category)
    named = next((facts[key] for key in _PICTURE_KEYS if facts.get(key)), None)
    if named is None:
        raise KeyError("picture")
    picture = str(named) if "://" in str(named) else str(folder / str(named))
    parse_record({**facts, "pred": ""})
    return BenchQuestion(idx, picture, str(facts["question"]), facts)


def _check_same(
    question: BenchQuestion, run: str, row: Mapping[str, Any] | None, out: Path
) -> None:
    if row is not None and row.get("run", REGULAR) != run:
        raise InputError(
            "bad_journal",
            f"{out} is of the run {row.get('run', REGULAR)}, not of {run}",
            "write each run to a file of its own",
        )
    if row is not None and row.get("question") != question.question:
        raise InputError(
            "bad_journal",
            f"{out} answers another question than number {question.idx}",
            "name another file to write to, or remove that one",
        )
