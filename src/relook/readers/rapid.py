"""RapidOCR as a reader. Layer: readers.

Source: https://github.com/RapidAI/RapidOCR, PP-OCR models of PaddleOCR as ONNX files.
"""

from __future__ import annotations

import importlib.metadata
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rapidocr
from numpy.typing import NDArray

from relook.core.errors import ModelError
from relook.core.types import Box, WrittenWord
from relook.readers.base import TextLine

if TYPE_CHECKING:
    from PIL import Image

_LONGEST_PX = 1280  # in which lines are looked for; they are read from all pixels
_LEAST = 1e-4  # of a box's width and height
_MODELS = {"Det": "*_det_*.onnx", "Cls": "*_cls_*.onnx", "Rec": "*_rec_*.onnx"}


class RapidReader:
    """Reads with RapidOCR, one engine of one processor core a thread.

    Raises:
        ModelError: `no_weights` when the package has come without its models, which would
            otherwise be fetched from the network.
    """

    def __init__(self) -> None:
        self._params: dict[str, Any] = {
            "Global.log_level": "critical",
            "Global.return_word_box": True,
            "Det.limit_type": "max",
            "Det.limit_side_len": _LONGEST_PX,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        folder = Path(rapidocr.__file__).parent / "models"
        for part, pattern in _MODELS.items():
            files = sorted(folder.glob(pattern))
            if not files:
                raise ModelError(
                    "no_weights",
                    f"rapidocr has come without its models: {folder / pattern}",
                    "pip install --force-reinstall 'rapidocr>=3.10'",
                )
            self._params[f"{part}.model_path"] = str(files[0])
        self._engines = threading.local()

    @classmethod
    def open(cls, _spec: str) -> RapidReader:
        """The reader; nothing can be chosen."""
        return cls()

    @property
    def name(self) -> str:
        """With the package's version, which decides the models."""
        return f"rapidocr {importlib.metadata.version('rapidocr')}"

    def read(self, image: Image.Image) -> list[TextLine]:
        """As `TextReader.read`."""
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])  # as OpenCV
        reading = self._engine()(pixels)
        if reading.txts is None:
            return []
        by_word = reading.word_results if len(reading.word_results) == len(reading.txts) else None
        lines = []
        for at, (text, quad) in enumerate(zip(reading.txts, reading.boxes, strict=True)):
            words = [(str(word), place) for word, _, place in by_word[at]] if by_word else []
            # Parted into words the reading may lack letters with accents; the line never does.
            if [word for word, _ in words] != text.split():
                words = _parted(text, np.asarray(quad, np.float64))
            lines.append(_line(words, image.size))
        return [line for line in lines if line.words]

    def _engine(self) -> Any:
        engine = getattr(self._engines, "engine", None)
        if engine is None:
            engine = self._engines.engine = rapidocr.RapidOCR(params=self._params)
        return engine

    def close(self) -> None:
        """Frees the engines."""
        self._engines = threading.local()


def _parted(text: str, quad: NDArray[np.float64]) -> list[tuple[str, Any]]:
    """The words of a line, each with its share of the line's corners [4, 2], by its letters."""
    top_left, top_right, low_right, low_left = quad
    words = []
    for match in re.finditer(r"\S+", text):
        begin, end = match.start() / len(text), match.end() / len(text)
        top = [top_left + (top_right - top_left) * share for share in (begin, end)]
        low = [low_left + (low_right - low_left) * share for share in (end, begin)]
        words.append((match[0], np.stack([*top, *low])))
    return words


def _line(words: Sequence[tuple[str, Any]], size: tuple[int, int]) -> TextLine:
    return TextLine(
        tuple(WrittenWord(text.strip(), _box(quad, size)) for text, quad in words if text.strip())
    )


def _box(quad: Any, size: tuple[int, int]) -> Box:
    """The upright rectangle around four corners [4, 2] in pixels."""
    corners = np.asarray(quad, np.float64).reshape(-1, 2) / size
    (x0, y0), (x1, y1) = (corners.min(axis=0), corners.max(axis=0))
    x0, y0 = min(max(x0, 0.0), 1.0 - _LEAST), min(max(y0, 0.0), 1.0 - _LEAST)
    return Box(x0, y0, min(max(x1, x0 + _LEAST), 1.0), min(max(y1, y0 + _LEAST), 1.0))
