"""What every encoder, store and provider must pass, and small fakes. Layer: testing.

For authors of plugins. A test of theirs is three lines, with any test runner:

    from relook.testing import check_encoder, check_provider, check_store

    def test_my_encoder() -> None:
        check_encoder(MyEncoder)

    def test_my_store() -> None:
        check_store(lambda vectors: MyStore(vectors))

    def test_my_provider() -> None:
        check_adapter(MyProvider)
        check_provider(MyProvider)

Each raises `ContractError`, an AssertionError that says which promise was broken and with
which values. `ColourEncoder` stands in for a real encoder wherever only the machinery
around it is tested: it needs no weights and no time. `relook.testing.checkpoints` makes tiny
CLIP, SigLIP, LLaVA and BLIP checkpoints with random weights for what needs a real model's shape.
"""

from relook.testing.contract import (
    ContractError,
    check_adapter,
    check_answerer,
    check_captioner,
    check_encoder,
    check_reader,
)
from relook.testing.fakes import (
    COLOURS,
    ColourCaptioner,
    ColourEncoder,
    ColourReader,
    noise,
    patched,
    solid,
)
from relook.testing.providers import check_provider
from relook.testing.stores import MemorySource, check_store, content_of

__all__ = [
    "COLOURS",
    "ColourCaptioner",
    "ColourEncoder",
    "ColourReader",
    "ContractError",
    "MemorySource",
    "check_adapter",
    "check_answerer",
    "check_captioner",
    "check_encoder",
    "check_provider",
    "check_reader",
    "check_store",
    "content_of",
    "noise",
    "patched",
    "solid",
]
