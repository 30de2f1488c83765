"""Tiny models in ONNX files, in every form that public exports have."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relook.testing.checkpoints import tiny_clip, tiny_siglip, tiny_siglip2

CONFIGS = (
    "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
FAMILIES: dict[str, Callable[..., Path]] = {
    "clip": tiny_clip,
    "siglip": tiny_siglip,
    "siglip2": tiny_siglip2,
}


def as_immich(checkpoint: Path, exported: Path, folder: Path, clean: str = "") -> Path:
    """A model as Immich lays it out: graphs that take one input of one length, int32 tokens.

    Args:
        checkpoint: For transformers.
        exported: The same from `relook model export`, for its tokenizer.
        folder: Where it goes.
        clean: OpenCLIP's name for what is done to texts.
    """
    import torch

    model, n_tokens = _model(checkpoint), 77 if "clip" in checkpoint.name[:4] else 64
    (folder / "visual").mkdir(parents=True)
    (folder / "textual").mkdir()
    side = model.config.vision_config.image_size
    write_graph(
        tower_of(model, "get_image_features"), {"image": torch.zeros(1, 3, side, side)},
        folder / "visual" / "model.onnx", "embedding", {},
    )  # fmt: skip
    write_graph(
        tower_of(model, "get_text_features"), {"text": _ids(n_tokens)},
        folder / "textual" / "model.onnx", "embedding", {},
    )  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(exported / name, folder / "textual" / name)
    text: dict[str, Any] = {"context_length": n_tokens, "vocab_size": 300}
    if clean:
        text |= {"hf_tokenizer_name": "some/one", "tokenizer_kwargs": {"clean": clean}}
    dim = getattr(model.config, "projection_dim", 32)
    write_json(folder / "config.json", {"embed_dim": dim, "vision_cfg": {}, "text_cfg": text})
    theirs = json.loads((exported / "preprocessor_config.json").read_text())
    squashes = "crop_size" not in theirs
    write_json(
        folder / "visual" / "preprocess_cfg.json",
        {
            "size": [side, side], "mode": "RGB", "mean": theirs["image_mean"],
            "std": theirs["image_std"], "interpolation": "bicubic", "fill_color": 0,
            "resize_mode": "squash" if squashes else "shortest",
        },
    )  # fmt: skip
    return folder


def as_transformers_js(
    checkpoint: Path, exported: Path, folder: Path, opset: int = 17, batch: int = 0
) -> Path:
    """A model with texts of any length and a mask, in another version of the operators.

    Args:
        checkpoint: For transformers.
        exported: The same from `relook model export`, for all but the graphs.
        folder: Where it goes.
        opset: Of the graphs.
        batch: Inputs that a graph takes at once; 0 for any number.
    """
    import torch

    shutil.copytree(exported, folder)
    model, n = _model(checkpoint), batch or 2
    axes = {} if batch else {0: "batch"}
    side = model.config.vision_config.image_size
    write_graph(
        tower_of(model, "get_image_features"), {"pixel_values": torch.zeros(n, 3, side, side)},
        folder / "onnx" / "vision_model.onnx", "image_embeds",
        {"pixel_values": axes, "image_embeds": axes}, opset,
    )  # fmt: skip
    words, lengths = {"input_ids": _ids(9).repeat(n, 1)}, {**axes, 1: "length"}
    if "siglip" in checkpoint.name:
        words, lengths = {"input_ids": _ids(64).repeat(n, 1)}, axes
    else:
        words["attention_mask"] = torch.ones_like(words["input_ids"])
    write_graph(
        tower_of(model, "get_text_features"), words, folder / "onnx" / "text_model.onnx",
        "text_embeds", {**dict.fromkeys(words, lengths), "text_embeds": axes}, opset,
    )  # fmt: skip
    return folder


def as_whole(checkpoint: Path, exported: Path, folder: Path, home: str = "") -> Path:
    """Both towers in one graph, with optimum's names.

    Args:
        checkpoint: For transformers.
        exported: The same from `relook model export`, for all but the graphs.
        folder: Where it goes.
        home: The folder in it for everything, as the hub's export bot has it.
    """
    import torch

    place = folder / home
    place.mkdir(parents=True)
    for name in CONFIGS:
        shutil.copy(exported / name, place / name)
    model, is_siglip = _model(checkpoint), "siglip" in checkpoint.name
    side = model.config.vision_config.image_size
    ids = _ids(64 if is_siglip else 9).long().repeat(2, 1)
    example = {"input_ids": ids, "pixel_values": torch.zeros(3, 3, side, side)}
    texts = {0: "text_batch_size"} if is_siglip else {0: "text_batch_size", 1: "sequence_length"}
    pictures = {0: "image_batch_size", 1: "num_channels", 2: "height", 3: "width"}
    axes = {"input_ids": texts, "pixel_values": pictures}
    if not is_siglip:
        example["attention_mask"], axes["attention_mask"] = torch.ones_like(ids), texts
    outputs = ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, pixels: Any, mask: Any = None) -> Any:
            more = {} if mask is None else {"attention_mask": mask}
            found = self.model(input_ids=ids, pixel_values=pixels, **more)
            return tuple(getattr(found, name) for name in outputs)

    axes["text_embeds"], axes["image_embeds"] = {0: "text_batch_size"}, {0: "image_batch_size"}
    write_graph(Whole(), example, place / "model.onnx", outputs, axes)
    return folder


def as_open_clip(checkpoint: Path, exported: Path, folder: Path, text: str = "text") -> Path:
    """A model as `open_clip_inference` lays it out: two graphs with their weights beside them."""
    import onnx

    immich = as_immich(checkpoint, exported, folder / "immich")
    for old, new in (("visual", "visual"), ("textual", text)):
        graph = onnx.load(immich / old / "model.onnx")
        onnx.save_model(
            graph, folder / f"{new}.onnx", save_as_external_data=True, size_threshold=0,
            location=f"{new}.onnx.data",
        )  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(immich / "textual" / name, folder / name)
    config = json.loads((immich / "config.json").read_text())
    pixels = json.loads((immich / "visual" / "preprocess_cfg.json").read_text())
    whole = {"model_cfg": config, "preprocess_cfg": pixels}
    write_json(folder / "open_clip_config.json", whole)
    shutil.rmtree(immich)
    return folder


def as_sizes(exported: dict[str, Path], folder: Path) -> Path:
    """Several models in one repository, each in a folder below `onnx`; one tokenizer for all."""
    for size, made in exported.items():
        place = folder / "onnx" / size
        shutil.copytree(made / "onnx", place)
        for name in ("config.json", "preprocessor_config.json"):
            shutil.copy(made / name, place / name)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(made / name, folder / name)
    return folder


def write_graph(
    tower: Any,
    example: dict[str, Any],
    path: Path,
    output: str | tuple[str, ...],
    axes: dict[str, dict[int, str]],
    opset: int = 17,
) -> None:
    """Exports a module by the TorchScript exporter, quietly."""
    import torch

    outputs = [output] if isinstance(output, str) else list(output)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower.eval(), tuple(example.values()), str(path), dynamo=False, opset_version=opset,
            input_names=list(example), output_names=outputs, dynamic_axes=axes,
        )  # fmt: skip


def rename_output(path: Path, new: str, times: float = 1.0) -> None:
    """Gives the vectors of a graph another name, and another length."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    [output] = model.graph.output
    factor = numpy_helper.from_array(np.float32(times), "factor_of_the_test")
    model.graph.initializer.append(factor)
    step = helper.make_node("Mul", [output.name, factor.name], [new])
    model.graph.node.append(step)
    output.name = new
    onnx.save(model, path)


def add_output(path: Path, name: str, n_axes: int) -> None:
    """Another output of a graph, first among all: nothing of use."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    value = np.zeros((1,) * n_axes, np.float32)
    step = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
    model.graph.node.append(step)
    info = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1] * n_axes)
    model.graph.output.insert(0, info)
    onnx.save(model, path)


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), "utf-8")


def change(path: Path, edit: Callable[[dict], object]) -> None:
    """Edits a JSON file."""
    values = json.loads(path.read_text("utf-8"))
    edit(values)
    write_json(path, values)


def _ids(length: int) -> Any:
    import torch

    return torch.full((1, length), 5, dtype=torch.int32)


def _model(checkpoint: Path) -> Any:
    from transformers import AutoModel

    from relook.encoders.torch_models import quiet

    with quiet():
        return AutoModel.from_pretrained(checkpoint, attn_implementation="eager").eval()


def tower_of(model: Any, method: str) -> Any:
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, first: Any, mask: Any = None) -> Any:
            if method == "get_image_features":
                return self.model.get_image_features(pixel_values=first).pooler_output
            more = {} if mask is None else {"attention_mask": mask.long()}
            return self.model.get_text_features(input_ids=first.long(), **more).pooler_output

    return Tower()
