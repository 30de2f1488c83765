"""A checkpoint of transformers as ONNX files that need no torch any more. Layer: encoders.

Writes the layout of transformers.js, and compares the vectors of both before it calls the result
done. Needs `relook[hf]`.

Source: torch's `torch.onnx.export` (the TorchScript exporter, whose graphs every ONNX Runtime
loads); `onnxruntime.quantization.quantize_dynamic`; transformers' `convert_slow_tokenizer`.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import InputError, ModelError, disk_error
from relook.core.outputs import check_place
from relook.core.registry import import_extra
from relook.core.vectors import Floats
from relook.encoders.devices import runtime
from relook.encoders.hf import HfEncoder
from relook.encoders.onnx import OnnxEncoder
from relook.encoders.torch_models import quiet

if TYPE_CHECKING:
    from PIL import Image

OPSET = 17
"""Version of the operators: ONNX Runtime of 2022 and later has them."""
TOLERANCE = 1e-3
"""How far a number of an exported model's unit vector may be from the checkpoint's."""
_TEXTS = ("a dog", "Two red boats, near the sea!", "word " * 200, "naïve café", "犬が走る")
_SIDES = ((64, 48), (333, 777), (500, 40))


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export made.

    Args:
        folder: Where it is.
        n_bytes: Size of what an encoder reads of it, in float32.
        apart: Largest difference of a number of any compared unit vector.
        int8_cosine: Lowest cosine of a vector of the int8 variant to that in float32; None
            where there is no such variant.
    """

    folder: Path
    n_bytes: int
    apart: float
    int8_cosine: float | None


def export(
    model: str,
    folder: Path,
    *,
    revision: str = "",
    int8: bool = False,
    opset: int = OPSET,
    tell: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Writes a checkpoint's two towers as ONNX, and checks that they give the same vectors.

    Args:
        model: Folder or hub id, as for `HfEncoder`.
        folder: Where to; it must not be there yet, or be empty.
        revision: Of the hub.
        int8: Also write the variant `int8`, a quarter of the size.
        opset: Version of ONNX's operators.
        tell: Hears what is done now.

    Raises:
        InputError: `folder_taken`; as `check_place`.
        ModelError: as `HfEncoder`; `not_exported` when torch cannot, `other_vectors` when the
            result differs: nothing is left of it then.
        MissingExtraError: when `onnx` is not installed.
        StorageError: when the disk refuses.
    """
    import_extra("onnx", "relook model export", "hf")
    check_place(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("folder_taken", f"{folder} is there already", "name another folder")
    tell("loading the checkpoint")
    source = HfEncoder(model, revision=revision, tiles="none", device="cpu", dtype="float32")
    model_of_torch = source._model  # before any inference mode, whose tensors cannot be traced
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".relook-export-", dir=folder.parent) as place:
            made = Path(place) / "model"
            (made / "onnx").mkdir(parents=True)
            _write_configs(source, made)
            _write_towers(source, model_of_torch, made / "onnx", opset, tell)
            apart, cosine = _checked(source, made, int8, tell)
            size = OnnxEncoder(made).files.n_bytes
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    except OSError as error:
        raise disk_error(f"cannot write {folder}", error) from error
    return Exported(folder, size, apart, cosine)


def _write_configs(source: HfEncoder, made: Path) -> None:
    """The files that say how pictures and words are prepared."""
    here = source.checkpoint
    with quiet():
        source._config.save_pretrained(made)
    _write_json(made / "preprocessor_config.json", dict(here.image_processor))
    tokenizer = source._tokenizer
    with quiet():
        tokenizer.save_pretrained(made)
        if not tokenizer.is_fast:
            (made / "tokenizer.json").write_text(_fast_siglip(tokenizer).to_str(), "utf-8")
    about = json.loads((made / "tokenizer_config.json").read_text("utf-8"))
    about |= {"padding_side": tokenizer.padding_side, "model_max_length": source._max_tokens}
    _write_json(made / "tokenizer_config.json", about)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False), "utf-8")


def _fast_siglip(tokenizer: Any) -> Any:
    """The `tokenizers` form of SigLIP's SentencePiece tokenizer."""
    from tokenizers import normalizers, processors
    from transformers import convert_slow_tokenizer

    module: Any = convert_slow_tokenizer
    base: Any = module.SpmConverter

    class Converter(base):  # type: ignore[misc]
        def normalizer(self, proto: Any) -> Any:
            chars = proto.normalizer_spec.precompiled_charsmap
            return normalizers.Precompiled(chars) if chars else None

        def post_processor(self) -> Any:
            end = self.original_tokenizer.eos_token
            ids = [(end, self.original_tokenizer.eos_token_id)]
            return processors.TemplateProcessing(single=["$A", end], special_tokens=ids)

    if type(tokenizer).__name__ != "SiglipTokenizer":
        raise ModelError(
            "not_exported",
            f"{type(tokenizer).__name__} has no form that the package tokenizers reads",
            "use a checkpoint with a tokenizer.json",
        )
    return Converter(tokenizer).converted()


def _write_towers(
    source: HfEncoder, model: Any, folder: Path, opset: int, tell: Callable[[str], None]
) -> None:
    """Both graphs: any number of pictures of one size, of texts of one length."""
    import torch

    model.set_attn_implementation("eager")
    pixels = torch.zeros(2, 3, source._pixels.height_px, source._pixels.width_px)
    words = source.tokens(["a dog", "two"], padding="max_length")
    for name, method, example, output in (
        ("vision_model", "get_image_features", {"pixel_values": pixels}, "image_embeds"),
        ("text_model", "get_text_features", words, "text_embeds"),
    ):
        tell(f"writing {name}.onnx")
        tower = _tower(model, method, list(example))
        _write_graph(tower, example, folder / f"{name}.onnx", output, opset)


def _tower(model: Any, method: str, names: list[str]) -> Any:
    """A module that takes inputs in order and returns the vectors only."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: Any) -> Any:
            output = getattr(self.model, method)(**dict(zip(names, given, strict=True)))
            return getattr(output, "pooler_output", output)

    return Tower().eval()


def _write_graph(tower: Any, example: dict[str, Any], path: Path, output: str, opset: int) -> None:
    import torch

    try:
        # In a folder of its own: a graph over 2 GB has a file for each weight beside it.
        with (
            TemporaryDirectory(dir=path.parent) as place,
            warnings.catch_warnings(),
            quiet(),
            torch.no_grad(),
        ):
            warnings.simplefilter("ignore")  # the tracer's, about values that are constant here
            raw = Path(place) / path.name
            torch.onnx.export(
                tower, tuple(example.values()), str(raw), dynamo=False, opset_version=opset,
                input_names=list(example), output_names=[output],
                dynamic_axes={name: {0: "batch"} for name in (*example, output)},
            )  # fmt: skip
            _move_graph(raw, path)
    except OSError:
        raise
    except Exception as error:  # the tracer fails with whatever the model's code raises
        message = " ".join(str(error).split())[:300]
        raise ModelError(
            "not_exported", f"torch {torch.__version__} cannot export {path.stem}: {message}",
            "use the checkpoint itself: hf:FOLDER",
        ) from error  # fmt: skip


def _move_graph(raw: Path, path: Path) -> None:
    """Moves a graph; weights beside it go into one file, `NAME.onnx_data`."""
    if len(list(raw.parent.iterdir())) == 1:
        shutil.move(raw, path)
        return
    import onnx

    onnx.save_model(
        onnx.load(str(raw)), str(path), save_as_external_data=True, all_tensors_to_one_file=True,
        location=f"{path.name}_data",
    )  # fmt: skip


def _checked(
    source: HfEncoder, made: Path, int8: bool, tell: Callable[[str], None]
) -> tuple[float, float | None]:
    """Largest difference to the checkpoint's vectors; lowest cosine of the int8 variant.

    Raises:
        ModelError: `other_vectors`.
    """
    tell("comparing the vectors with the checkpoint's")
    theirs, ours = _vectors(source), _vectors_of(made, "")
    apart = float(np.abs(theirs - ours).max())
    if not apart <= TOLERANCE:
        raise ModelError(
            "other_vectors",
            f"the exported towers of {source.model} give other vectors: they are {apart:.4f} apart",
            "use the checkpoint itself: hf:FOLDER",
        )
    if not int8:
        return apart, None
    for name in ("vision_model", "text_model"):
        tell(f"writing {name}_int8.onnx")
        _quantise(made / "onnx" / f"{name}.onnx", made / "onnx" / f"{name}_int8.onnx")
    return apart, float((ours * _vectors_of(made, "int8")).sum(axis=1).min())


def _quantise(source: Path, target: Path) -> None:
    runtime()
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_suffix(".prepared")
    quant_pre_process(source, prepared, skip_symbolic_shape=True, skip_optimization=True)
    # Convolutions stay: the image tower has one, which costs little and loses much.
    quantize_dynamic(
        prepared, target, weight_type=QuantType.QInt8, per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
    )  # fmt: skip
    prepared.unlink()


def _vectors_of(made: Path, variant: str) -> Floats:
    encoder = OnnxEncoder(made, variant=variant, tiles="none", device="cpu")
    try:
        return _vectors(encoder)
    finally:
        encoder.close()


def _vectors(encoder: HfEncoder | OnnxEncoder) -> Floats:
    """[n, d] of some pictures and texts."""
    rows = encoder.encode_prepared([encoder.prepare(image) for image in _pictures()])
    return np.concatenate([*rows, encoder.encode_texts(_TEXTS)])


def _pictures() -> Sequence[Image.Image]:
    """Noise, and a smooth one."""
    from PIL import Image

    random = np.random.default_rng(0)
    noise = [
        Image.fromarray(random.integers(0, 256, (high, wide, 3), np.uint8)) for wide, high in _SIDES
    ]
    return [*noise, Image.linear_gradient("L").convert("RGB")]
