"""Encoders: pictures and words to unit vectors in one space. Layer: encoders.

One adapter a file; `ENCODERS` names them, and `relook.testing` has the checks that each passes.
"""

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
        "hf": Adapter(
            "relook.encoders.hf:HfEncoder",
            "CLIP, SigLIP, SigLIP 2 and their kin by hub id or folder: hf:ORG/NAME",
            extra="hf",
        ),
        "onnx": Adapter(
            "relook.encoders.onnx:OnnxEncoder",
            "the same from ONNX files, without torch, by hub id or folder: onnx:ORG/NAME",
            extra="onnx",
        ),
        "st": Adapter(
            "relook.encoders.st:StEncoder",
            "image-text models of sentence-transformers: st:ORG/NAME",
            extra="hf",
        ),
    },
)
