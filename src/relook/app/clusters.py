"""What several machines share: workers of a Ray cluster, and collections of Milvus. Layer: app."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relook.app.models import make_encoder, spec_of
from relook.app.paths import library_folder
from relook.core.errors import ClusterError, InputError, MissingExtraError, NotFoundError
from relook.core.settings import EncoderSettings, ImageLimits, RaySettings
from relook.encoders import Encoder
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest

if TYPE_CHECKING:
    from relook.library.reading import ReadElsewhere

Chosen = str | EncoderSettings | Encoder | None


@contextmanager
def workers_of(
    ray: RaySettings | None, chosen: Chosen, encoder: Encoder, limits: ImageLimits
) -> Iterator[ReadElsewhere | None]:
    """Who reads and encodes in place of this process; a cluster stays connected in the block.

    Args:
        ray: How a cluster is used; None, or one without an address, for threads of this process.
        chosen: The encoder as the library names it.
        encoder: The same, open.
        limits: What a picture may cost.

    Raises:
        MissingExtraError: when Ray is not installed.
        ClusterError: `no_cluster` when none answers at the address.
    """
    if ray is None or not ray.address:
        yield None
        return
    from relook.cluster.ray_build import RayPlan, RayWorkers

    make = _maker(chosen, encoder, ray)
    with _connected(ray.address):
        plan = RayPlan(make, ray.workers, ray.shard, ray.cpus, ray.gpus)
        yield RayWorkers(plan, encoder.fingerprint, limits)


def _maker(chosen: Chosen, encoder: Encoder, ray: RaySettings) -> Callable[[], Encoder]:
    """What opens the same encoder on a worker; an object goes there as it is."""
    if not isinstance(chosen, str | EncoderSettings | None):
        return partial(_itself, encoder)
    settings = chosen if isinstance(chosen, EncoderSettings) else EncoderSettings(chosen or "")
    return partial(_opened, settings, spec_of(encoder), max(int(ray.cpus), 1))


def _itself(encoder: Encoder) -> Encoder:
    return encoder


def _opened(settings: EncoderSettings, remembered: str, n_threads: int) -> Encoder:
    encoder = make_encoder(settings, remembered)
    if hasattr(encoder, "n_threads"):  # other workers have the other cores
        encoder.n_threads = n_threads
    return encoder


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Ray, connected to a cluster; one that the caller has connected is used as it is."""
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra",
            f"indexing by a Ray cluster needs the package {error.name!r}",
            "pip install 'relook[ray]'",
        ) from error
    # What fails is tried again or told as a skipped file; Ray Data would write its plans beside.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    try:
        # None is the cluster of $RAY_ADDRESS or of this machine, or else workers of our own.
        ray.init(
            address=None if address == "auto" else address,
            include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            "no_cluster",
            f"no Ray cluster answers at {address!r}: {error}"[:400],
            "start one (ray start --head), or say --ray local for workers on this machine; where"
            " InvalidAuthToken stands above, this machine lacks the token that the cluster wants",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_store(manifest: Manifest, store: str) -> None:
    """Refuses an address that is not the one of a library; none named is fine.

    Raises:
        InputError: `other_store`, `bad_store`.
    """
    if not store:
        return
    from relook.cluster.milvus_client import MilvusAddress

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
    from relook.cluster.milvus_client import Milvus, MilvusAddress
    from relook.cluster.milvus_log import Journal

    milvus = Milvus(MilvusAddress.parse(store))
    try:
        identity = Journal(milvus, place).identity()
    finally:
        milvus.close()
    if identity is None:
        raise NotFoundError(
            "no_library",
            f"there is no library in {milvus.address}",
            f"make one with: relook index FOLDER_OF_PICTURES --store {milvus.address}",
        )
    return LibraryFiles.create(place, identity.encoder, identity.fingerprint, store)
