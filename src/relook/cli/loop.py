"""The terminal loop of `relook look`, and marks as people type them. Layer: cli."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relook.cli.output import print_error, print_notes, print_page, print_table, show_thumbnails
from relook.core.errors import InputError, RelookError
from relook.core.types import Box, Hit, Page
from relook.feedback.strategies import strategy
from relook.library.session_values import page_name
from relook.search.explain import influence, why
from relook.search.judging import JudgementRequest
from relook.search.session import Session


@dataclass(frozen=True, slots=True)
class Mark:
    """One judgement as typed.

    Args:
        hit: Number on the page, 1 first.
        relevant: Or irrelevant.
        box: A region of it; None for the whole image.
        caption: Words for the region; None when nobody typed any.
    """

    hit: int
    relevant: bool
    box: Box | None = None
    caption: str | None = None


def find_hit(page: Page, number: int) -> Hit:
    """The hit with this number on the page.

    Raises:
        InputError: `no_hit`.
    """
    if not 1 <= number <= len(page):
        raise InputError(
            "no_hit", f"there is no hit {number} on this page", f"it has 1 to {len(page)}"
        )
    return page[number - 1]


def requests_for(page: Page, marks: Sequence[Mark]) -> list[JudgementRequest]:
    """What the marks of a page ask of its session.

    Raises:
        InputError: `no_hit`.
    """
    return [
        JudgementRequest(find_hit(page, mark.hit).image_id, mark.relevant, mark.box, mark.caption)
        for mark in marks
    ]


def with_captions(boxes: Sequence[Mark], captions: Sequence[str]) -> list[Mark]:
    """The boxes with the words typed for them, in their order.

    Raises:
        InputError: `bad_mark` for more words than boxes.
    """
    if len(captions) > len(boxes):
        raise InputError("bad_mark", "there are more captions than boxes", "one --caption a --box")
    worded = [replace(box, caption=words) for box, words in zip(boxes, captions, strict=False)]
    return [*worded, *boxes[len(captions) :]]


def parse_box(text: str) -> Mark:
    """Reads `2:0.1,0.2,0.6,0.9:relevant`; the last part may be missing, and means relevant.

    Raises:
        InputError: `bad_mark` or `bad_box`.
    """
    number, _, rest = text.partition(":")
    box, _, sign = rest.partition(":")
    if not number.isdecimal() or sign not in ("", "relevant", "irrelevant"):
        raise InputError(
            "bad_mark",
            f"{text!r} is not a boxed judgement",
            "write NUMBER:x0,y0,x1,y1:relevant or ...:irrelevant",
        )
    return Mark(int(number), sign != "irrelevant", Box.parse(box))


def parse_marks(words: list[str]) -> list[Mark]:
    """Reads `+3 -5 +7 box 2 .1 .2 .6 .9` (`-box` for an irrelevant one).

    Raises:
        InputError: `bad_mark` naming the word that is none.
    """
    marks, at = [], 0
    while at < len(words):
        word = words[at]
        if word in ("box", "+box", "-box"):
            numbers = words[at + 1 : at + 6]
            if len(numbers) < 5 or not numbers[0].isdecimal():
                raise InputError(
                    "bad_mark", "a box needs a hit and four numbers", "box 2 .1 .2 .6 .9"
                )
            box = Box.parse(",".join(numbers[1:]))
            marks.append(Mark(int(numbers[0]), word != "-box", box))
            at += 6
        elif word[0] in "+-" and word[1:].isdecimal():
            marks.append(Mark(int(word[1:]), word[0] == "+"))
            at += 1
        else:
            raise InputError(
                "bad_mark", f"{word!r} is no mark", "+3 is relevant, -5 is not; ? shows all"
            )
    return marks


HELP = """\
+3 -5            hit 3 is relevant, hit 5 is not (several on a line)
box 2 .1 .2 .6 .9    the region of hit 2 is relevant; -box: irrelevant
caption 7 red hat    words for mark 7; without words: use none
words red hat, dog   what fits, in words; -words: what does not
again, Enter     the next page from everything marked
more             the same ranking, further down
undo             takes the last mark back, or the page
redo             makes the step again that undo took back
why 4            what raised and lowered hit 4
influence 7      what mark 7 did to which pictures
judged           everything marked so far
estimate         how many of the kind there are, and what is worth judging next
pages, go 1      the pages so far; back to one of them
strategy NAME    how marks are used (auto, rocchio, probe, ...)
open 3           hit 3 in the system's viewer
quit             leaves; the session stays: relook look --resume ID
"""


_PLAIN = {"phrasing": "how people describe what you marked"}
_TO_JUDGE = 10  # pictures that `estimate` shows


class Loop:
    """Reads commands, acts on a session, prints.

    Args:
        session: The open session.
        strategy_name: How marks are used at first.
        thumbnails: Whether to draw pictures where the terminal can.
    """

    def __init__(self, session: Session, strategy_name: str, thumbnails: bool) -> None:
        self.session, self.strategy, self._thumbnails = session, strategy_name, thumbnails
        self.page = session.page
        self.words = {"words": "", "-words": ""}
        self._numbers: dict[int, int] = {}
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "again": self._again, "": self._again, "more": self._more,
            "undo": self._undo, "redo": self._redo,
            "why": self._why, "influence": self._influence, "judged": self._judged,
            "estimate": self._estimate, "pages": self._pages, "go": self._go,
            "strategy": self._set_strategy, "caption": self._caption,
            "words": lambda words: self._words("words", words),
            "-words": lambda words: self._words("-words", words), "open": self._open,
            "?": self._help, "help": self._help,
        }  # fmt: skip

    def run(self) -> None:
        """Until `quit` or the end of the input; an error is printed, and the loop goes on."""
        self._show(self.page)
        sys.stdout.write("+3 -5 marks hits, Enter looks again, ? shows all commands\n")
        while True:
            sys.stdout.write("look> ")
            sys.stdout.flush()
            line = sys.stdin.readline()
            if not line or line.strip() in ("quit", "q", "exit"):
                break
            try:
                self.do(line)
            except RelookError as error:
                print_error(error, as_json=False)
        sys.stdout.write(f"session {self.session.session_id} is kept\n")

    def do(self, line: str) -> None:
        """One command line.

        Raises:
            RelookError: when it cannot be done; nothing has changed then.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise InputError("bad_mark", f"cannot read {line.strip()!r}: {error}") from error
        name = words[0] if words else ""
        if name in self._commands:
            self._commands[name](words[1:])
            return
        marks = parse_marks(words)
        numbers = {find_hit(self.page, mark.hit).image_id: mark.hit for mark in marks}
        for made in self.session.judge_all(requests_for(self.page, marks)):
            self._number_all()
            sign = "relevant" if made.relevant else "irrelevant"
            caption = f', "{made.caption}"' if made.caption else ""
            hit = f"hit {numbers[made.image_id]} {sign}{caption}"
            sys.stdout.write(f"mark {self._numbers[made.judgement_id]}: {hit}\n")

    def _number_all(self) -> None:
        """Gives each mark of the session a number from 1 on; it keeps it while the loop runs."""
        for judgement in self.session.judgements:
            self._numbers.setdefault(judgement.judgement_id, len(self._numbers) + 1)

    def _judgement(self, words: list[str]) -> int:
        """The id of the mark with a number.

        Raises:
            InputError: when there is none.
        """
        self._number_all()
        number = _number(words)
        for judgement_id, known in self._numbers.items():
            if known == number:
                return judgement_id
        raise InputError("bad_mark", f"there is no mark {number}", "judged lists them")

    def _named(self, name: str, judgement_id: int | None) -> str:
        """A reason in words: marks by their numbers here."""
        if judgement_id is None:
            return _PLAIN.get(name, name)
        self._number_all()
        number = self._numbers.get(judgement_id)
        return name if number is None else name.replace(str(judgement_id), str(number))

    def _again(self, words: list[str]) -> None:
        relevant, irrelevant = self.words["words"], self.words["-words"]
        page = self.session.again(
            self.strategy, relevant_words=relevant, irrelevant_words=irrelevant
        )
        self.words = dict.fromkeys(self.words, "")
        self._show(page)
        choice = self.session.round.record.get("choice", {})
        if choice.get("reason"):
            sys.stdout.write(f"auto: {choice['reason']}\n")

    def _words(self, which: str, words: list[str]) -> None:
        self.words[which] = " ".join(words)
        sys.stdout.write(f'{which} "{self.words[which]}" count for the next page\n')

    def _more(self, words: list[str]) -> None:
        now = self.session.round
        way = "none" if now.number == 0 else now.strategy
        self._show(self.session.again(way, keep_shown=False))

    def _undo(self, words: list[str]) -> None:
        before = self.session.row.current_round
        sys.stdout.write(self.session.undo() + "\n")
        if self.session.row.current_round != before:
            self._show(self.session.page)

    def _redo(self, words: list[str]) -> None:
        before = self.session.row.current_round
        sys.stdout.write(self.session.redo() + "\n")
        if self.session.row.current_round != before:
            self._show(self.session.page)

    def _why(self, words: list[str]) -> None:
        hit = find_hit(self.page, _number(words))
        reasons = why(self.session, hit, self.strategy)
        rows = [(f"{r.amount:+.3f}", self._named(r.name, r.judgement_id)) for r in reasons]
        print_table(["adds", "because of"], rows)

    def _influence(self, words: list[str]) -> None:
        movements = influence(self.session, self._judgement(words), self.strategy)
        moved = (*movements.raised, *movements.lowered)
        rows = [
            (m.seen(max(len(self.page), 1)), m.path.name) for m in moved if m.rank != m.rank_without
        ]
        if rows:
            print_table(["what the mark did", "picture"], rows)
        else:
            sys.stdout.write("this mark moved nothing by itself\n")

    def _judged(self, words: list[str]) -> None:
        self._number_all()
        rows = [
            (
                str(self._numbers[judgement.judgement_id]),
                "relevant" if judgement.relevant else "irrelevant",
                str(judgement.image_id),
                _region(judgement.box),
                judgement.caption or "",
            )
            for judgement in self.session.judgements
        ]
        print_table(["mark", "sign", "image", "region", "caption"], rows)

    def _estimate(self, words: list[str]) -> None:
        made = self.session.estimate(_TO_JUDGE)
        sys.stdout.write(f"{made.summary}\n")
        print_notes(made.notes)
        if made.to_judge:
            sys.stdout.write("worth judging next, +1 -2 marks them; estimate says it again\n")
            rows = [(each.image_id, each.chance, 0) for each in made.to_judge]
            page = Page(self.session.query, self.session.engine.hits(rows))
            self.page = self.session.engine.fitted(page, self.session.wanted)
            self._show_hits()

    def _pages(self, words: list[str]) -> None:
        now = self.session.row.current_round
        rows = [
            (
                f"{row.number + 1}{' <-' if row.number == now else ''}",
                "" if row.parent is None else str(row.parent + 1),
                row.strategy,
                str(len(row.hits)),
            )
            for row in self.session.rounds
        ]
        print_table(["page", "from", "strategy", "hits"], rows)

    def _go(self, words: list[str]) -> None:
        self._show(self.session.go(_number(words) - 1))

    def _set_strategy(self, words: list[str]) -> None:
        self.strategy = strategy(words[0] if words else self.session.feedback.strategy).name
        sys.stdout.write(f"strategy {self.strategy}\n")

    def _caption(self, words: list[str]) -> None:
        judgement = self.session.edit_caption(self._judgement(words), " ".join(words[1:]))
        self._number_all()
        number = self._numbers[judgement.judgement_id]
        sys.stdout.write(f'mark {number}: "{judgement.caption}"\n')

    def _open(self, words: list[str]) -> None:
        path = find_hit(self.page, _number(words)).path
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        try:
            subprocess.Popen(
                [opener, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise InputError(
                "cannot_open", f"cannot start {opener}: {error.strerror}", f"the file is {path}"
            ) from error

    def _help(self, words: list[str]) -> None:
        sys.stdout.write(HELP)

    def _show(self, page: Page) -> None:
        self.page = page
        sys.stdout.write(f"{page_name(self.session.row.current_round)}\n")
        self._show_hits()

    def _show_hits(self) -> None:
        if self._thumbnails:
            show_thumbnails([hit.path for hit in self.page])
        print_page(self.page)


def _region(box: Box | None) -> str:
    return "whole" if box is None else ",".join(f"{edge:g}" for edge in box.as_list())


def _number(words: list[str]) -> int:
    if not words or not words[0].isdecimal():
        raise InputError("bad_mark", "this command needs a number", "? shows all commands")
    return int(words[0])
