"""What every encoder and every store must pass, and small fakes. Layer: testing.

For authors of plugins. A test of theirs is three lines, with any test runner:

    from relook.testing import check_encoder, check_store

    def test_my_encoder() -> None:
        check_encoder(MyEncoder)

    def test_my_store() -> None:
        check_store(lambda vectors: MyStore(vectors))

Each raises `ContractError`, an AssertionError that says which promise was broken and with
which values. `ColourEncoder` stands in for a real encoder wherever only the machinery
around it is tested: it needs no weights and no time.
"""

from __future__ import annotations

from relook.testing.contract import ContractError
from relook.testing.encoders import check_encoder
from relook.testing.fakes import COLOURS, ColourEncoder, noise, patched, solid
from relook.testing.stores import MemorySource, check_store

__all__ = [
    "COLOURS",
    "ColourEncoder",
    "ContractError",
    "MemorySource",
    "check_encoder",
    "check_store",
    "noise",
    "patched",
    "solid",
]
