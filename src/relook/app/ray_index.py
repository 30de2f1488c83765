"""Who reads and encodes the pictures of a run: threads here, or the workers of a Ray cluster.
Layer: app.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from relook.app.models import make_encoder, spec_of
from relook.core.errors import ClusterError, MissingExtraError
from relook.core.settings import EncoderSettings, ImageLimits, RaySettings
from relook.encoders import Encoder

if TYPE_CHECKING:
    from relook.library.build import ReadElsewhere

__all__ = ["workers_of"]

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
    from relook.library.ray_build import RayPlan, RayWorkers

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
            "start one (ray start --head), or say --ray local for workers on this machine",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
