"""An encoder that waits in the middle of a run, so that a signal meets it there."""

import os
import time
from collections.abc import Sequence
from typing import Any

from relook.core.vectors import Floats
from relook.testing import ColourEncoder

N_BATCHES = 6


class HeldEncoder(ColourEncoder):
    """Before its seventh batch it says `held` on the pipe HELD_FD, and waits for a signal."""

    def __init__(self) -> None:
        super().__init__()
        self._n_batches = 0

    def encode_prepared(self, prepared: Sequence[Any]) -> list[Floats]:
        pipe = os.environ.get("HELD_FD")
        if pipe is not None and self._n_batches == N_BATCHES:
            os.write(int(pipe), b"held")
            while True:
                time.sleep(0.05)  # a signal's handler runs between two of them, if not in one
        self._n_batches += 1
        return super().encode_prepared(prepared)
