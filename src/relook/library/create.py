"""Making the files of a new library. Layer: library."""

import os
from pathlib import Path

from relook.core.errors import InputError, LibraryFormatError, disk_error
from relook.encoders.base import Fingerprint
from relook.library.catalog import Catalog
from relook.library.collection import claim_collection
from relook.library.manifest import Manifest


def make_folder(folder: Path, begins: tuple[str, ...], index: str) -> None:
    """Makes a folder for a library, or checks that nothing else is in it.

    Args:
        folder: Where.
        begins: How the names of a library's own files begin.
        index: Name of the folder of its index.

    Raises:
        InputError: `folder_in_use` when other files are in the folder.
        StorageError: when it cannot be made.
    """
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
        LibraryFormatError: `bad_manifest` when only the manifest of a library is gone.
        InputError, EncoderMismatchError, StoreError: of the collection.
        StorageError: when it cannot be written.
    """
    try:
        if catalog.end_row():
            raise LibraryFormatError(
                "bad_manifest",
                f"{folder} holds a catalog of indexed images but no manifest.json",
                "restore it from a backup, or index the pictures into a new library",
            )
        manifest = Manifest(encoder_name, fingerprint)
        if store:
            manifest = claim_collection(folder, manifest, catalog, store)
        manifest.write(folder)
    except BaseException:
        catalog.close()
        raise
    return manifest
