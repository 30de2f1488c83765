"""Marks as people type them: which hit, which box, which sign. Layer: cli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relook.core.errors import InputError
from relook.core.types import Box, Hit, Page
from relook.search.judging import JudgementRequest

__all__ = ["Mark", "find_hit", "parse_box", "parse_marks", "requests_for", "with_captions"]


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
