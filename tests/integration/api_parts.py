"""A server with one library, for tests of its API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import Running, serving

import relook

# The three pictures are indexed in the order of their paths.
GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture
def server(library: relook.Library, pictures: Path, tmp_path: Path) -> Iterator[Running]:
    library.add(pictures)
    with serving(library, cache=tmp_path / "cache") as running:
        yield running
