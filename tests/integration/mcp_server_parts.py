"""A library that MCP serves, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ask_parts import own_config  # noqa: F401 -- a fixture
from mcp_parts import make_library, serving

from relook.mcp.server import RelookServer

BLUE, GREEN, RED, WILD = 1, 2, 3, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("mcp"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RelookServer]:
    with serving(folder) as running:
        yield running
