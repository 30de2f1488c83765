"""A question file end to end: look up, answer, judge; resumable. Layer: bench.

Answers go to a JSONL file in the paper's record format, which `relook bench answers` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from relook.bench.answer_log import AnswerRecord, parse_record, read_json
from relook.bench.judge import Judge, StringJudge
from relook.core.converter import JsonValue
from relook.core.errors import AnswerError, InputError, RelookError, StorageError
from relook.core.json_form import SHOWN
from relook.providers.base import Outcome, ProviderResult, Subject
from relook.rag.asker import Asker
from relook.rag.batch import Journal
from relook.rag.prompt import PromptTexts

_NOT_LOOKED_UP = "not_looked_up"
_PICTURE_KEYS = ("picture", "image", "image_id", "image_path", "url")
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
        n_answered: In this run.
        n_before: By an earlier one.
        failed: `idx`, code and message of those that were not answered; a later run tries
            them again.
    """

    n_answered: int
    n_before: int
    failed: tuple[Mapping[str, Any], ...]

    @property
    def n_not_looked_up(self) -> Annotated[int, SHOWN]:
        """Questions among `failed` whose every look-up failed."""
        return sum(failure["code"] == _NOT_LOOKED_UP for failure in self.failed)


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
) -> AskRun:
    """Answers and judges what is not in the log yet; each answer is on the disk at once.

    Args:
        asker: What answers.
        questions: All of them.
        out: The log, as JSONL.
        subject_of: Opens a picture.
        judge: Says what is right; by words when None.
        progress: Called with questions done and questions in all.

    Raises:
        InputError: `bad_journal`, also when the log is of other questions.
        StorageError: when the disk refuses.
    """
    judge, failed = judge or StringJudge(), []
    with Journal(out, lambda row: str(row["idx"])) as journal:
        for question in questions:
            _check_same(question, journal.rows.get(str(question.idx)), out)
        n_before = sum(str(question.idx) in journal for question in questions)
        for done, question in enumerate(questions):
            if progress:
                progress(done, len(questions))
            if str(question.idx) in journal:
                continue
            try:
                journal.add(_answered(asker, question, subject_of, judge))
            except StorageError:
                raise  # the next one would meet the same full disk
            except RelookError as error:
                failed.append({"idx": question.idx, "code": error.code, "message": str(error)})
    return AskRun(len(questions) - n_before - len(failed), n_before, tuple(failed))


def _answered(
    asker: Asker, question: BenchQuestion, subject_of: SubjectOf, judge: Judge
) -> dict[str, Any]:
    """One record of the log."""
    answer = asker.ask(subject_of(question.picture), question.question)
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
    """The providers that said nothing of a picture.

    Raises:
        AnswerError: `not_looked_up` when all of them did.
    """
    lost = [result for result in results if result.outcome not in (Outcome.FOUND, Outcome.NOTHING)]
    if results and len(lost) == len(results):
        reasons = "; ".join(
            f"{result.provider}: {result.message or result.outcome.value}" for result in lost
        )
        raise AnswerError(_NOT_LOOKED_UP, f"the picture was not looked up: {reasons}", lost[0].hint)
    return [result.provider for result in lost]


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


def _check_same(question: BenchQuestion, row: Mapping[str, Any] | None, out: Path) -> None:
    if row is not None and row.get("question") != question.question:
        raise InputError(
            "bad_journal",
            f"{out} answers another question than number {question.idx}",
            "name another file to write to, or remove that one",
        )
