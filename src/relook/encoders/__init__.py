"""Encoders: pictures and words to unit vectors in one space. Layer: encoders.

One adapter a file; `ENCODERS` names them, and `relook.testing` has the checks that each passes.
"""

from __future__ import annotations

from relook.core.registry import Adapter, Registry
from relook.encoders.base import Encoder, Fingerprint, Means

__all__ = ["DEFAULT", "ENCODERS", "Encoder", "Fingerprint", "Means"]

DEFAULT = "builtin"
ENCODERS = Registry(
    "encoder",
    {
        "builtin": Adapter(
            "relook.encoders.builtin:BuiltinEncoder",
            "two small towers inside the package, on ONNX Runtime; no download, no network",
        ),
    },
)
