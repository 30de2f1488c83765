"""How a broken promise is reported; the contracts of answerers and captioners. Layer: testing."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.answerers.base import Answerer, Finish, Prompt, Reply, Shown
from relook.captioners.base import About, Captioned, Captioner, Phrase
from relook.core.errors import AnswerError
from relook.testing.fakes import noise, solid

TOLERANCE = 1e-4


class ContractError(AssertionError):
    """An adapter breaks a promise of its seam."""


def check_adapter(adapter: type) -> None:
    """Checks what a class declares that an entry point names: how it opens, and its facts.

    Args:
        adapter: The class; its own suite (`check_provider`, ...) checks what it does.

    Raises:
        ContractError: with the first declaration that is missing.
    """
    opens = getattr(adapter, "open", None)
    require(getattr(opens, "__self__", None) is adapter, "`open(spec, settings)` is a classmethod")
    remote, needs = getattr(adapter, "remote", None), getattr(adapter, "needs", None)
    require(isinstance(remote, bool), "`remote` says whether it may send anything", remote)
    texts = isinstance(needs, tuple) and all(isinstance(need, str) for need in needs)
    require(texts, "`needs` is a tuple of words", needs)


def require(kept: bool | np.bool_, promise: str, found: object = None) -> None:
    """Raises unless a promise is kept.

    Args:
        kept: Whether it is.
        promise: What the seam promises, as a sentence.
        found: What the adapter gave instead; shown when it is not None.

    Raises:
        ContractError: when it is not.
    """
    if not kept:
        raise ContractError(promise if found is None else f"{promise}; found: {found!r}")


def unit_rows(vectors: NDArray[np.float32], what: str) -> None:
    """Requires finite rows of length one.

    Args:
        vectors: [n, d]
        what: What they are vectors of, for the message.
    """
    require(bool(np.isfinite(vectors).all()), f"{what}: every number is finite")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1)  # [n]
    worst = float(np.abs(lengths - 1.0).max(initial=0.0))
    require(worst <= 1e-3, f"{what}: every row has length 1", f"one is off by {worst:.4f}")


def close_to(
    rows: NDArray[np.float32],
    expected: NDArray[np.float32],
    promise: str,
    tolerance: float = TOLERANCE,
) -> None:
    """Requires two arrays to be equal within a tolerance; that of the seams is 1e-4."""
    require(rows.shape == expected.shape, promise, f"shapes {rows.shape} and {expected.shape}")
    apart = float(np.abs(rows.astype(np.float64) - expected).max(initial=0.0))
    require(apart <= tolerance, promise, f"they are {apart:.5f} apart")


def check_answerer(answerer: Answerer) -> None:
    """Runs the contract of `Answerer` on one that answers; closes it.

    Raises:
        ContractError: naming the first promise that is not kept.
    """
    require(bool(answerer.name), "an answerer has a name")
    require(bool(answerer.host) or not answerer.third_party, "a third party has a host")
    heard: list[tuple[str, str]] = []
    reply = answerer.reply(_prompt(), lambda kind, text: heard.append((kind, text)))
    require(isinstance(reply, Reply), "reply returns a Reply")
    require(isinstance(reply.finish, Finish), "a reply says how it ended")
    require({kind for kind, _ in heard} <= {"text", "thinking", "note"}, "tell hears known kinds")
    pieces = "".join(text for kind, text in heard if kind == "text")
    require(pieces.split() == reply.text.split(), "the pieces told make up the text")
    require(reply.text == reply.text.strip(), "a text has no blanks around it")
    require(bool(reply.model) == bool(answerer.model), "a reply says which model wrote it")
    require(reply.took_s >= 0 and (reply.first_s or 0) <= reply.took_s, "times are in order")
    again = answerer.reply(_prompt())
    require(isinstance(again, Reply), "it can be asked again, and nobody need listen")
    answerer.close()
    answerer.close()


def _prompt() -> Prompt:
    out = io.BytesIO()
    solid("red", 64, 48).save(out, "PNG")
    picture = Shown(out.getvalue(), "image/png", "a picture")
    return Prompt("Be brief.", ("Look at it.", picture, "What colour is it?"), "What colour is it?")


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
    for caption in together:
        _check_found(caption, max_words)
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
        [caption.code] if isinstance(caption, AnswerError) else [phrase.text for phrase in caption]
        for caption in answers
    ]


def _check_limit(captioner: Captioner) -> None:
    for limit in (1, 3):
        caption = captioner.caption([solid("red")], limit)[0]
        if not isinstance(caption, AnswerError):
            require(
                len(caption) <= limit, f"at most {limit} phrases when so many are asked", caption
            )
            require(
                all(isinstance(phrase, Phrase) for phrase in caption), "phrases are Phrase", caption
            )


def _check_about(captioner: Captioner, max_words: int) -> None:
    """Odd words in a query are words and no form to be filled in."""
    for caption in captioner.caption([solid("red"), solid("blue")], about=_ABOUT):
        _check_found(caption, max_words)


def _check_stop(captioner: Captioner) -> None:
    answers = captioner.caption(_pictures(), stop=lambda: True)
    codes = [caption.code if isinstance(caption, AnswerError) else "" for caption in answers]
    require(codes == ["cancelled"] * len(_pictures()), "stopped work says `cancelled`", codes)
    for caption in captioner.caption([solid("red")], stop=lambda: False):
        wrong = isinstance(caption, AnswerError) and caption.code == "cancelled"
        require(not wrong, "work that is not stopped is not cancelled", caption)
