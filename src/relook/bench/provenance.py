"""With what figures were measured: the library, its encoder, the programs. Layer: bench."""

import hashlib
import importlib.metadata
import platform
from dataclasses import dataclass

import numpy as np

from relook.core.converter import JsonValue
from relook.encoders.base import Fingerprint
from relook.search.engine import Engine


@dataclass(frozen=True, slots=True)
class MeasuredOn(JsonValue):
    """What must be equal for two reports to be comparable.

    Args:
        n_images: Images of the library.
        n_tiles: Vectors that are searched.
        pictures: Sixteen hexadecimal digits that stand for the contents of all picture files,
            wherever they are and in whatever order they were indexed.
        encoder: The library's encoder.
        versions: Of the programs.
    """

    n_images: int
    n_tiles: int
    pictures: str
    encoder: Fingerprint
    versions: dict[str, str]

    @classmethod
    def of(cls, engine: Engine) -> "MeasuredOn":
        """The library behind an engine, as it is now."""
        contents = sorted(record.content for record in engine.files.catalog.each_image())
        digest = hashlib.sha256(b"".join(contents)).hexdigest()[:16]
        n_tiles = int(engine.files.row_table[:, 1].sum())
        return cls(len(contents), n_tiles, digest, engine.encoder.fingerprint, versions())


def versions() -> dict[str, str]:
    """Program -> version, of those that figures depend on."""
    return {
        "relook": importlib.metadata.version("relook"), "python": platform.python_version(),
        "numpy": np.__version__, "onnxruntime": importlib.metadata.version("onnxruntime"),
    }  # fmt: skip
