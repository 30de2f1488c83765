"""Libraries over one Milvus server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from library_parts import many
from milvus_parts import MilvusProcess

import relook
from relook.cluster.milvus_client import Milvus, MilvusAddress
from relook.core.settings import IndexSettings, SearchSettings
from relook.testing import ColourEncoder

N = 24


SMALL = IndexSettings(batch=4, commit_every=4)


Opener = Callable[..., relook.Library]


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusProcess]:
    server = MilvusProcess(tmp_path_factory.mktemp("milvus") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def address(milvus: MilvusProcess, request: pytest.FixtureRequest) -> str:
    """A collection for this test alone."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]
    return milvus.address(name)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    libraries = []

    def open_it(name: str, store: str | None = None, **options: Any) -> relook.Library:
        options.setdefault("encoder", ColourEncoder())
        options.setdefault("search", SearchSettings(fold=False))
        library = relook.Library(tmp_path / name, store=store, **options)
        libraries.append(library)
        return library

    yield open_it
    for library in libraries:
        library.close()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    many(tmp_path / "pictures", N)
    return tmp_path / "pictures"


def vectors(library: relook.Library) -> dict[bytes, bytes]:
    files = library.files
    files.refresh(now=True)
    return {
        one.facts.path: files.vectors.block(
            one.first_row, one.first_row + one.n_tiles
        ).tobytes()
        for one in files.catalog.each_image()
    }  # fmt: skip


def raw(address: str) -> Milvus:
    return Milvus(MilvusAddress.parse(address))
