"""Prints an answer, and the stages on the way to it. Layer: cli. It decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relook.cli.output import clean_lines, print_notes, print_table
from relook.core.progress import duration

if TYPE_CHECKING:
    from relook.rag.answer import Answer, Written
    from relook.rag.candidates import Candidate
    from relook.rag.evidence import Item

_KINDS = {
    "same": "same picture", "page": "page with it", "similar": "similar", "entity": "name",
    "saved": "saved file",
}  # fmt: skip
_TITLE_CHARS = 70


class Stages:
    """Prints stages on stderr, and streams the answer to a terminal.

    Args:
        quiet: Print nothing.
        stream: Whether pieces of the answer are shown as they come.
    """

    def __init__(self, quiet: bool, stream: bool) -> None:
        self._quiet, self._stream = quiet, stream
        self.streamed = False

    def __call__(self, stage: str, facts: Mapping[str, Any]) -> None:
        """One stage; see `relook.rag.asker.Hear`."""
        if self._quiet:
            return
        if stage == "text":
            if self._stream and facts["which"] == "with":
                self.streamed = True
                sys.stdout.write(clean_lines(facts["text"]))
                sys.stdout.flush()
        elif line := _line(stage, facts):
            sys.stderr.write(clean_lines(line) + "\n")


def _line(stage: str, facts: Mapping[str, Any]) -> str:
    if stage == "providers":
        return f"looking it up: {', '.join(facts['names'])} ..."
    if stage == "provider":
        return _provider(facts)
    if stage == "model" and facts["model"]:
        beside = ", without evidence" if facts["which"] == "without" else ""
        return f"asking {facts['model']}{beside} ..."
    return str(facts["text"]) if stage == "note" else ""


def _provider(facts: Mapping[str, Any]) -> str:
    what = f"{facts['n_matches']} found" if facts["outcome"] == "found" else facts["outcome"]
    if facts["outcome"] == "nothing":
        what = "nothing found"
    age = "" if facts["cached_s"] is None else f", asked {duration(facts['cached_s'])} ago"
    cost = f", ${facts['cost_usd']:.4f}" if facts["cost_usd"] else ""
    line = f"{facts['provider']}: {what.replace('_', ' ')} in {facts['took_s']:.2f} s{age}{cost}"
    for more in (facts["message"], facts["hint"]):
        line += f"; {more}" if more else ""
    return line


def print_answer(answer: Answer, streamed: bool = False, thinking: bool = False) -> None:
    """The answer, the one without evidence beside it, the evidence, and what was sent."""
    if thinking and answer.written.thinking:
        sys.stdout.write(f"Thinking:\n{clean_lines(answer.written.thinking)}\n\nAnswer:\n")
        streamed = False
    if streamed:
        sys.stdout.write("\n")
    else:
        _print_text(answer.written)
    _print_notes(answer.written)
    if answer.without is not None and answer.without is not answer.written:
        sys.stdout.write("\nWithout evidence:\n")
        _print_text(answer.without)
        _print_notes(answer.without)
    own = answer.evidence.own
    if own is not None and own.says_something and answer.written.model:
        sys.stdout.write(clean_lines(f"\n{own.report}\n"))
    if answer.evidence.items:
        sys.stdout.write("\n")
        cited = set(answer.citations)
        rows = [_row(item, item.number in cited) for item in answer.evidence]
        print_table(["#", "", "kind", "alike", "what it says", "where"], rows)
    if names := answer.evidence.candidates:
        listed = "; ".join(f"{name.name} ({_numbers(name)})" for name in names)
        sys.stdout.write(clean_lines(f"Names in it: {listed}\n"))
    print_notes([*answer.evidence.notes, *([answer.why] if answer.why else [])])
    for sent in answer.sent:
        line = f"sent to {sent.host}: {sent.what}, {sent.n_bytes:,} bytes\n"
        sys.stderr.write(clean_lines(line))
    if not answer.sent:
        sys.stderr.write("nothing was sent anywhere\n")
    sys.stderr.write(
        ", ".join(f"{name} {seconds:.2f} s" for name, seconds in answer.stages.items() if seconds)
        + "\n"
    )


def _print_text(written: Written) -> None:
    sys.stdout.write(clean_lines(written.text or "(no answer)") + "\n")


def _print_notes(written: Written) -> None:
    notes = list(written.notes)
    if written.finish != "done":
        words = {"length": "it reached its longest length (--max-tokens)", "refused": "the model "
                 "declined", "cut_off": "it broke off"}  # fmt: skip
        if how := words.get(written.finish.value):
            notes.append(f"the answer is not whole: {how}")
    print_notes(notes)


def _numbers(candidate: Candidate) -> str:
    return " ".join(f"[{number}]" for number in candidate.numbers)


def _row(item: Item, is_cited: bool) -> tuple[str, ...]:
    match = item.match
    mark = "struck" if item.struck else "pinned" if item.pinned else "cited" if is_cited else ""
    alike = "" if match.similarity is None else f"{match.similarity:.2f}"
    title = match.title or match.text or match.metadata.get("file", "")
    short = title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"
    where = match.page_url or match.source
    verified = match.verified
    kind = _KINDS[match.kind.value]
    if verified is not None and verified.is_same_picture:
        kind = verified.words
    return (str(item.number), mark, kind, alike, short, where)
