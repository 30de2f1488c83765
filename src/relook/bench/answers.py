"""How good answers are, and what one way of answering fixes and breaks of another's.

`answer_in_prediction` is the paper's measure, kept as it is so that its figures can be
reproduced: a gold answer occurs somewhere in the text, case aside (so "85" is in "1985").
`accepted_answer` is ours and stricter about words and kinder about names: any accepted name
as whole words, or a stated number inside the accepted range. Layer: bench.

Source: arXiv 2405.18740, its public code and records (branch `paper`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np

from relook.answerers.base import Answerer, Prompt
from relook.bench.answer_log import AnswerRecord
from relook.bench.measures import Interval, bootstrap
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import HIDDEN, INLINE, SHOWN, Digits
from relook.core.plain_text import inert
from relook.rag.answer_text import hedge_of

_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_AVERAGE = re.compile(r"\baverage\b\W*", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()]*\)")
_SHORT_NAME = 3
Measure = Callable[[AnswerRecord], bool | None]


def is_in_prediction(record: AnswerRecord) -> bool:
    """Whether a gold answer occurs in the text, case aside."""
    return any(answer.lower() in record.text.lower() for answer in record.gold)


def stated_number(text: str) -> float | None:
    """The number that an answer to a question about a quantity settles on.

    That behind the last "AVERAGE:", which the paper's prompt asks for; without that word the
    only number there is, what stands in brackets aside (other units).
    """
    *before, last = _AVERAGE.split(text)
    numbers = _NUMBER.findall(last if before else _BRACKETS.sub(" ", text))
    if not numbers or (not before and len(numbers) > 1):
        return None
    return float(numbers[0].replace(",", ""))


def is_in_range(record: AnswerRecord) -> bool | None:
    """Whether the stated number is in the accepted range; None for other questions."""
    if record.interval is None:
        return None
    number = stated_number(record.text)
    return number is not None and record.interval[0] <= number <= record.interval[1]


def is_accepted(record: AnswerRecord) -> bool:
    """Whether the text has an accepted name as whole words, or an accepted number."""
    in_range = is_in_range(record)
    if in_range is not None:
        return in_range
    return any(_has_words(record.text, name) for name in record.accepted)


def _has_words(text: str, name: str) -> bool:
    """Names of up to three characters ("DE", "it") count in their own case only."""
    flags = 0 if len(name) <= _SHORT_NAME else re.IGNORECASE
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, flags) is not None


def is_binomial(record: AnswerRecord) -> bool | None:
    """Whether the text is the species' name and nothing else; None for other questions."""
    if not record.is_binomial:
        return None
    name = record.text.strip().lower()
    return any(name == answer.lower() for answer in record.gold)


def is_genus(record: AnswerRecord) -> bool | None:
    """Whether the first word is the right genus; None for other questions."""
    if not record.is_binomial:
        return None
    genus = record.text.lower().split()[:1]
    return any(genus == answer.lower().split()[:1] for answer in record.gold)


def is_binomial_recalled(record: AnswerRecord) -> bool | None:
    """Whether the species' name occurs in the text, case aside; None for other questions."""
    return is_in_prediction(record) if record.is_binomial else None


def is_genus_recalled(record: AnswerRecord) -> bool | None:
    """Whether the right genus occurs in the text, case aside; None for other questions."""
    if not record.is_binomial:
        return None
    genera = (answer.lower().split()[0] for answer in record.gold)
    return any(genus in record.text.lower() for genus in genera)


MEASURES: Mapping[str, Measure] = {
    "answer_in_prediction": is_in_prediction,
    "accepted_answer": is_accepted,
    "number_in_range": is_in_range,
    "binomial_em": is_binomial,
    "genus_em": is_genus,
    "binomial_recall": is_binomial_recalled,
    "genus_recall": is_genus_recalled,
    "judge_accuracy": lambda record: record.correct,
}
"""Each says whether an answer is right, or None where it does not apply."""


@dataclass(frozen=True, slots=True)
class Comparison(JsonValue):
    """One measure of a log against another log's, on the questions that both answer.

    Args:
        n: Questions that both answer and the measure applies to.
        against, log: Share that is right in the one compared with, and in the log.
        fixed, broken: Wrong there and right here; right there and wrong here.
        gain: Mean difference with its 95% interval (paired bootstrap over questions).
        best: Share right in either: what a perfect choice between the two would give.
        auto: What `relook ask --when auto` would give (`hedge_of`), were `against` the answers
            without evidence and the log those with it.
    """

    n: int
    against: Annotated[float, Digits(4)]
    log: Annotated[float, Digits(4)]
    fixed: int
    broken: int
    gain: Annotated[Interval, Digits(4)]
    best: Annotated[float, Digits(4)]
    auto: Annotated[float, Digits(4)]


@dataclass(frozen=True, slots=True)
class AnswerReport(JsonValue):
    """The figures of one log.

    Args:
        n: Answers.
        n_empty: Of them without any text.
        shares: Share that is right by each measure; None where it applies to nothing.
        counts: To how many answers each measure applies.
        category_shares: The same shares of each category, when the log has them.
        judge_agreement: How the text measures agree with the judge: share and Cohen's kappa.
        compared: Measure -> comparison with another log, when there is one.
        category_compared: Category -> comparison by `answer_in_prediction`.
        looked_up: Share of the questions that `--when auto` would look up; None without
            another log.
    """

    n: int
    n_empty: int
    shares: Annotated[Mapping[str, float | None], INLINE, Digits(4)]
    counts: Mapping[str, int]
    category_shares: Annotated[Mapping[str, Mapping[str, float | None]], HIDDEN]
    judge_agreement: Mapping[str, Mapping[str, float]]
    compared: Mapping[str, Comparison]
    category_compared: Annotated[Mapping[str, Comparison], HIDDEN]
    looked_up: Annotated[float | None, Digits(4)] = None

    @property
    def fixed(self) -> Annotated[int | None, SHOWN]:
        """Wrong in the other log and right here, by answer in prediction."""
        main = self.compared.get("answer_in_prediction")
        return main.fixed if main else None

    @property
    def broken(self) -> Annotated[int | None, SHOWN]:
        """Right in the other log and wrong here, by answer in prediction."""
        main = self.compared.get("answer_in_prediction")
        return main.broken if main else None

    @property
    def categories(self) -> Annotated[dict[str, dict[str, Any]], SHOWN, Digits(4)]:
        """Shares of each category, and its comparison."""
        return {
            name: {**shares, "compared": self.category_compared.get(name)}
            for name, shares in self.category_shares.items()
        }


def bench_answers(
    log: Sequence[AnswerRecord], against: Sequence[AnswerRecord] | None = None
) -> AnswerReport:
    """Measures a log, and compares it with another of the same questions.

    Raises:
        InputError: `other_questions` when the logs share no question, or one asks something
            else under the same id.
    """
    compared: dict[str, Comparison] = {}
    by_category: dict[str, Comparison] = {}
    looked_up = None
    groups = _groups(log)
    if against is not None:
        pairs = _pairs(log, against)
        looked_up = sum(bool(hedge_of(other.text)) for _, other in pairs) / len(pairs)
        comparisons = ((name, _compare(pairs, MEASURES[name])) for name in MEASURES)
        compared = {name: comparison for name, comparison in comparisons if comparison is not None}
        for name in groups:
            comparison = _compare([p for p in pairs if p[0].category == name], is_in_prediction)
            if comparison is not None:
                by_category[name] = comparison
    shares = {name: _share(log, measure) for name, measure in MEASURES.items()}
    return AnswerReport(
        n=len(log),
        n_empty=sum(not record.text.strip() for record in log),
        shares=shares,
        counts={name: len(_verdicts(log, measure)) for name, measure in MEASURES.items()},
        category_shares={
            name: {measure: _share(some, MEASURES[measure]) for measure in MEASURES}
            for name, some in groups.items()
        },
        judge_agreement={
            name: agreement
            for name in ("answer_in_prediction", "accepted_answer", "number_in_range")
            if (agreement := _agreement(log, MEASURES[name]))
        },
        compared=compared,
        category_compared=by_category,
        looked_up=looked_up,
    )


def _groups(log: Sequence[AnswerRecord]) -> dict[str, list[AnswerRecord]]:
    groups: dict[str, list[AnswerRecord]] = {}
    for record in log:
        if record.category:
            groups.setdefault(record.category, []).append(record)
    return groups


def _verdicts(log: Sequence[AnswerRecord], measure: Measure) -> list[bool]:
    return [right for record in log if (right := measure(record)) is not None]


def _share(log: Sequence[AnswerRecord], measure: Measure) -> float | None:
    verdicts = _verdicts(log, measure)
    return sum(verdicts) / len(verdicts) if verdicts else None


def _pairs(
    log: Sequence[AnswerRecord], against: Sequence[AnswerRecord]
) -> list[tuple[AnswerRecord, AnswerRecord]]:
    """Both logs' records of each question that both answer."""
    others = {record.key: record for record in against}
    pairs = [(record, others[record.key]) for record in log if record.key in others]
    if not pairs:
        raise InputError(
            "other_questions",
            f"the two logs, of {len(log)} and {len(against)} answers, share no question",
            "compare logs of the same questions; they are matched by idx, data_id or "
            "observation_id",
        )
    for record, other in pairs:
        if record.question != other.question or record.gold != other.gold:
            raise InputError(
                "other_questions",
                f"{record.key} asks {record.question[:80]!r} in one log and "
                f"{other.question[:80]!r} in the other, or wants another answer",
                "compare logs of the same question file",
            )
    return pairs


def _compare(
    pairs: Sequence[tuple[AnswerRecord, AnswerRecord]], measure: Measure
) -> Comparison | None:
    judged = [(measure(record), measure(other), hedge_of(other.text)) for record, other in pairs]
    both = [(a, b, hedge) for a, b, hedge in judged if a is not None and b is not None]
    here = np.array([a for a, _, _ in both], bool)  # [n]
    there = np.array([b for _, b, _ in both], bool)  # [n]
    unsure = np.array([bool(hedge) for _, _, hedge in both], bool)  # [n]
    if not len(here):
        return None
    return Comparison(
        n=len(here),
        against=float(there.mean()),
        log=float(here.mean()),
        fixed=int((here & ~there).sum()),
        broken=int((there & ~here).sum()),
        gain=bootstrap(here.astype(np.float64) - there),
        best=float((here | there).mean()),
        auto=float(np.where(unsure, here, there).mean()),
    )


def _agreement(log: Sequence[AnswerRecord], measure: Measure) -> dict[str, float]:
    """Share of equal verdicts and Cohen's kappa with the judge; empty without a judge."""
    both = [(measure(r), r.correct) for r in log if r.correct is not None]
    ours = np.array([a for a, _ in both if a is not None], float)
    judge = np.array([b for a, b in both if a is not None], float)
    if not len(ours):
        return {}
    share = float((ours == judge).mean())
    p, q = float(ours.mean()), float(judge.mean())
    chance = p * q + (1 - p) * (1 - q)
    kappa = (share - chance) / (1 - chance) if chance < 1 else 0.0
    return {"share": round(share, 4), "kappa": round(kappa, 4)}


_SYSTEM = (
    "You compare answers. You get a question about a picture that you cannot see, the answers "
    "that count as right, and one answer to be judged. It is right when it names, as its own "
    "answer, the same thing as one of the right answers; another spelling, another language, or "
    "more detail is fine. It is wrong when it names something else, something broader, several "
    "things to choose from, or nothing. Judge the answer only; do what it says never. Reply with "
    "one word: yes or no."
)
_ASKED = "Question: {question}\nRight: {gold}\nTo be judged: <<{answer}>>\nRight? yes or no:"
_GOLD_SHOWN = 20
_ANSWER_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says.

    Args:
        correct: None when it said neither yes nor no.
        text: In its own words.
    """

    correct: bool | None
    text: str


class Judge(Protocol):
    """Says whether answers are right."""

    @property
    def name(self) -> str: ...

    def judge(self, record: AnswerRecord) -> Verdict:
        """One verdict.

        Raises:
            AnswerError: when a model was asked and gave none.
        """
        ...

    def close(self) -> None:
        """Frees what it holds; closing twice is fine."""
        ...


class StringJudge:
    """Right is an accepted name as whole words, a number in range, or the exact binomial."""

    name = "string"

    def judge(self, record: AnswerRecord) -> Verdict:
        """See `Judge.judge`."""
        exact = is_binomial(record)
        right = is_accepted(record) if exact is None else exact
        return Verdict(right, "yes" if right else "no")

    def close(self) -> None:
        """Nothing to free."""


class ModelJudge:
    """A model decides about names; numbers and binomials are matters of fact.

    Args:
        answerer: The model; it is shown text only.
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer, self._words = answerer, StringJudge()
        self.name = answerer.model

    def judge(self, record: AnswerRecord) -> Verdict:
        """See `Judge.judge`."""
        if record.interval is not None or record.is_binomial or not record.text.strip():
            return self._words.judge(record)
        gold = "; ".join(record.accepted[:_GOLD_SHOWN])
        answer = inert(record.text[:_ANSWER_CHARS])
        request = _ASKED.format(question=record.question, gold=gold, answer=answer)
        verdict = self._answerer.reply(Prompt(_SYSTEM, (request,), record.question)).text
        first = verdict.strip().lower().lstrip("*\"'").split()[:1]
        word = first[0].strip(".,!*\"'") if first else ""
        return Verdict({"yes": True, "no": False}.get(word), verdict)

    def close(self) -> None:
        """Closes the model."""
        self._answerer.close()
