"""Encoders that wait in the middle of a run, so that a signal meets it there."""

import itertools
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
        self._numbers = itertools.count()  # each is given once: a server's warm-up encodes, too

    def encode_prepared(self, prepared: Sequence[Any]) -> list[Floats]:
        pipe, number = os.environ.get("HELD_FD"), next(self._numbers)
        if pipe is not None and number == N_BATCHES:
            self.hold(int(pipe))
        return super().encode_prepared(prepared)

    def hold(self, pipe: int) -> None:
        """Says `held`, and waits."""
        os.write(pipe, b"held")
        self.wait()

    def wait(self) -> None:
        """Until a signal's handler ends the run."""
        while True:
            time.sleep(0.05)  # the handler runs between two of them, if not in one


class GatedEncoder(HeldEncoder):
    """Before its seventh batch it says `held` on the pipe HELD_FD, and waits for a byte there."""

    def wait(self) -> None:
        """The other end is a socket: it answers when the test has seen what it came to see."""
        os.read(int(os.environ["HELD_FD"]), 1)


class StubbornEncoder(HeldEncoder):
    """Waits as a model or an index in one long step does: whatever the signal's handler raises."""

    def hold(self, pipe: int) -> None:
        """For ever. The signal may come as soon as `held` is written, before that has returned."""
        try:
            super().hold(pipe)
        except KeyboardInterrupt:
            while True:
                time.sleep(600)
