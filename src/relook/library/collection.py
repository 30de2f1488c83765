"""The seam to a collection that several servers share: where such a library's vectors are.

A library on one machine keeps its vectors in a file. The manifest of a shared library names a
collection instead. Its adapter stands above this layer: a registry names it, and it is
imported when a manifest asks for it. A new library's files are begun here, too. Layer: library.
"""

import os
from pathlib import Path
from typing import Protocol

from relook.core.errors import InputError, disk_error
from relook.core.outputs import check_place
from relook.core.registry import Adapter, Registry
from relook.core.settings import SearchSettings
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint
from relook.library.catalog import Catalog
from relook.library.manifest import Manifest, keep_manifest
from relook.stores import Store
from relook.stores.base import Mask, VectorSource

_COLLECTIONS = Registry(
    "collection",
    {
        "milvus": Adapter(
            "relook.cluster.milvus_library:Shared", "a collection of Milvus", extra="milvus"
        )
    },
)


class LibraryVectors(VectorSource, Protocol):
    """The vectors of one moment of a library."""

    def close(self) -> None:
        """Frees what it holds; closing twice is fine."""


class WriterVectors(LibraryVectors, Protocol):
    """The vectors of a library for its one writer."""

    def append(self, vectors: Floats) -> int:
        """Puts rows [n, d] behind the others and returns the number of the first."""

    def take_back(self, n_rows: int) -> None:
        """Forgets the rows from `n_rows` on, after the catalog refused to name them."""

    def cut_tail(self) -> None:
        """Removes the rows that a killed writer left behind."""


class Collection(Protocol):
    """The vectors of a library on servers, and what other servers committed."""

    def source(self, n_rows: int) -> LibraryVectors:
        """The first rows of the collection."""

    def store(self, n_rows: int, alive: Mask | None, settings: SearchSettings) -> Store:
        """A store over the first rows; `alive` [n_rows] says which of them an image names."""

    def take_in(self, *, now: bool = False) -> None:
        """Takes in what other servers committed: every few seconds, or at once when `now`."""

    def begin_writing(self) -> WriterVectors:
        """Becomes the one writer, and mends what a killed one left behind."""

    def close(self) -> None:
        """Lets others write, and ends the connection; closing twice is fine."""


def open_collection(folder: Path, manifest: Manifest, catalog: Catalog) -> Collection | None:
    """The collection that a manifest names; None for a library of this machine alone.

    Opening it sends no request.
    """
    if not manifest.store:
        return None
    collection: Collection = _COLLECTIONS.load("milvus").of(folder, manifest, catalog)
    return collection


def claim_collection(folder: Path, manifest: Manifest, catalog: Catalog, store: str) -> Manifest:
    """Makes, or joins, the collection of a new library.

    Args:
        folder: The library on this machine.
        manifest: Of the new library.
        catalog: The new, empty one there; closed when this fails.
        store: Address of the collection.

    Returns:
        The manifest that names it.

    Raises:
        InputError: `bad_store`, `store_taken`; EncoderMismatchError; StoreError.
    """
    claimed: Manifest = _COLLECTIONS.load("milvus").claimed(folder, manifest, catalog, store)
    return claimed


def make_folder(folder: Path, begins: tuple[str, ...], index: str) -> None:
    """Makes a folder for a library, or checks that nothing else is in it.

    Args:
        folder: Where.
        begins: How the names of a library's own files begin.
        index: Name of the folder of its index.

    Raises:
        InputError: `folder_in_use` when other files are in the folder; `in_library` when it is
            in another library's.
        StorageError: when it cannot be made.
    """
    check_place(folder, is_library=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(name for name in os.listdir(folder) if name != index)
        others = [name for name in names if not name.startswith(begins)]
    except OSError as error:
        raise disk_error(f"cannot make a library at {folder}", error) from error
    if others:
        raise InputError(
            "folder_in_use",
            f"{folder} holds other files ({others[0]!r}, for one) and no library",
            "choose a new folder for the library; pictures stay where they are",
        )


def begin_library(
    folder: Path, catalog: Catalog, encoder_name: str, fingerprint: Fingerprint, store: str
) -> Manifest:
    """Writes the manifest of a new library. Writer's lock held.

    Args:
        folder: Where.
        catalog: The new, empty one there; closed when this fails.
        encoder_name: What opens the encoder that will make its vectors.
        fingerprint: Of that encoder.
        store: Address of the collection for the vectors; a file in the folder when empty.

    Raises:
        InputError, EncoderMismatchError, StoreError: of the collection.
        StorageError: when it cannot be written.
    """
    try:
        manifest = Manifest(encoder_name, fingerprint)
        if store:
            manifest = claim_collection(folder, manifest, catalog, store)
        keep_manifest(catalog, manifest)
        manifest.write(folder)
    except BaseException:
        catalog.close()
        raise
    return manifest
