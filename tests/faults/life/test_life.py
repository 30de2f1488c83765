"""Whatever people do, nothing that they made is lost.

`make faults` runs 500 sequences, `make test` 20 ($RELOOK_LIVES says how many, $RELOOK_SEED
which come first). A sequence that fails is shortened, and printed as a script.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..parts import victims
from .sequences import draw_and_run, run, script, shorten
from .steps import Step

N_LIVES = int(os.environ.get("RELOOK_LIVES", "20"))
SEED = int(os.environ.get("RELOOK_SEED", "5"))


AFTER_A_REPAIR = (  # found by seed 440 of `make faults`
    Step("add_picture", ("b/old/p5.png", 5)),
    Step("index"),
    Step("add_picture", ("b/old/p15.png", 13)),
    Step("damage", ("b/old/p5.png",)),
    Step("index"),
    Step("unplug", ("b/old", "stray", 16)),
    Step("add_picture", ("b/old/p5.png", 5)),
    Step("index"),
)


@pytest.fixture(scope="module")
def process() -> Iterator[Any]:
    """Where commands are killed."""
    with victims() as running:
        yield running


def test_lives(tmp_path: Path, process: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for n_done in range(N_LIVES):
        seed = SEED + n_done
        failure = draw_and_run(seed, tmp_path / "life", process)
        if failure is not None:
            shortest = shorten(failure, tmp_path / "life", process)
            pytest.fail(f"seed {seed}:\n{script(shortest)}", pytrace=False)
        if n_done % 25 == 24:
            with capfd.disabled():
                sys.stdout.write(f"\n{n_done + 1} of {N_LIVES} lives, nothing lost")
                sys.stdout.flush()


def test_what_a_repair_took_out_lies_beside_what_came_with_its_return(
    tmp_path: Path, process: Any
) -> None:
    """So that the one still there tells that the other was deleted."""
    failure = run(AFTER_A_REPAIR, tmp_path / "life", process)
    assert failure is None, script(failure)
