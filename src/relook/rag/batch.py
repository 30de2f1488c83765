"""Questions from a file, answered one after the other, resumable. Layer: rag."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from relook.core.converter import JsonValue
from relook.core.errors import InputError, RelookError, StorageError
from relook.core.json_form import Key
from relook.core.outputs import check_output, check_place, is_original
from relook.providers.base import Subject
from relook.rag.asker import Asker
from relook.rag.evidence import check_looked_up

SubjectOf = Callable[[str | int], Subject]
_SHAPE = 'each line looks like {"picture": "a.jpg", "question": "Where is this?", "id": "1"}'


@dataclass(frozen=True, slots=True)
class Question:
    """One line of a question file.

    Args:
        key: Its `id`, or the number of its line.
        picture: A file (relative to the question file), an address, or an image id.
        question: May be empty.
    """

    key: str
    picture: str | int
    question: str


@dataclass(frozen=True, slots=True)
class Failed(JsonValue):
    """A question that was not answered; running again tries it again."""

    key: Annotated[str, Key("id")]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Batch(JsonValue):
    """The outcome of a run.

    Args:
        n_answered: Questions answered in this run.
        n_before: Answered by an earlier one.
        failed: Not answered.
    """

    n_answered: int
    n_before: int
    failed: tuple[Failed, ...]


def read_questions(file: Path) -> list[Question]:
    """The questions of a JSONL file.

    Raises:
        InputError: `bad_questions` with the line that cannot be read, or two with one id.
    """
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("bad_questions", f"cannot read {file}: {error}", _SHAPE) from error
    questions: dict[str, Question] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = _question(json.loads(line), number, file.parent)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "bad_questions", f"line {number} of {file} is not a question: {error}", _SHAPE
            ) from error
        if question.key in questions:
            message = f"{file} has the id {question.key!r} twice"
            raise InputError("bad_questions", message, "rename one")
        questions[question.key] = question
    if not questions:
        raise InputError("bad_questions", f"{file} has no questions", _SHAPE)
    return list(questions.values())


def run_batch(
    asker: Asker,
    questions: Sequence[Question],
    out: Path,
    subject_of: SubjectOf,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Answers what is not answered yet, and adds each answer to a JSONL file at once.

    Args:
        asker: What answers.
        questions: All of them.
        out: Where answers go: their JSON form with `id` and `picture`.
        subject_of: Opens a picture.
        progress: Called with questions done and questions in all.

    Raises:
        InputError: `bad_journal`, also when an answer there is to another question.
        StorageError: when the disk refuses.
    """
    failed: list[Failed] = []
    with Journal(out, lambda row: str(row["id"])) as journal:
        for question in questions:
            _check_same(question, journal.rows.get(question.key), out)
        n_before = sum(question.key in journal for question in questions)
        for done, question in enumerate(questions):
            if progress:
                progress(done, len(questions))
            if question.key in journal:
                continue
            try:
                answer = asker.ask(
                    subject_of(question.picture), question.question, edit=check_looked_up
                )
            except StorageError:
                raise  # the next one would meet the same full disk
            except RelookError as error:
                failed.append(Failed(question.key, error.code, str(error)))
                continue
            journal.add({"id": question.key, "picture": question.picture, **answer.as_dict()})
        n_now = sum(question.key in journal for question in questions) - n_before
    return Batch(n_now, n_before, tuple(failed))


def _question(row: Any, number: int, folder: Path) -> Question:
    if not isinstance(row, dict):
        raise TypeError("it is not a JSON object")
    if "picture" not in row:
        raise ValueError("it has no picture")
    picture = row["picture"]
    if isinstance(picture, bool) or not isinstance(picture, (str, int)) or picture == "":
        raise ValueError(f"the picture is {picture!r}")
    if isinstance(picture, str) and "://" not in picture:
        picture = str(folder / picture)
    return Question(str(row.get("id", number)), picture, str(row.get("question", "")))


def _check_same(question: Question, row: Mapping[str, Any] | None, out: Path) -> None:
    expected = (question.question, question.picture)
    if row is not None and (row.get("question"), row.get("picture")) != expected:
        raise InputError(
            "bad_journal",
            f"{out} answers another question under the id {question.key!r}",
            "name another file to write to, or remove that one",
        )


class Journal:
    """A JSONL file that long work can be stopped at and resumed from.

    One JSON object a line, each with a key; a line that a kill cut short is dropped, and lines
    are only added. Use it as a context manager, or `close` it.

    Args:
        file: Where; made when it is not there.
        key_of: The key of a line.

    Raises:
        InputError: `bad_journal` when it holds lines of another kind.
        StorageError: `not_written`.
    """

    def __init__(self, file: Path, key_of: Callable[[Mapping[str, Any]], str]) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        whole = 0
        check_place(file)
        if file.is_file() and is_original(file):
            check_output(file)
        try:
            data = file.read_bytes() if file.exists() else b""
        except OSError as error:
            raise InputError(
                "bad_journal", f"cannot read {file}: {error}", "name a file"
            ) from error
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            if not line.endswith(b"\n") and line.startswith(b"{"):
                break
            try:
                row = json.loads(line)
                self.rows[key_of(row)] = row
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    "bad_journal", f"line {number} of {file} was not written by this command",
                    "name another file to write to, or remove that one",
                ) from error  # fmt: skip
            whole += len(line)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._open = file.open("ab")
            self._open.truncate(whole)
        except OSError as error:
            raise self._refused(error) from error
        self._key_of = key_of

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a line; it is on the disk when this returns.

        Raises:
            StorageError: `not_written`.
        """
        try:
            self._open.write(json.dumps(row).encode() + b"\n")
            self._open.flush()
            os.fsync(self._open.fileno())
        except OSError as error:
            raise self._refused(error) from error
        self.rows[self._key_of(row)] = dict(row)

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        self._open.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            "not_written", f"{self.file} cannot be written: {error.strerror or error}",
            "name a file in a folder that can be written to",
        )  # fmt: skip
