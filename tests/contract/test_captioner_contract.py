"""Every captioner passes the captioner suite, and the suite rejects captioners that are broken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from relook.captioners.base import NOTHING_KNOWN, About, Cancelled, Captioned, Phrase
from relook.captioners.hf_captioner import HfCaptioner
from relook.captioners.phrases import PhraseCaptioner
from relook.captioners.wording import find_prompt
from relook.core.errors import AnswerError
from relook.testing import ColourCaptioner, ContractError, check_captioner
from relook.testing.checkpoints import tiny_blip, tiny_llava


def test_the_builtin_captioner_keeps_the_contract() -> None:
    check_captioner(PhraseCaptioner)


def test_the_colour_captioner_keeps_the_contract() -> None:
    check_captioner(ColourCaptioner)


@pytest.mark.parametrize("make", [tiny_llava, tiny_blip], ids=["llava", "blip"])
def test_a_checkpoint_keeps_the_contract(make: object, tmp_path: Path) -> None:
    folder = make(tmp_path / "model")  # type: ignore[operator]
    brief = replace(find_prompt("query"), max_tokens=5)
    check_captioner(lambda: HfCaptioner(str(folder), prompt=brief, device="cpu"), max_words=4)


class Broken(ColourCaptioner):
    """One that changes what the good one is asked, or what it found."""

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        limit, stop = self.asked(limit, stop)
        found = super().caption(images, limit, about, stop)
        return self.answered([self.change(one) for one in found])

    def asked(self, limit: int, stop: Cancelled | None) -> tuple[int, Cancelled | None]:
        return limit, stop

    def answered(self, found: list[Captioned]) -> list[Captioned]:
        return found

    def change(self, found: Captioned) -> Captioned:
        if isinstance(found, AnswerError):
            return found
        return [Phrase(self.word(one.text), one.score) for one in found]

    def word(self, text: str) -> str:
        return text


class Shouts(Broken):
    def word(self, text: str) -> str:
        return text.upper()


class EndsWithDot(Broken):
    def word(self, text: str) -> str:
        return text + "."


class SaysNothing(Broken):
    def word(self, text: str) -> str:
        return " "


class WritesAnEssay(Broken):
    def word(self, text: str) -> str:
        return "the picture that was given shows something that is " + text


class BreaksLines(Broken):
    def word(self, text: str) -> str:
        return f"a\n{text}"


class EmptyForFailure(Broken):
    def change(self, found: Captioned) -> Captioned:
        return [] if isinstance(found, AnswerError) else found


class RepeatsItself(Broken):
    def change(self, found: Captioned) -> Captioned:
        return found if isinstance(found, AnswerError) else found * 2


class WorstFirst(Broken):
    def change(self, found: Captioned) -> Captioned:
        if isinstance(found, AnswerError):
            return found
        return [*found, Phrase("surely", 9.0)]


class IgnoresTheLimit(Broken):
    def asked(self, limit: int, stop: Cancelled | None) -> tuple[int, Cancelled | None]:
        return 4, stop

    def change(self, found: Captioned) -> Captioned:
        return found if isinstance(found, AnswerError) else [*found, Phrase("surely", 0.0)]


class SkipsFailures(Broken):
    def answered(self, found: list[Captioned]) -> list[Captioned]:
        return [one for one in found if not isinstance(one, AnswerError)]


class WrongOrder(Broken):
    def answered(self, found: list[Captioned]) -> list[Captioned]:
        return found[::-1]


class NeverStops(Broken):
    def asked(self, limit: int, stop: Cancelled | None) -> tuple[int, Cancelled | None]:
        return limit, None


class AlwaysStops(Broken):
    def asked(self, limit: int, stop: Cancelled | None) -> tuple[int, Cancelled | None]:
        return limit, stop and (lambda: True)


class DrawsOnTheCrop(ColourCaptioner):
    def _named(self, image: Image.Image, limit: int, about: About) -> Captioned:
        image.putpixel((0, 0), (1, 2, 3))
        return super()._named(image, limit, about)


class FillsTheQueryIn(ColourCaptioner):
    def _named(self, image: Image.Image, limit: int, about: About) -> Captioned:
        if about.query:
            about.query.format(ball="ball")
        return super()._named(image, limit, about)


class ClosesOnce(ColourCaptioner):
    def close(self) -> None:
        if self.n_closed:
            raise ContractError("closed twice")
        super().close()


BROKEN = [
    (Shouts, "lower case"),
    (EndsWithDot, "final dot"),
    (SaysNothing, "has words"),
    (WritesAnEssay, "at most 8 words"),
    (BreaksLines, "one line"),
    (EmptyForFailure, "has a phrase"),
    (RepeatsItself, "comes twice"),
    (WorstFirst, "best first"),
    (IgnoresTheLimit, "at most 1 phrases"),
    (SkipsFailures, "each crop gets its answer"),
    (WrongOrder, "order of the crops"),
    (NeverStops, "says `cancelled`"),
    (AlwaysStops, "not cancelled"),
    (DrawsOnTheCrop, "as they were"),
    (ClosesOnce, "closed twice"),
]


@pytest.mark.parametrize(("broken", "promise"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_the_suite_rejects_a_broken_captioner(broken: type[ColourCaptioner], promise: str) -> None:
    with pytest.raises(ContractError, match=promise):
        check_captioner(broken)


def test_the_suite_rejects_a_captioner_that_takes_a_query_for_a_form() -> None:
    with pytest.raises(KeyError, match="query"):
        check_captioner(FillsTheQueryIn)
