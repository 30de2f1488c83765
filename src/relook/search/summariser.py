"""Trained weights of the strategy `afs`: an ONNX file, opened when first asked. Layer: search.

`relook train afs` writes it. It holds the fingerprint of the encoder whose vectors it was trained
on: those of another one mean nothing to it, and are refused.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import from_json
from relook.core.errors import EncoderMismatchError, ModelError, NotFoundError, RelookError
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint
from relook.feedback.summaries import NO_AFS, TRAIN_AFS
from relook.library.files import LibraryFiles

AFS_FILE = "afs.onnx"
"""Name of the weights in a library's folder."""
AFS_INPUTS = ("query", "vectors", "is_text", "weight")
"""[b, d] unit vectors; [b, n, d]; [b, n] one for captions, zero for tiles; [b, n], 0 is nothing."""
AFS_OUTPUTS = ("summary", "attention")
"""[b, d] unit vectors; [b, n], each row sums to one."""
AFS_KIND, AFS_VERSION = "afs", 1
"""What the file says it is."""
FACTS = "relook"
"""Key of the file's metadata: JSON with `kind`, `version`, `fingerprint` and `trained`."""
_MAX_BYTES = 512 * 1024**2
_AGAIN = "train it again (relook train afs), or copy the file again"


class OnnxSummariser:
    """The summariser of one file.

    Args:
        path: The file.
        fingerprint: Of the encoder whose vectors it is to read.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path, self._fingerprint = path, fingerprint
        self._lock = threading.Lock()
        self._session: Any = None
        self._facts: Mapping[str, Any] = {}

    def __call__(
        self,
        query: Floats,
        vectors: Floats,
        is_text: NDArray[np.bool_],
        weights: NDArray[np.floating],
    ) -> tuple[Floats, Floats]:
        """See `relook.feedback.judged.Summariser`.

        Raises:
            NotFoundError: `no_afs` when the file is not there.
            ModelError: `bad_afs` when it is torn, or something else.
            EncoderMismatchError: `other_encoder` when it was trained for another one.
        """
        session = self._open()
        given = (query[None], vectors[None], is_text[None], weights[None])
        inputs = {n: v.astype(np.float32) for n, v in zip(AFS_INPUTS, given, strict=True)}
        try:
            summary, attention = session.run(AFS_OUTPUTS, inputs)
        except Exception as error:  # ONNX Runtime's errors have many kinds
            raise self._bad(error) from error
        return summary[0], attention[0]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the file says of itself: `fingerprint`, and `trained` (on what, and how well)."""
        self._open()
        return self._facts

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                self._facts, self._session = self._read()
            return self._session

    def _read(self) -> tuple[Mapping[str, Any], Any]:
        from relook.encoders.devices import open_session

        if not self.path.is_file():
            raise NotFoundError(
                NO_AFS, f"the strategy afs has no trained weights: {self.path} is not there",
                TRAIN_AFS,
            )  # fmt: skip
        if self.path.stat().st_size > _MAX_BYTES:
            raise self._bad("it is larger than 512 MiB")
        try:
            session = open_session(self.path, n_threads=1)
            facts = json.loads(session.get_modelmeta().custom_metadata_map[FACTS])
            if (facts["kind"], facts["version"]) != (AFS_KIND, AFS_VERSION):
                raise self._bad(
                    f"it is {facts['kind']} {facts['version']}, not {AFS_KIND} {AFS_VERSION}"
                )
            fingerprint = from_json(Fingerprint, facts["fingerprint"])
            inputs = tuple(value.name for value in session.get_inputs())
        except RelookError:
            raise
        except KeyError as error:
            raise self._bad("it does not say what it was trained for") from error
        except Exception as error:  # as above
            raise self._bad(error) from error
        self._check_encoder(fingerprint)
        if inputs != AFS_INPUTS:
            raise self._bad(f"it takes {', '.join(inputs)}")
        return facts, session

    def _check_encoder(self, fingerprint: Fingerprint) -> None:
        if fingerprint.digest != self._fingerprint.digest:
            raise EncoderMismatchError(
                "other_encoder",
                f"{self.path} was trained for {fingerprint.told}; this library's encoder is"
                f" {self._fingerprint.told}",
                TRAIN_AFS,
            )

    def _bad(self, why: object) -> ModelError:
        reason = " ".join(str(why).split())[:300]
        return ModelError("bad_afs", f"{self.path} is no trained summariser: {reason}", _AGAIN)


def summariser_of(files: LibraryFiles, fingerprint: Fingerprint, named: str = "") -> OnnxSummariser:
    """The summariser of a library; nothing is opened before it is asked.

    Args:
        files: The open library.
        fingerprint: Of its encoder.
        named: Path of the weights; the library's own when empty.
    """
    path = Path(named).expanduser() if named else files.folder / AFS_FILE
    try:
        facts = path.stat()
        key = f"{AFS_FILE} {facts.st_mtime_ns} {facts.st_size} {path}"
    except OSError:
        return OnnxSummariser(path, fingerprint)
    known: OnnxSummariser | None = files.derived.get(key)
    if known is None:
        known = files.derived[key] = OnnxSummariser(path, fingerprint)
    return known
