"""The terminal loop of `relook look`. Layer: cli."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

from relook.cli.marks import find_hit, parse_marks, requests_for
from relook.cli.output import print_error, print_page, print_table, show_thumbnails
from relook.core.errors import InputError, RelookError
from relook.core.types import Box, Page
from relook.feedback.strategies import strategy
from relook.search.explain import influence, why
from relook.search.session import Session

__all__ = ["Loop"]

HELP = """\
+3 -5            hit 3 is relevant, hit 5 is not (several on a line)
box 2 .1 .2 .6 .9    the region of hit 2 is relevant; -box: irrelevant
caption 7 red hat    words for judgement 7; without words: use none
words red hat, dog   what fits, in words; -words: what does not
again, Enter     the next page from everything marked
more             the same ranking, further down
undo             takes the last mark back, or the page
redo             makes the step again that undo took back
why 4            what raised and lowered hit 4
influence 7      which images judgement 7 moved
judged           everything marked so far
rounds, go 1     the pages so far; back to one of them
strategy NAME    how marks are used (auto, rocchio, probe, ...)
open 3           hit 3 in the system's viewer
quit             leaves; the session stays: relook look --resume ID
"""


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
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "again": self._again, "": self._again, "more": self._more,
            "undo": self._undo, "redo": self._redo,
            "why": self._why, "influence": self._influence, "judged": self._judged,
            "rounds": self._rounds, "go": self._go, "strategy": self._set_strategy,
            "caption": self._caption, "words": lambda words: self._words("words", words),
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
            sign = "relevant" if made.relevant else "irrelevant"
            caption = f', "{made.caption}"' if made.caption else ""
            hit = f"hit {numbers[made.image_id]} {sign}{caption}"
            sys.stdout.write(f"judgement {made.judgement_id}: {hit}\n")

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
        rows = [(f"{r.amount:+.3f}", r.name) for r in why(self.session, hit, self.strategy)]
        print_table(["adds", "because of"], rows)

    def _influence(self, words: list[str]) -> None:
        movements = influence(self.session, _number(words), self.strategy)
        rows = [
            (f"{m.change:+.3f}", str(m.rank_without), str(m.rank), m.path.name)
            for m in (*movements.raised, *movements.lowered)
        ]
        print_table(["change", "rank without", "rank with", "picture"], rows)

    def _judged(self, words: list[str]) -> None:
        rows = [
            (
                str(judgement.judgement_id),
                "relevant" if judgement.relevant else "irrelevant",
                str(judgement.image_id),
                _region(judgement.box),
                judgement.caption or "",
            )
            for judgement in self.session.judgements
        ]
        print_table(["judgement", "sign", "image", "region", "caption"], rows)

    def _rounds(self, words: list[str]) -> None:
        now = self.session.row.current_round
        rows = [
            (
                f"{row.number}{' <-' if row.number == now else ''}",
                "" if row.parent is None else str(row.parent),
                row.strategy,
                str(len(row.hits)),
            )
            for row in self.session.rounds
        ]
        print_table(["round", "from", "strategy", "hits"], rows)

    def _go(self, words: list[str]) -> None:
        self._show(self.session.go(_number(words)))

    def _set_strategy(self, words: list[str]) -> None:
        self.strategy = strategy(words[0] if words else self.session.feedback.strategy).name
        sys.stdout.write(f"strategy {self.strategy}\n")

    def _caption(self, words: list[str]) -> None:
        judgement = self.session.edit_caption(_number(words), " ".join(words[1:]))
        sys.stdout.write(f'judgement {judgement.judgement_id}: "{judgement.caption}"\n')

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
        sys.stdout.write(f"round {self.session.row.current_round}\n")
        if self._thumbnails:
            show_thumbnails([hit.path for hit in page])
        print_page(page)


def _region(box: Box | None) -> str:
    return "whole" if box is None else ",".join(f"{edge:g}" for edge in box.as_list())


def _number(words: list[str]) -> int:
    if not words or not words[0].isdecimal():
        raise InputError("bad_mark", "this command needs a number", "? shows all commands")
    return int(words[0])
