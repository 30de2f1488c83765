"""How a broken promise is reported; contracts of models and readers. Layer: testing.

Sizes are small and pictures are made up, so a run costs a few dozen forward passes.
"""

import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.answerers.base import Answerer, Finish, Prompt, Reply, Shown
from relook.captioners.base import About, Captioned, Captioner, Phrase
from relook.core.errors import AnswerError
from relook.core.types import WHOLE
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, Fingerprint, Unread, unread_of
from relook.readers.base import TextReader
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


def require(kept: bool | np.bool_, promise: str, instead: object = None) -> None:
    """Raises unless a promise is kept.

    Args:
        kept: Whether it is.
        promise: What the seam promises, as a sentence.
        instead: What the adapter gave; shown when it is not None.

    Raises:
        ContractError: when it is not.
    """
    if not kept:
        raise ContractError(promise if instead is None else f"{promise}; found: {instead!r}")


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
        _check_captioned(caption, max_words)
    alone = [captioner.caption([image])[0] for image in images]
    require(_texts(alone) == _texts(together), "answers come in the order of the crops")
    require(captioner.caption([]) == [], "no crops get no answers")


def _check_captioned(captioned: Captioned, max_words: int) -> None:
    if isinstance(captioned, AnswerError):
        require(bool(captioned.code and captioned.message), "a failure says why", captioned)
        return
    require(len(captioned) >= 1, "a crop that did not fail has a phrase", captioned)
    for phrase in captioned:
        text = phrase.text
        require(bool(text.strip()), "a phrase has words", text)
        require(text == " ".join(text.split()), "a phrase is one line without edges", text)
        require(text == text.lower(), "a phrase is in lower case", text)
        require(not text.endswith("."), "a phrase has no final dot", text)
        require(len(text.split()) <= max_words, f"a phrase has at most {max_words} words", text)
    scores = [phrase.score for phrase in captioned]
    require(scores == sorted(scores, reverse=True), "phrases come best first", scores)
    require(
        len({phrase.text for phrase in captioned}) == len(captioned),
        "no phrase comes twice",
        captioned,
    )


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
        _check_captioned(caption, max_words)


def _check_stop(captioner: Captioner) -> None:
    answers = captioner.caption(_pictures(), stop=lambda: True)
    codes = [caption.code if isinstance(caption, AnswerError) else "" for caption in answers]
    require(codes == ["cancelled"] * len(_pictures()), "stopped work says `cancelled`", codes)
    for caption in captioner.caption([solid("red")], stop=lambda: False):
        wrong = isinstance(caption, AnswerError) and caption.code == "cancelled"
        require(not wrong, "work that is not stopped is not cancelled", caption)


def check_reader(make: Callable[[], TextReader]) -> None:
    """Runs the contract of the reader seam.

    Args:
        make: Makes the reader, anew at each call.

    Raises:
        ContractError: with the first promise that is broken.
    """
    reader = make()
    try:
        require(bool(reader.name.strip()), "a reader has a name, with its version", reader.name)
        pictures = [solid("red"), solid("white", 1, 1), solid("white", 600, 4), noise(3)]
        with ThreadPoolExecutor(2) as threads:
            readings = list(threads.map(reader.read, pictures))
        for image, lines in zip(pictures, readings, strict=True):
            words = [word for line in lines for word in line.words]
            require(all(line.words for line in lines), "a line has a word", lines)
            require(all(word.text.strip() for word in words), "a word has a letter", words)
            require(reader.read(image) == lines, "the same picture is read alike", lines)
    finally:
        reader.close()
    reader.close()  # a second time is fine


_SIZES = ((64, 48), (1, 1), (1000, 3), (3, 1000), (333, 777))
_TEXTS = (
    "a red ball",
    "zwei Hunde",
    "犬が走る",
    "🐕 on a 🏖",
    "one\ntwo\tthree",
    "odd byte \udcff",
    "naïve café",
    "word " * 300,
    "x" * 3000,
    "?",
)


def check_encoder(
    make: Callable[[], Encoder],
    other: Callable[[], Encoder] | None = None,
    tolerance: float = TOLERANCE,
) -> None:
    """Runs the contract of the encoder seam.

    Args:
        make: Makes the encoder, anew at each call; a class without required arguments is one.
        other: Makes an encoder of the same family whose vectors are not comparable (other
            weights, for one); its fingerprint must differ. Left out when there is none.
        tolerance: How far the numbers of a picture's vector may change with its batch; more
            than 1e-4 only where pictures run in half precision. Words have no such leave.

    Raises:
        ContractError: with the first promise that is broken.
    """
    encoder = make()
    try:
        _check_identity(encoder, make)
        _check_tiles(encoder)
        _check_pictures(encoder, tolerance)
        _check_prepare(encoder)
        _check_texts(encoder)
        if other is not None:
            _check_differs(encoder, other)
    finally:
        encoder.close()
    encoder.close()  # a second time is fine


def _check_identity(encoder: Encoder, make: Callable[[], Encoder]) -> None:
    fingerprint = encoder.fingerprint
    require(encoder.dim > 0, "dim is positive", encoder.dim)
    require(fingerprint.dim == encoder.dim, "fingerprint.dim is dim", fingerprint.dim)
    require(encoder.input_px > 0, "input_px is positive", encoder.input_px)
    require(0 < encoder.tile_weight <= 1, "tile_weight is in (0, 1]", encoder.tile_weight)
    stored = Fingerprint.from_dict(json.loads(json.dumps(fingerprint.as_dict())))
    require(stored == fingerprint, "the fingerprint survives JSON", stored)
    again = make()
    same = again.fingerprint.digest == fingerprint.digest == encoder.fingerprint.digest
    again.close()
    require(same, "the same encoder made twice has the same fingerprint")
    means = encoder.means
    if means is not None:
        for mean in (means.image, means.text):
            require(mean.shape == (encoder.dim,), "a mean has shape [d]", mean.shape)


def _check_differs(encoder: Encoder, other: Callable[[], Encoder]) -> None:
    another = other()
    differs = another.fingerprint.digest != encoder.fingerprint.digest
    another.close()
    require(differs, "an encoder with other vectors has another fingerprint")


def _check_tiles(encoder: Encoder) -> None:
    for width, height in _SIZES:
        boxes = encoder.tiles_for(width, height)
        require(len(boxes) >= 1, f"a picture of {width}x{height} px has a tile")
        require(boxes[0] == WHOLE, "the first tile is the whole picture", boxes[0])
        require(boxes == encoder.tiles_for(width, height), "tiles depend on the size only")


def _odd_pictures() -> list[Image.Image]:
    odd = [noise(seed, width, height) for seed, (width, height) in enumerate(_SIZES)]
    return [solid("red"), solid("blue"), solid("black"), *odd]


def _encode(encoder: Encoder, images: list[Image.Image]) -> list[Floats]:
    return encoder.encode_prepared([encoder.prepare(image) for image in images])


def _check_pictures(encoder: Encoder, tolerance: float) -> None:
    images = _odd_pictures()
    together = _encode(encoder, images)
    require(len(together) == len(images), "each picture gets its array", len(together))
    for image, rows in zip(images, together, strict=True):
        n_tiles = len(encoder.tiles_for(*image.size))
        what = f"vectors of a picture of {image.width}x{image.height} px"
        require(rows.dtype == np.float32, f"{what}: float32", rows.dtype)
        require(rows.shape == (n_tiles, encoder.dim), f"{what}: [t, d]", rows.shape)
        unit_rows(rows, what)
    apart = float(np.abs(together[0] - together[1]).max())
    require(apart > 1e-3, "a red and a blue picture get different vectors")
    for image, rows in zip(images, together, strict=True):
        alone = _encode(encoder, [image])[0]
        close_to(alone, rows, "a picture's vectors do not depend on its batch", tolerance)
    backwards = _encode(encoder, images[::-1])
    for rows, same in zip(together, backwards[::-1], strict=True):
        close_to(same, rows, "vectors come in the order of the pictures", tolerance)
    require(list(encoder.encode_prepared([])) == [], "no pictures make no vectors")


def _check_prepare(encoder: Encoder) -> None:
    images = _odd_pictures()
    before = [image.tobytes() for image in images]
    serial = [encoder.prepare(image) for image in images]
    require([image.tobytes() for image in images] == before, "prepare leaves the picture as it was")
    many = images * 8
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(encoder.prepare, many))
    for at, prepared in enumerate(threaded):
        same = np.array_equal(prepared, serial[at % len(serial)])
        require(same, "prepare gives the same from several threads as from one")


def _check_texts(encoder: Encoder) -> None:
    texts = list(_TEXTS)
    together = encoder.encode_texts(texts)
    require(together.dtype == np.float32, "vectors of words: float32", together.dtype)
    require(together.shape == (len(texts), encoder.dim), "vectors of words: [n, d]", together.shape)
    unit_rows(together, "vectors of words")
    apart = float(np.abs(together[0] - together[1]).max())
    require(apart > 1e-3, "different words get different vectors")
    for text, row in zip(texts, together, strict=True):
        alone = encoder.encode_texts([text])
        close_to(alone[0], row, "a text's vector does not depend on its batch")
    backwards = encoder.encode_texts(texts[::-1])
    close_to(backwards[::-1], together, "vectors come in the order of the texts")
    empty = encoder.encode_texts([])
    require(empty.shape == (0, encoder.dim), "no texts make an array of [0, d]", empty.shape)
    for text in texts:
        n_cut = encoder.n_tokens_cut(text)
        require(isinstance(n_cut, int) and n_cut >= 0, "n_tokens_cut is a count", n_cut)
        unread = unread_of(encoder, text)
        require(isinstance(unread, Unread), "unread, where there is one, gives Unread", unread)
    require(encoder.n_tokens_cut("a dog") == 0, "two words are not cut")
    require(not unread_of(encoder, "a dog").words, "two usual words are read")
