"""Two encoders whose vectors cannot be compared, by name, for tests of an upgrade."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from relook.core.registry import Adapter
from relook.core.settings import EncoderSettings
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders import ENCODERS
from relook.encoders.base import Fingerprint, Means
from relook.encoders.spec import ModelSpec
from relook.testing import ColourEncoder

ORDER = (0, 2, 4, 1)  # the old tiles in the order of the new ones; one is gone


class OldEncoder(ColourEncoder):
    """The encoder that a library was made with."""

    spec = "old"


class NewEncoder(ColourEncoder):
    """Longer vectors with the colours elsewhere, and fewer tiles in another order."""

    spec = "new"
    dim = 24

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> "NewEncoder":
        return cls()

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("new", "7", "none", "box", self.dim, "float32")

    @property
    def means(self) -> Means | None:
        return None

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        boxes = ColourEncoder.tiles_for(self, width_px, height_px)
        return tuple(boxes[at] for at in ORDER)

    def encode_prepared(self, prepared: Sequence[Any]) -> list[Floats]:
        return [self._moved(rows[list(ORDER)]) for rows in _OLD.encode_prepared(prepared)]

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return self._moved(_OLD.encode_texts(texts))

    def _moved(self, rows: Floats) -> Floats:
        moved = np.zeros((len(rows), self.dim), np.float32)
        moved[:, 24 - rows.shape[1] :] = rows[:, ::-1]
        return moved


class HeldEncoder(NewEncoder):
    """Waits before its `hold_at`-th batch of several pictures until it may go on."""

    batch = 4

    def __init__(self, hold_at: int = 1) -> None:
        super().__init__()
        self.hold_at, self.n_batches, self.n_pictures = hold_at, 0, 0
        self.is_held, self.may_go = threading.Event(), threading.Event()

    def encode_prepared(self, prepared: Sequence[Any]) -> list[Floats]:
        self.n_batches += 1
        self.n_pictures += len(prepared)
        if self.n_batches == self.hold_at:
            self.is_held.set()
            assert self.may_go.wait(600)
        return super().encode_prepared(prepared)


_OLD = ColourEncoder()


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `old` and `new` be opened by name, as the encoders of manifests are."""
    for name, kind in (("old", "OldEncoder"), ("new", "NewEncoder")):
        monkeypatch.setitem(ENCODERS.builtin, name, Adapter(f"upgrade_parts:{kind}", "for tests"))
