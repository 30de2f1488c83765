"""Logs of sessions, scored as the Video Browser Showdown scores searches. Layer: bench.

What is marked relevant counts as submitted, when it was marked; what is marked irrelevant does not.
So a person, a simulated person and an agent that looked for the same thing are held against each
other: by time, and by wrong submissions.

Sources: Lokoč et al., "Interactive search or sequential browsing? A detailed analysis of the Video
Browser Showdown 2018" (ACM TOMM 2019), and the rules of 2026: a known item is worth 50 points and
up to 50 for time left, 10 less for each wrong submission; of a search for all of a kind, the share
of right submissions (a wrong one counts half) times the share that was found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from relook.bench.query_files import Wanted
from relook.bench.simulate import Fit, Gallery, Protocol, Task, labels, play
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import INLINE, Digits
from relook.core.settings import SessionLimits
from relook.search.session_file import SessionFile, read_file
from relook.search.transfer import read_bytes

LIMIT_S = 300.0
"""Seconds that a search may take, as in the Showdown."""
_SOLVED, _TIME, _WRONG = 50.0, 50.0, 10.0  # points: for the item, for time left, a wrong one less


@dataclass(frozen=True, slots=True)
class Submission:
    """A picture that somebody said to be what is looked for.

    Args:
        seconds: Since the first page was there.
        is_right: Whether it is.
    """

    seconds: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Args:
        who: Whose it is: the folder of the log, or the simulated person.
        log: The file; empty for a simulated person.
        task: What was looked for.
        n_relevant: Pictures that are right; 1 makes it a known item.
    """

    who: str
    log: str
    task: str
    n_relevant: int


@dataclass(frozen=True, slots=True)
class Score(JsonValue):
    """One search, scored.

    Args:
        search: The search.
        solved: Whether a right one was submitted in time.
        seconds: Until the first right one; the limit without one.
        n_right, n_wrong: Submissions in time; of a known item, those until it was found.
        score: 0 to 100.
    """

    search: Annotated[Search, INLINE]
    solved: bool
    seconds: Annotated[float, Digits(1)]
    n_right: int
    n_wrong: int
    score: Annotated[float, Digits(1)]


@dataclass(frozen=True, slots=True)
class Standing(JsonValue):
    """Means of everybody's searches.

    Args:
        who: Whose they are.
        n_searches: How many.
        solved: Share with a right submission in time.
        seconds: Until the first right one.
        n_right, n_wrong: Submissions a search.
        score: 0 to 100.
    """

    who: str
    n_searches: int
    solved: Annotated[float, Digits(3)]
    seconds: Annotated[float, Digits(1)]
    n_right: Annotated[float, Digits(2)]
    n_wrong: Annotated[float, Digits(2)]
    score: Annotated[float, Digits(1)]


def score(search: Search, submissions: Iterable[Submission], limit_s: float = LIMIT_S) -> Score:
    """One search, scored; see the module.

    Args:
        search: Whose it is, and of what.
        submissions: Each picture once.
        limit_s: Seconds that a search may take.
    """
    in_time = sorted(
        (each for each in submissions if each.seconds <= limit_s), key=lambda each: each.seconds
    )
    first_s = next((each.seconds for each in in_time if each.is_right), None)
    n_relevant = search.n_relevant
    if n_relevant == 1 and first_s is not None:
        in_time = [each for each in in_time if each.seconds <= first_s]
    n_right = sum(each.is_right for each in in_time)
    n_wrong = len(in_time) - n_right
    if first_s is None:
        points = 0.0
    elif n_relevant == 1:
        points = max(_SOLVED + _TIME * (1 - first_s / limit_s) - _WRONG * n_wrong, 0.0)
    else:
        points = 100 * n_right / (n_right + n_wrong / 2) * n_right / n_relevant
    seconds = limit_s if first_s is None else first_s
    solved = first_s is not None
    return Score(search, solved, seconds, n_right, n_wrong, points)


def logs_in(places: Sequence[Path]) -> list[Path]:
    """Session files: those that are named, and those in folders that are.

    Raises:
        InputError: `no_logs` for a place without any.
    """
    files = []
    for place in places:
        here = sorted(place.glob("*.json")) if place.is_dir() else [place]
        if not here or not here[0].exists():
            message = f"{place} is no session file and no folder of any"
            raise InputError("no_logs", message, "write one with: relook session export SESSION")
        files += here
    return files


def score_logs(
    files: Sequence[Path],
    wanted: Sequence[Wanted],
    limits: SessionLimits | None = None,
    limit_s: float = LIMIT_S,
) -> tuple[list[Score], tuple[str, ...]]:
    """Scores exported sessions; a log's person is the folder that it stands in.

    Args:
        files: Exported sessions.
        wanted: Tasks. A log is of the task that its session is named after, else of the one that
            its file is, else of the one whose words it began with.
        limits: How much a file may hold.
        limit_s: Seconds that a search may take.

    Returns:
        The scores, and notes about logs that are of no task, or have no times.

    Raises:
        InputError, TooLargeError: for what is no exported session.
    """
    limits = limits or SessionLimits()
    tasks = {_plain(wish.words): wish for wish in wanted}
    scores, notes = [], []
    for path in files:
        file, _ = read_file(read_bytes(path, limits), str(path), limits)
        names = (_plain(file.name), _plain(path.stem), _plain(file.query.text))
        task = next((tasks[name] for name in names if name in tasks), None)
        if task is None:
            notes.append(f"{path}: no task is called {file.name!r}")
            continue
        submissions = submissions_of(file, task)
        if submissions is None:
            notes.append(f"{path}: it has no times; Relook keeps them since this version")
            continue
        who, n_relevant = path.absolute().parent.name, len(set(task.files))
        search = Search(who, path.name, task.words, n_relevant)
        scores.append(score(search, submissions, limit_s))
    return scores, tuple(notes)


def submissions_of(file: SessionFile, task: Wanted) -> list[Submission] | None:
    """Pictures that a log's person marked relevant, each when first; None without times."""
    rounds = {row.number: row for row in file.rounds}
    began_s = rounds[0].made_s if 0 in rounds else None
    if began_s is None:
        return None
    first: dict[str, float] = {}
    for judgement in file.judgements:
        at_s = judgement.made_s
        if at_s is None and judgement.led_to in rounds:
            at_s = rounds[judgement.led_to].made_s
        if at_s is None:
            return None
        if judgement.relevant:
            entry = file.images.get(str(judgement.image_id))
            name = Path(entry.path).name if entry else str(judgement.image_id)
            first[name] = min(first.get(name, at_s), at_s)
    right = set(task.files)
    return [Submission(max(at_s - began_s, 0.0), name in right) for name, at_s in first.items()]


def score_simulated(
    who: str,
    gallery: Gallery,
    tasks: Sequence[Task],
    fit: Fit,
    protocol: Protocol,
    limit_s: float = LIMIT_S,
) -> list[Score]:
    """Scores simulated people, who look at picture after picture and submit what they take for it.

    Args:
        who: What to call them.
        gallery: What is looked through.
        tasks: What is looked for.
        fit: The strategy of later pages.
        protocol: How they behave, slips included.
        limit_s: Seconds that a search may take.
    """
    scores = []
    for number, task in enumerate(tasks):
        trace = play(gallery, task, number, fit, protocol)
        label = labels(gallery.n_images, task, number, protocol)
        seen = zip(trace.shown[trace.is_new], trace.seconds[trace.is_new], strict=True)
        submitted = [(image, float(at_s)) for image, at_s in seen if label[image] > 0]
        right = np.isin([image for image, _ in submitted], task.relevant)
        submissions = [
            Submission(at_s, bool(is_right))
            for (_, at_s), is_right in zip(submitted, right, strict=True)
        ]
        search = Search(who, "", task.name, len(task.relevant))
        scores.append(score(search, submissions, limit_s))
    return scores


def standings(scores: Iterable[Score]) -> list[Standing]:
    """Everybody's means, the best first."""
    by_person: dict[str, list[Score]] = {}
    for each in scores:
        by_person.setdefault(each.search.who, []).append(each)
    made = [_standing(who, several) for who, several in by_person.items()]
    return sorted(made, key=lambda standing: -standing.score)


def _standing(who: str, scores: Sequence[Score]) -> Standing:
    columns: Mapping[str, list[float]] = {
        name: [float(getattr(each, name)) for each in scores]
        for name in ("solved", "seconds", "n_right", "n_wrong", "score")
    }
    return Standing(who, len(scores), **{name: float(np.mean(c)) for name, c in columns.items()})


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
