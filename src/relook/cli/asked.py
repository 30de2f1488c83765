"""What `relook ask` prints. Layer: cli."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relook.cli.output import clean_lines, print_notes, print_table

if TYPE_CHECKING:
    from relook.rag.answer import Answer, Written
    from relook.rag.evidence import Item

__all__ = ["Stages", "print_answer"]

_KINDS = {"same": "same picture", "page": "page with it", "similar": "similar", "entity": "name"}
_TITLE_CHARS = 70


class Stages:
    """Says on stderr what goes on, and streams the answer to a terminal.

    Args:
        quiet: Say nothing.
        stream: Whether pieces of the answer are shown as they come.
    """

    def __init__(self, quiet: bool, stream: bool) -> None:
        self._quiet, self._stream = quiet, stream
        self.streamed = False

    def __call__(self, stage: str, told: Mapping[str, Any]) -> None:
        """One stage; see `relook.rag.ask.Hear`."""
        if self._quiet:
            return
        if stage == "text":
            if self._stream and told["which"] == "with":
                self.streamed = True
                sys.stdout.write(clean_lines(told["text"]))
                sys.stdout.flush()
        elif line := _line(stage, told):
            sys.stderr.write(clean_lines(line) + "\n")


def _line(stage: str, told: Mapping[str, Any]) -> str:
    if stage == "providers":
        return f"looking it up: {', '.join(told['names'])} ..."
    if stage == "provider":
        return _provider(told)
    if stage == "model" and told["model"]:
        beside = ", without evidence" if told["which"] == "without" else ""
        return f"asking {told['model']}{beside} ..."
    return str(told["text"]) if stage == "note" else ""


def _provider(told: Mapping[str, Any]) -> str:
    what = f"{told['n_matches']} found" if told["outcome"] == "found" else told["outcome"]
    if told["outcome"] == "nothing":
        what = "nothing found"
    age = "" if told["cached_s"] is None else f", asked {_ago(told['cached_s'])} ago"
    cost = f", ${told['cost_usd']:.4f}" if told["cost_usd"] else ""
    line = f"{told['provider']}: {what.replace('_', ' ')} in {told['took_s']:.2f} s{age}{cost}"
    for more in (told["message"], told["hint"]):
        line += f"; {more}" if more else ""
    return line


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n} {name}{'s' if n > 1 else ''}"
    return "seconds"


def print_answer(answer: Answer, streamed: bool = False) -> None:
    """The answer, the one without evidence beside it, the evidence, and what was sent."""
    if streamed:
        sys.stdout.write("\n")
    else:
        _print_text(answer.written)
    _print_notes(answer.written)
    if answer.without is not None and answer.without is not answer.written:
        sys.stdout.write("\nWithout evidence:\n")
        _print_text(answer.without)
        _print_notes(answer.without)
    if answer.evidence.items:
        sys.stdout.write("\n")
        cited = set(answer.citations)
        rows = [_row(item, item.number in cited) for item in answer.evidence]
        print_table(["#", "", "kind", "alike", "what it says", "where"], rows)
    print_notes([*answer.evidence.notes, *([answer.why] if answer.why else [])])
    for one in answer.sent:
        sys.stderr.write(clean_lines(f"sent to {one.host}: {one.what}, {one.n_bytes:,} bytes\n"))
    if not answer.sent:
        sys.stderr.write("nothing was sent anywhere\n")
    sys.stderr.write(
        ", ".join(f"{name} {seconds:.2f} s" for name, seconds in answer.stages.items() if seconds)
        + "\n"
    )


def _print_text(written: Written) -> None:
    sys.stdout.write(clean_lines(written.text or "(no answer)") + "\n")


def _print_notes(written: Written) -> None:
    told = list(written.notes)
    if written.finish != "done":
        words = {"length": "it reached its longest length (--max-tokens)", "refused": "the model "
                 "declined", "cut_off": "it broke off"}  # fmt: skip
        told.append(f"the answer is not whole: {words[written.finish.value]}")
    print_notes(told)


def _row(item: Item, is_cited: bool) -> tuple[str, ...]:
    match = item.match
    mark = "struck" if item.struck else "pinned" if item.pinned else "cited" if is_cited else ""
    alike = "" if match.similarity is None else f"{match.similarity:.2f}"
    said = match.title or match.text or match.metadata.get("file", "")
    short = said if len(said) <= _TITLE_CHARS else said[: _TITLE_CHARS - 1] + "…"
    where = match.page_url or match.source
    return (str(item.number), mark, _KINDS[match.kind.value], alike, short, where)
