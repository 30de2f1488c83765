"""Opening a graph on ONNX Runtime, where it is asked to run. Layer: encoders.

Source: ONNX Runtime's documentation of execution providers and of session options.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from numpy.typing import NDArray

from relook.core.errors import InputError, RelookError
from relook.encoders.devices import is_out_of_memory

if TYPE_CHECKING:
    from relook.encoders.onnx_folder import OnnxFolder

__all__ = ["Graph", "choose_device", "open_session"]

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# CoreML is not among them: it computes in half precision without saying so.
_AUTOMATIC = ("cuda", "openvino", "cpu")
_DEVICE = re.compile(r"([a-z]+)(?::(\d+))?\Z")


def choose_device(device: str = "auto") -> str:
    """The device that a graph runs on.

    Args:
        device: `auto` (the first of CUDA, OpenVINO and the processor that the installed ONNX
            Runtime is built for), `cpu`, `cuda`, `cuda:1`, `openvino` or `coreml`.

    Raises:
        InputError: `bad_device`.
    """
    there = onnxruntime.get_available_providers()
    if device == "auto":
        return next(name for name in _AUTOMATIC if _PROVIDERS[name] in there)
    kind, number = _parts(device)
    if _PROVIDERS.get(kind) not in there or (number and kind != "cuda"):
        usable = ", ".join(name for name, provider in _PROVIDERS.items() if provider in there)
        raise InputError(
            "bad_device",
            f"there is no device {device!r} that ONNX Runtime {onnxruntime.__version__} can use",
            f"use {usable}, or leave --device out; onnxruntime-gpu brings cuda,"
            " onnxruntime-openvino openvino",
        )
    return device


def _parts(device: str) -> tuple[str, str]:
    """The kind of a device and its number, as text."""
    match = _DEVICE.match(device)
    return (match[1], match[2] or "") if match else (device, "")


def open_session(
    path: Path, device: str = "cpu", n_threads: int = 0
) -> onnxruntime.InferenceSession:
    """Loads a graph.

    Args:
        path: Its file.
        device: As `choose_device` returns it.
        n_threads: Threads on the processor; 0 means one a core.

    Raises:
        InputError: `bad_device` when the device does not take it; what ONNX Runtime raises for
            a file that it cannot load.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    # Idle threads would otherwise spin and take the core from the decoding threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Processors with AVX2 or AVX-512 but without VNNI add pairs of 8-bit products in 16 bits,
    # which saturate: vectors then stand at .93 to what they are elsewhere. This asks for the
    # instructions that do not, on such processors only.
    # Source: ONNX Runtime, "Quantize ONNX models", on U8S8 and saturation.
    options.add_session_config_entry("session.x64quantprecision", "1")
    kind, number = _parts(device)
    provider = _PROVIDERS[kind]
    wanted: list[Any] = [(provider, {"device_id": number})] if number else [provider]
    if kind != "cpu":
        wanted.append(_PROVIDERS["cpu"])  # for operators that the device has not
    session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    if session.get_providers()[0] != provider:  # it goes on without, and only logs why
        raise InputError(
            "bad_device",
            f"ONNX Runtime cannot use {device} here: its libraries are missing, or do not fit",
            "see what its documentation asks for, or use --device cpu",
        )
    return session


class Graph:
    """A graph on ONNX Runtime, which holds one tower or both.

    Args:
        path: Its file.
        device: As `choose_device` returns it.
        n_threads: As for `open_session`.
        files: The model, for messages.

    Raises:
        ModelError: `model_changed` when it cannot be loaded; `out_of_memory` is a MemoryError,
            which `in_batches` knows.
        InputError: `bad_device`.
    """

    def __init__(self, path: Path, device: str, n_threads: int, files: OnnxFolder) -> None:
        self.path, self.files = path, files
        self._session: onnxruntime.InferenceSession = self._guarded(
            lambda: open_session(path, device, n_threads)
        )
        self.inputs = {put.name: put for put in self._session.get_inputs()}
        self.outputs = {put.name: list(put.shape or ()) for put in self._session.get_outputs()}

    def run(self, output: str, feeds: dict[str, NDArray[Any]]) -> Any:
        """One output; ONNX Runtime computes all of the graph for it.

        Raises:
            ModelError: `model_changed` when ONNX Runtime refuses.
        """
        return self._guarded(partial(self._session.run, [output], feeds))[0]

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Runs something of ONNX Runtime, whose errors have many kinds."""
        try:
            return work()
        except RelookError:
            raise
        except Exception as error:
            told = str(error).lower()
            if is_out_of_memory(error) or "allocate memory" in told or "out of memory" in told:
                raise MemoryError(str(error)) from error
            raise self.files.damaged(self.path, error) from error
