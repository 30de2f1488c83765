"""Measures of answers, logs that cannot be read, and what one log fixes and breaks of another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relook.bench.answer_log import categories_of, parse_record, read_log, with_categories
from relook.bench.answers import (
    MEASURES,
    bench_answers,
    is_accepted,
    is_in_prediction,
    stated_number,
)
from relook.core.errors import InputError

COUNTRY = {"question": "Which country?", "answer": ["Germany"], "answer_eval": ["Germany", "DE"]}
DAYS = {"question": "How many days?", "answer": ["65.0-67.0"],
        "answer_eval": [{"wikidata": 66.0, "range": [65.0, 67.0]}]}  # fmt: skip
SNAKE = {"question": "What is the binomial name of the snake?", "answer": "Elaphe taeniura"}


def record(row: dict[str, Any], pred: str | None, **more: Any) -> Any:
    return parse_record({**row, "pred": pred, **more})


def write(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("60 to 70 days.\n\nAVERAGE: 65 days", 65.0),
        ("AVERAGE: Approximately 1,915.5 grams (1 to 3 kg)", 1915.5),
        ("average 3, AVERAGE: 4.5", 4.5),
        ("AVERAGE: unknown", None),
        ("It is 176 meters (577 feet) long.", 176.0),
        ("between 10 and 12", None),
        ("-12 degrees", -12.0),
        ("The B52 has none", None),
        ("", None),
    ],
)
def test_the_number_an_answer_settles_on(text: str, number: float | None) -> None:
    assert stated_number(text) == number


def test_the_papers_measure_is_a_substring_and_ours_needs_whole_words() -> None:
    assert is_in_prediction(record({**COUNTRY, "answer": ["85"], "answer_eval": []}, "in 1985"))
    assert not is_accepted(record({**COUNTRY, "answer": ["85"], "answer_eval": []}, "in 1985"))
    assert is_in_prediction(record(COUNTRY, "EAST GERMANY"))
    assert is_accepted(record(COUNTRY, "it is germany."))
    assert is_accepted(record(COUNTRY, "Country code DE."))
    assert not is_accepted(record(COUNTRY, "Cote de Nuits, a model"))  # a short name keeps its case


@pytest.mark.parametrize(
    ("text", "right"), [("AVERAGE: 65", True), ("AVERAGE: 67", True), ("AVERAGE: 67.1", False)]
)
def test_a_number_is_right_inside_its_range_edges_included(text: str, right: bool) -> None:
    assert MEASURES["number_in_range"](record(DAYS, text)) is right
    assert MEASURES["number_in_range"](record(COUNTRY, text)) is None


@pytest.mark.parametrize(
    ("text", "binomial", "genus"),
    [
        ("elaphe Taeniura\n", True, True),
        ("Elaphe quatuorlineata", False, True),
        ("The snake is Elaphe taeniura", False, False),
        ("", False, False),
    ],
)
def test_binomial_and_genus(text: str, binomial: bool, genus: bool) -> None:
    one = record(SNAKE, text)
    assert (MEASURES["binomial_em"](one), MEASURES["genus_em"](one)) == (binomial, genus)
    assert MEASURES["binomial_em"](record(COUNTRY, text)) is None


@pytest.mark.parametrize(
    ("text", "binomial", "genus"),
    [
        ("The snake is ELAPHE taeniura.", True, True),
        ("Perhaps an Elaphe", False, True),
        ("Pantherophis taeniura", False, False),
        ("", False, False),
    ],
)
def test_binomial_and_genus_are_recalled_where_they_occur(
    text: str, binomial: bool, genus: bool
) -> None:
    recalled = record(SNAKE, text)
    assert MEASURES["binomial_recall"](recalled) is binomial
    assert MEASURES["genus_recall"](recalled) is genus
    assert MEASURES["genus_recall"](record(COUNTRY, text)) is None


def test_a_report_counts_and_says_null_where_a_measure_does_not_apply(tmp_path: Path) -> None:
    rows = [
        {**COUNTRY, "idx": 0, "pred": "Germany", "judge_correct": True},
        {**COUNTRY, "idx": 1, "pred": None, "judge_text": "No."},
        {**DAYS, "idx": 2, "pred": "AVERAGE: 66", "judge_correct": False},
    ]
    told = bench_answers(read_log([write(tmp_path / "log.json", rows)])).as_dict()
    assert (told["n"], told["n_empty"]) == (3, 1)
    assert told["answer_in_prediction"] == 0.3333
    assert told["accepted_answer"] == 0.6667
    assert told["judge_accuracy"] == 0.3333
    assert told["number_in_range"] == 1.0
    assert (told["binomial_em"], told["genus_em"]) == (None, None)
    assert (told["fixed"], told["broken"], told["compared"]) == (None, None, {})
    # Two of three agree; chance is 2/3 * 1/3 + 1/3 * 2/3 = 4/9.
    assert told["judge_agreement"]["accepted_answer"] == {"share": 0.6667, "kappa": 0.4}


def test_two_logs_are_paired_by_key_whatever_their_order() -> None:
    texts = {0: ("sorry", "Germany"), 1: ("Germany", "France"), 2: ("Germany", "Germany"),
             3: ("France", "Germany")}  # fmt: skip
    against = [record(COUNTRY, old, idx=key) for key, (old, _) in texts.items()]
    log = [record(COUNTRY, new, idx=key) for key, (_, new) in reversed(texts.items())]
    report = bench_answers(log, against)
    told = report.as_dict()
    assert (told["fixed"], told["broken"]) == (2, 1)
    one = told["compared"]["answer_in_prediction"]
    assert (one["n"], one["against"], one["log"], one["best"]) == (4, 0.5, 0.75, 1.0)
    assert one["gain"]["mean"] == 0.25
    assert one["gain"]["low"] < 0 < one["gain"]["high"]
    # Only the first answer hedges: auto takes the other log's answer there and nowhere else.
    assert (one["auto"], told["looked_up"]) == (0.75, 0.25)


def test_categories_come_from_the_question_file(tmp_path: Path) -> None:
    building = {"data_id": "a", "image_id": "1.jpg", "question": "Which country?"}
    animal = {"data_id": "b", "image_id": "2.jpg", "question": "How many days?"}
    questions = {"building": [building], "animal": [animal]}
    known = categories_of(write(tmp_path / "questions.json", questions))
    log = [record(COUNTRY, "x", image_id="1.jpg"), record(DAYS, "x", data_id="b")]
    named = with_categories(log, known)
    assert [one.category for one in named] == ["building", "animal"]
    assert set(bench_answers(named, log).as_dict()["categories"]) == {"building", "animal"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{nope", "is not JSON"),
        ("3", "holds a int"),
        ("[]", "has no records"),
        ('[{"question": "q", "answer": "a"}]', "record 1 of .* has no 'pred'"),
        ('[{"question": "q", "pred": "p"}]', "has no 'answer'"),
        ('[{"question": "q", "answer": [], "pred": "p"}, 7]', "record 2 .* is a int"),
        ('[{"question": "q", "answer": [[1]], "pred": "p"}]', "its answer is"),
        ('[{"question": "q", "answer": "a", "pred": ["p"]}]', "its pred is a list"),
        ('[{"question": "q", "answer": "a", "pred": "", "judge_correct": 1}]',
         "judge_correct is 1"),
        ('[{"question": "q", "answer": "a", "pred": "", "answer_eval": [{"range": [2, 1]}]}]',
         "range is"),
        ('[{"question": "q", "answer": "a", "pred": ""}, {"question": "q", "answer": "a", "pred": '
         '""}]', "twice"),
        ('{"question": "q", "answer": "a", "pred": ""}\n{"question"', "nor is line 2"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_read_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "log.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_log([file])
    assert caught.value.code == "bad_answer_log"


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            read_log([path])


def test_jsonl_lists_of_lists_and_parts_are_read_alike(tmp_path: Path) -> None:
    rows = [{**COUNTRY, "idx": n, "pred": "Germany"} for n in range(4)]
    lines = tmp_path / "log.jsonl"
    lines.write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    grouped = write(tmp_path / "grouped.json", {"a": rows[:2], "b": rows[2:]})
    parts = [write(tmp_path / "1.json", rows[:1]), write(tmp_path / "2.json", rows[1:])]
    wanted = read_log([write(tmp_path / "log.json", rows)])
    assert read_log([lines]) == read_log([grouped]) == read_log(parts) == wanted
    assert len(wanted) == 4


def test_logs_of_other_questions_are_refused() -> None:
    one = record(COUNTRY, "Germany", idx=1)
    with pytest.raises(InputError, match="share no question"):
        bench_answers([one], [record(COUNTRY, "Germany", idx=2)])
    with pytest.raises(InputError, match="asks 'Which country"):
        bench_answers([one], [replace(one, question="Which county?")])
