"""The contract of the captioner seam, as checks. Layer: testing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image

from relook.captioners.base import About, Captioned, Captioner, Phrase
from relook.core.errors import AnswerError
from relook.testing.contract import require
from relook.testing.fakes import noise, solid

__all__ = ["check_captioner"]

_ABOUT = About('a "red" ball {query}', "name the\ncolour", relevant=False)


def check_captioner(make: Callable[[], Captioner], max_words: int = 8) -> None:
    """Runs the contract of the captioner seam.

    Args:
        make: Makes the captioner, anew at each call; a class without required arguments is one.
        max_words: The longest phrase it may give.

    Raises:
        ContractError: with the first promise that is broken.
    """
    captioner = make()
    try:
        require(bool(captioner.name), "a captioner has a name", captioner.name)
        _check_batches(captioner, max_words)
        _check_limit(captioner)
        _check_about(captioner, max_words)
        _check_stop(captioner)
    finally:
        captioner.close()
    captioner.close()  # a second time is fine


def _pictures() -> list[Image.Image]:
    odd = [noise(seed, *size) for seed, size in enumerate(((64, 48), (1, 1), (600, 3), (3, 600)))]
    return [solid("red"), solid("blue"), solid("white"), *odd]


def _check_batches(captioner: Captioner, max_words: int) -> None:
    images = _pictures()
    before = [image.tobytes() for image in images]
    together = captioner.caption(images)
    require([image.tobytes() for image in images] == before, "crops stay as they were")
    require(len(together) == len(images), "each crop gets its answer", len(together))
    for found in together:
        _check_found(found, max_words)
    alone = [captioner.caption([image])[0] for image in images]
    require(_texts(alone) == _texts(together), "answers come in the order of the crops")
    require(captioner.caption([]) == [], "no crops get no answers")


def _check_found(found: Captioned, max_words: int) -> None:
    if isinstance(found, AnswerError):
        require(bool(found.code and found.message), "a failure says why", found)
        return
    require(len(found) >= 1, "a crop that did not fail has a phrase", found)
    for phrase in found:
        text = phrase.text
        require(bool(text.strip()), "a phrase has words", text)
        require(text == " ".join(text.split()), "a phrase is one line without edges", text)
        require(text == text.lower(), "a phrase is in lower case", text)
        require(not text.endswith("."), "a phrase has no final dot", text)
        require(len(text.split()) <= max_words, f"a phrase has at most {max_words} words", text)
    scores = [phrase.score for phrase in found]
    require(scores == sorted(scores, reverse=True), "phrases come best first", scores)
    require(len({phrase.text for phrase in found}) == len(found), "no phrase comes twice", found)


def _texts(answers: Sequence[Captioned]) -> list[list[str]]:
    return [
        [found.code] if isinstance(found, AnswerError) else [phrase.text for phrase in found]
        for found in answers
    ]


def _check_limit(captioner: Captioner) -> None:
    for limit in (1, 3):
        found = captioner.caption([solid("red")], limit)[0]
        if not isinstance(found, AnswerError):
            require(len(found) <= limit, f"at most {limit} phrases when so many are asked", found)
            require(all(isinstance(one, Phrase) for one in found), "phrases are Phrase", found)


def _check_about(captioner: Captioner, max_words: int) -> None:
    """Odd words in a query are words and no form to be filled in."""
    for found in captioner.caption([solid("red"), solid("blue")], about=_ABOUT):
        _check_found(found, max_words)


def _check_stop(captioner: Captioner) -> None:
    answers = captioner.caption(_pictures(), stop=lambda: True)
    codes = [found.code if isinstance(found, AnswerError) else "" for found in answers]
    require(codes == ["cancelled"] * len(_pictures()), "stopped work says `cancelled`", codes)
    for found in captioner.caption([solid("red")], stop=lambda: False):
        wrong = isinstance(found, AnswerError) and found.code == "cancelled"
        require(not wrong, "work that is not stopped is not cancelled", found)
