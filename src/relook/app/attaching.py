"""Libraries of several servers: joining a collection, and not mistaking it. Layer: app."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from relook.app.places import library_folder
from relook.core.errors import InputError, NotFoundError
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest

__all__ = ["attach", "check_store"]


def check_store(manifest: Manifest, store: str) -> None:
    """Refuses an address that is not the one of a library; none named is fine.

    Raises:
        InputError: `other_store`, `bad_store`.
    """
    if not store:
        return
    from relook.stores.milvus_client import MilvusAddress

    named = str(MilvusAddress.parse(store))
    if named != manifest.store:
        has = f"in {manifest.store}" if manifest.store else "in its own folder"
        raise InputError(
            "other_store",
            f"this library has its vectors {has}, not in {named}",
            "leave the store out, or name another folder for a new library",
        )


def attach(store: str, folder: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Makes a library here of a collection that another server fills, or brings it up to date.

    Sessions are this server's own. Images are known by the paths that they had where they were
    indexed: they are shown where this server reaches the same paths.

    Args:
        store: Address of the collection.
        folder: The library on this machine; the per-user one when None.

    Returns:
        `{"library", "store", "encoder", "n_images", "n_new"}`.

    Raises:
        NotFoundError: `no_library` when no library is in that collection.
        InputError: `bad_store`, `other_store`, `folder_in_use`.
        StoreError: `store_failed` when Milvus is down.
    """
    place = library_folder(folder)
    with _attached(store, place) as files:
        n_before = files.catalog.count("images")
        files.refresh(now=True)
        n_images = files.catalog.count("images")
        return {
            "library": str(place),
            "store": files.manifest.store,
            "encoder": files.manifest.encoder,
            "n_images": n_images,
            "n_new": n_images - n_before,
        }


def _attached(store: str, place: Path) -> LibraryFiles:
    if Manifest.exists(place):
        check_store(Manifest.read(place), store)
        return LibraryFiles.open(place)
    from relook.library.journal import Journal
    from relook.stores.milvus_client import Milvus, MilvusAddress

    milvus = Milvus(MilvusAddress.parse(store))
    try:
        found = Journal(milvus, place).identity()
    finally:
        milvus.close()
    if found is None:
        raise NotFoundError(
            "no_library",
            f"there is no library in {milvus.address}",
            f"make one with: relook index FOLDER_OF_PICTURES --store {milvus.address}",
        )
    return LibraryFiles.create(place, found.encoder, found.fingerprint, store)
