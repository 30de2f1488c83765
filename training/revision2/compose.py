"""Joining the committee onto the base's ONNX files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from joint import Joint
from onnx import compose, helper
from quantise import shrink_floats
from tokenizers import Tokenizer
from torch import nn

POOLED = "/Transpose_output_0"  # [n, t, p] in image.onnx, before its head
WORDS = "/head/Div_output_0"  # [n, w] in text.onnx, before its head
BATCH = 64

Run = Callable[..., tuple[np.ndarray, np.ndarray]]


def inner_outputs(base: Path) -> tuple[Run, Run]:
    """Functions that run the base's towers: pixels or texts -> (inner features, vectors)."""
    images = _session(_open(base / "image.onnx", POOLED))
    texts = _session(_open(base / "text.onnx", WORDS))
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(48)
    tokenizer.enable_padding(pad_id=0)

    def see(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            images.run([POOLED, "tiles"], {"pixels": pixels[i : i + 16]})
            for i in range(0, len(pixels), 16)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def read(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
        order = sorted(range(len(lines)), key=lambda at: len(lines[at]))
        inner, vectors = None, None
        for start in range(0, len(order), BATCH):
            at = order[start : start + BATCH]
            rows = tokenizer.encode_batch([lines[i] for i in at])
            inputs = {
                "input_ids": np.array([r.ids for r in rows], np.int64),
                "attention_mask": np.array([r.attention_mask for r in rows], np.int64),
            }
            found = texts.run([WORDS, "vectors"], inputs)
            if inner is None:
                inner = np.empty((len(lines), found[0].shape[1]), np.float32)
                vectors = np.empty((len(lines), found[1].shape[1]), np.float32)
            inner[at], vectors[at] = found
        return inner, vectors

    return see, read


def _open(file: Path, inner: str) -> onnx.ModelProto:
    """The model with an inner value among its outputs."""
    model = onnx.load(file)
    kind = onnx.TensorProto.FLOAT
    model.graph.output.append(helper.make_tensor_value_info(inner, kind, None))
    return model


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    # As the package does; without it processors without VNNI saturate, see builtin.py.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model.SerializeToString(), options)


class _See(nn.Module):
    def __init__(self, joint: Joint):
        super().__init__()
        self.joint = joint

    def forward(self, inner: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        return self.joint.see(inner, base)


class _Read(_See):
    def forward(self, inner: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        return self.joint.read(inner, base)


def compose_image(base: Path, joint: Joint, target: Path) -> None:
    """Writes `image.onnx` with the committee behind the base's tower."""
    example = (
        torch.zeros(2, 6, joint.members[0].pictures.linear.in_features),
        torch.zeros(2, 6, 384),
    )
    _compose(base, POOLED, "tiles", _See(joint), example, target)


def compose_text(base: Path, joint: Joint, target: Path) -> None:
    """Writes `text.onnx` with the committee behind the base's tower."""
    _compose(
        base, WORDS, "vectors", _Read(joint), (torch.zeros(2, 384), torch.zeros(2, 384)), target
    )


def _compose(
    base: Path, inner: str, output: str, head: nn.Module, example: tuple, target: Path
) -> None:
    plain = target.with_suffix(".head.onnx")
    torch.onnx.export(
        head.eval(), example, plain,
        input_names=["inner", "base"], output_names=["out"],
        dynamic_axes={"inner": {0: "n"}, "base": {0: "n"}, "out": {0: "n"}},
        opset_version=17, dynamo=False,
    )  # fmt: skip
    second = compose.add_prefix(shrink_floats(onnx.load(plain)), "committee/")
    plain.unlink()
    first = _open(base, inner)
    second.ir_version = first.ir_version
    for opset in first.opset_import:
        if opset.domain not in {o.domain for o in second.opset_import}:
            second.opset_import.append(opset)
    merged = compose.merge_models(
        first, second, io_map=[(inner, "committee/inner"), (output, "committee/base")],
        outputs=["committee/out"],
    )  # fmt: skip
    _rename(merged.graph, output, f"base/{output}")
    _rename(merged.graph, "committee/out", output)
    onnx.checker.check_model(merged)
    onnx.save(merged, target)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Gives a value of the graph another name."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in graph.output:
        value.name = new if value.name == old else value.name
