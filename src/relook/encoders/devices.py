"""Where a model runs, torch's or ONNX Runtime's, in what precision, and how many at once.

Layer: encoders. The only module that loads ONNX Runtime: its official builds from 1.31 on report
to Microsoft, and keep an identifier of the machine for that, unless they are told not to before
they are loaded.

Source: ONNX Runtime's documentation of execution providers and of session options; its
`Privacy.md`, "Disabling Telemetry".
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from relook.core.errors import InputError, ModelError, RelookError

if TYPE_CHECKING:
    from types import ModuleType

    import onnxruntime
    import torch

    from relook.encoders.onnx_folder import OnnxFolder

_LOG = logging.getLogger(__name__)
DTYPES = ("auto", "float32", "bfloat16", "float16")
TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-3}
"""How far the numbers of a picture's unit vector may change with its batch, in each precision."""
_GAIN = 1.08  # a doubled batch must be this much faster to be kept
_LARGEST = 1024
T = TypeVar("T")


class Place:
    """A device with the precision that models run in there.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: A name of `DTYPES`, not auto.
    """

    def __init__(self, device: str, dtype: str) -> None:
        self.device, self.dtype = device, dtype

    @property
    def torch_dtype(self) -> torch.dtype:
        """As torch has it."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def first_batch(self) -> int:
        """Pictures to begin with, before anything was measured."""
        return 32 if self.device.startswith("cuda") else 8

    def __str__(self) -> str:
        return f"{self.device} {self.dtype}"


def place(device: str = "auto", dtype: str = "auto") -> Place:
    """Chooses where to run: CUDA before MPS before the processor, and what is fast there.

    Half precision on a GPU; on a processor bfloat16 only where it has the instructions
    (AVX512-BF16 or AMX), since elsewhere it is slower than float32.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: One of `DTYPES`.

    Raises:
        InputError: `bad_device` or `bad_dtype`.
    """
    import torch

    if dtype not in DTYPES:
        raise InputError("bad_dtype", f"no precision is called {dtype!r}", f"use {_told(DTYPES)}")
    if device == "auto":
        device = next((name for name in ("cuda", "mps") if _there(name, torch)), "cpu")
    elif not _there(device, torch):
        raise InputError(
            "bad_device",
            f"there is no device {device!r} that torch {torch.__version__} can use",
            f"use {_told(_devices(torch))}, or leave --device out",
        )
    return Place(device, _fast_dtype(device, torch) if dtype == "auto" else dtype)


def _devices(torch: Any) -> tuple[str, ...]:
    return tuple(name for name in ("cuda", "mps", "cpu") if _there(name, torch))


def _there(device: str, torch: Any) -> bool:
    kind, _, number = device.partition(":")
    if kind == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return int(number or 0) < n_devices if number.isdigit() or not number else False
    if number:
        return False
    return kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available())


def _fast_dtype(device: str, torch: Any) -> str:
    if device != "cpu":
        return "float16"  # three more bits than bfloat16, and these towers stay in its range
    has = torch.cpu.get_capabilities()
    return "bfloat16" if has.get("avx512_bf16") or has.get("amx_bf16") else "float32"


def _told(names: Sequence[str]) -> str:
    return ", ".join(names)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a model failed because memory is short, on a GPU, MPS or the processor."""
    torch = sys.modules.get("torch")  # an error of torch comes from a torch that is loaded
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in message
        for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


class BatchSize:
    """How many inputs go through a model at once: grown while it pays, halved when memory is short.

    Args:
        first: To begin with.
    """

    def __init__(self, first: int) -> None:
        self.size = first
        self._settled = False
        self._best = 0.0
        self._seen: list[float] = []

    def took(self, n: int, seconds: float) -> None:
        """Learns from a batch that is at least half full; three decide about the next size."""
        if self._settled or 2 * n <= self.size:
            return
        self._seen.append(n / max(seconds, 1e-9))
        if len(self._seen) < 3:
            return
        rate, self._seen = max(self._seen), []
        if rate < self._best * _GAIN:
            self.size, self._settled = self.size // 2, True
        elif self.size * 2 > _LARGEST:
            self._settled = True
        else:
            self._best, self.size = rate, self.size * 2

    def settle(self) -> None:
        """Keeps this size, unless memory is short."""
        self._settled = True

    def halve(self) -> None:
        """Memory was short: half of it from now on."""
        self.size, self._settled = max(self.size // 2, 1), True


def in_batches(
    items: Sequence[Any], run: Callable[[Sequence[Any]], list[T]], batch: BatchSize, place: Place
) -> list[T]:
    """Runs a model over all items, however little memory there is; results in order.

    Args:
        items: Inputs.
        run: From some of them to as many results.
        batch: How many at once; learns.
        place: Where, for the message.

    Raises:
        ModelError: `out_of_memory` when not even one fits.
    """
    done: list[T] = []
    while len(done) < len(items):
        some = items[len(done) : len(done) + batch.size]
        began = time.perf_counter()
        try:
            done += run(some)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(some) == 1:
                raise _no_memory(place) from error
        else:
            batch.took(len(some), time.perf_counter() - began)
            continue
        # Outside of the handler: the error's traceback holds the tensors that are to be freed.
        batch.halve()
        _LOG.warning("out of memory with %d at once; going on with %d", len(some), batch.size)
        _free(place)
    return done


def _free(place: Place) -> None:
    import gc

    gc.collect()
    torch = sys.modules.get("torch")
    if torch and place.device.startswith("cuda"):
        torch.cuda.empty_cache()


def _no_memory(place: Place) -> ModelError:
    return ModelError(
        "out_of_memory",
        f"the memory of {place.device} is too small for one picture at a time ({place.dtype})",
        "end other programs that use it, take a smaller model, or use --device cpu",
    )


_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# CoreML is not among them: it computes in half precision without saying so.
_AUTOMATIC = ("cuda", "openvino", "cpu")
_DEVICE = re.compile(r"([a-z]+)(?::(\d+))?\Z")


def runtime() -> ModuleType:
    """ONNX Runtime, loaded so that it sends nothing, unless the person's environment says else."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is read when the library is loaded
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


def choose_device(device: str = "auto") -> str:
    """The device that a graph runs on.

    Args:
        device: `auto` (the first of CUDA, OpenVINO and the processor that the installed ONNX
            Runtime is built for), `cpu`, `cuda`, `cuda:1`, `openvino` or `coreml`.

    Raises:
        InputError: `bad_device`.
    """
    ort = runtime()
    there = ort.get_available_providers()
    if device == "auto":
        return next(name for name in _AUTOMATIC if _PROVIDERS[name] in there)
    kind, number = _parts(device)
    if _PROVIDERS.get(kind) not in there or (number and kind != "cuda"):
        usable = ", ".join(name for name, provider in _PROVIDERS.items() if provider in there)
        raise InputError(
            "bad_device",
            f"there is no device {device!r} that ONNX Runtime {ort.__version__} can use",
            f"use {usable}, or leave --device out; onnxruntime-gpu brings cuda,"
            " onnxruntime-openvino openvino",
        )
    return device


def _parts(device: str) -> tuple[str, str]:
    """The kind of a device and its number, as text."""
    match = _DEVICE.match(device)
    return (match[1], match[2] or "") if match else (device, "")


def open_session(
    path: Path, device: str = "cpu", n_threads: int = 0, *, optimised: bool = True
) -> onnxruntime.InferenceSession:
    """Loads a graph.

    Args:
        path: Its file.
        device: As `choose_device` returns it.
        n_threads: Threads on the processor; 0 means one a core.
        optimised: Whether the graph is put into the form that runs fastest, which takes longer
            than a run or two.

    Raises:
        InputError: `bad_device` when the device does not take it; what ONNX Runtime raises for
            a file that it cannot load.
    """
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
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
    session: onnxruntime.InferenceSession = ort.InferenceSession(
        str(path), options, providers=wanted
    )
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
            message = str(error).lower()
            if (
                is_out_of_memory(error)
                or "allocate memory" in message
                or "out of memory" in message
            ):
                raise MemoryError(str(error)) from error
            raise self.files.damaged(self.path, error) from error
