"""Reads logs of answered questions: the format of the Reverse Image RAG paper's records.

A log is a JSON list (or JSONL) of objects with `question`, `answer`, `pred`, and where known
`answer_eval`, `judge_correct`, `category`, `idx`, `data_id`, `observation_id`.
Layer: bench.

Source: the public records of arXiv 2405.18740; `answer_eval` is InfoSeek's (arXiv 2302.11713):
accepted names, or one object with the accepted `range` of a number.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.core.errors import InputError

_SHAPE = 'a log is a JSON list of {"question": ..., "answer": [...], "pred": ...}, or JSONL of them'


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One question with what should and what did come out.

    Args:
        key: What the same question is known by in another log.
        question: As it was asked.
        gold: The answers of the data set; never empty.
        accepted: Every name that is right; `gold` where the log lists no others.
        interval: Lowest and highest right number, for a question about a quantity.
        text: What was answered; empty when nothing was.
        correct: A judge's verdict, None without one.
        category: Kind of picture; empty when it is not known.
        is_binomial: Whether the answer is a species' two-part name.
        data_id, image: Ids of the data set; empty without.
    """

    key: str
    question: str
    gold: tuple[str, ...]
    accepted: tuple[str, ...]
    interval: tuple[float, float] | None
    text: str
    correct: bool | None = None
    category: str = ""
    is_binomial: bool = False
    data_id: str = ""
    image: str = ""


def read_log(files: Sequence[Path]) -> list[AnswerRecord]:
    """The records of one log; several files are its parts, one behind the other.

    Raises:
        InputError: `bad_answer_log` with the file and the record that cannot be read, when a
            question stands in it twice, or when there is none.
    """
    records = []
    for file in files:
        for number, (_, row) in enumerate(read_json(file), start=1):
            try:
                records.append(parse_record(row))
            except (KeyError, TypeError, ValueError) as error:
                why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                raise _bad(f"record {number} of {file} cannot be read: {why}") from error
    names = ", ".join(map(str, files))
    if not records:
        raise _bad(f"{names} has no records")
    seen: set[str] = set()
    for record in records:
        if record.key in seen:
            raise _bad(f"{names} answers the question {record.key} twice")
        seen.add(record.key)
    return records


def read_json(file: Path) -> list[tuple[str, Any]]:
    """The objects of a JSON list, of a JSON object of lists, or of JSONL.

    Returns:
        Each with the key of the list that it was in; empty for the other forms.

    Raises:
        InputError: `bad_answer_log`.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(f"cannot read {file}: {error}") from error
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [("", row) for row in _lines(file, text, error)]
    if isinstance(values, Mapping) and "question" in values:
        return [("", values)]  # JSONL of one line
    if isinstance(values, Mapping):
        listed = ((key, rows if _is_list(rows) else [rows]) for key, rows in values.items())
        return [(key, row) for key, rows in listed for row in rows]
    if not isinstance(values, list):
        raise _bad(f"{file} holds a {type(values).__name__}, not a list")
    return [("", row) for row in values]


def categories_of(file: Path) -> dict[str, str]:
    """What each question's picture shows, from a question file `{category: [question, ...]}`.

    Returns:
        Category by data id, and by picture and question for logs without one.

    Raises:
        InputError: `bad_answer_log` when it is no such file.
    """
    try:
        values = json.loads(file.read_text("utf-8-sig"))
        return {
            key: str(category)
            for category, rows in values.items()
            for row in rows
            for key in (str(row["data_id"]), _asked(str(row["image_id"]), str(row["question"])))
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            "bad_answer_log",
            f"{file} does not say which category a question has: {error!r}",
            'it looks like {"building": [{"data_id": ..., "image_id": ..., "question": ...}]}',
        ) from error


def with_categories(
    records: Sequence[AnswerRecord], categories: Mapping[str, str]
) -> list[AnswerRecord]:
    """The records with the categories of their questions; unknown ones stay as they are."""
    return [
        replace(
            record,
            category=categories.get(record.data_id)
            or categories.get(_asked(record.image, record.question))
            or record.category,
        )
        for record in records
    ]


def _lines(file: Path, text: str, error: Exception) -> list[Any]:
    """JSONL; `error` says why the text as a whole is not JSON."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError):
                where = f", nor is line {number}" if rows else ""
                raise _bad(f"{file} is not JSON ({error}){where}") from error
    return rows


def parse_record(row: Any) -> AnswerRecord:
    """One record of a log.

    Raises:
        KeyError, TypeError, ValueError: for what is missing or of the wrong kind.
    """
    if not isinstance(row, Mapping):
        raise TypeError(f"it is a {type(row).__name__}, not an object")
    question = str(row["question"])
    gold = tuple(_texts(row["answer"], "answer"))
    listed = row.get("answer_eval")
    interval = _interval(listed)
    names = _texts(listed, "answer_eval") if listed and interval is None else []
    return AnswerRecord(
        key=_key(row, question),
        question=question,
        gold=gold,
        accepted=tuple(dict.fromkeys([*gold, *names])),
        interval=interval,
        text=_answered(row["pred"]),
        correct=_verdict(row),
        category=str(row.get("category") or ""),
        is_binomial="binomial_em" in row or "binomial name" in question.lower(),
        data_id=str(row.get("data_id") or ""),
        image=_image(row),
    )


def _key(row: Mapping[str, Any], question: str) -> str:
    """Logs of one data set share the position or an id; a judged log may lack either."""
    for name in ("idx", "data_id", "observation_id"):
        if row.get(name) is not None:
            return f"{name} {row[name]}"
    return _asked(_image(row), question)


def _image(row: Mapping[str, Any]) -> str:
    return str(row.get("image_id") or row.get("image_path") or row.get("image") or "")


def _asked(image: str, question: str) -> str:
    return f"{image}\n{question}"


def _answered(pred: Any) -> str:
    if pred is None:  # what a service says for a refusal
        return ""
    if not isinstance(pred, str):
        raise TypeError(f"its pred is a {type(pred).__name__}, not text")
    return pred


def _texts(value: Any, name: str) -> list[str]:
    values = value if _is_list(value) else [value]
    kept = [str(text).strip() for text in values if isinstance(text, (str, int, float))]
    if len(kept) != len(values) or not all(kept):
        raise ValueError(f"its {name} is {value!r}, not text or a list of texts")
    return kept


def _interval(listed: Any) -> tuple[float, float] | None:
    first = listed[0] if _is_list(listed) and listed else listed
    if not isinstance(first, Mapping):
        return None
    low, high = (float(edge) for edge in first["range"])
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ValueError(f"its accepted range is {first['range']!r}")
    return low, high


def _verdict(row: Mapping[str, Any]) -> bool | None:
    judged = row.get("judge_correct")
    if judged is None and isinstance(row.get("judge_text"), str):
        verdict = row["judge_text"].strip().lower().rstrip(".")
        return {"yes": True, "no": False}.get(verdict)
    if judged is not None and not isinstance(judged, bool):
        raise TypeError(f"its judge_correct is {judged!r}, not true or false")
    return judged


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _bad(message: str) -> InputError:
    return InputError("bad_answer_log", message, _SHAPE)
