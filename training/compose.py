"""Joins the trained heads onto the published networks' ONNX graphs."""

from pathlib import Path

import onnx
import torch
from eye import N_SEEN
from onnx import compose
from quantise import shrink_floats
from torch import Tensor, nn
from towers import WINDOWS, Committee
from words import Words, tokens


class _See(nn.Module):
    def __init__(self, committee: Committee):
        super().__init__()
        self.committee = committee

    def forward(self, seen: Tensor) -> Tensor:
        return self.committee.see(seen)


class _Read(nn.Module):
    def __init__(self, words: Words, committee: Committee):
        super().__init__()
        self.words, self.committee = words, committee

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.committee.read(self.words(ids, mask))


def compose_image(eye: Path, committee: Committee, target: Path) -> None:
    """Writes `image.onnx`: `pixels` uint8 [n,224,224,3] -> `tiles` float32 [n,t,d].

    Args:
        eye: the integer graph, `pixels` -> `seen`.
        committee: the heads behind it.
        target: the file to write.
    """
    plain = target.with_suffix(".head.onnx")
    torch.onnx.export(
        _See(committee).eval(),
        torch.zeros(2, len(WINDOWS), N_SEEN),
        plain,
        input_names=["seen"],
        output_names=["out"],
        dynamic_axes={"seen": {0: "n"}, "out": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    heads = compose.add_prefix(shrink_floats(onnx.load(plain)), "heads/")
    plain.unlink()
    first = onnx.load(eye)
    heads.ir_version = first.ir_version
    known = {opset.domain for opset in heads.opset_import}
    heads.opset_import.extend(o for o in first.opset_import if o.domain not in known)
    merged = compose.merge_models(
        first, heads, io_map=[("seen", "heads/seen")], outputs=["heads/out"]
    )
    _rename(merged.graph, "heads/out", "tiles")
    onnx.checker.check_model(merged)
    onnx.save(merged, target)


def compose_text(words: Words, committee: Committee, tokenizer, target: Path) -> None:
    """Writes `text.onnx`: `input_ids`, `attention_mask` int64 [n,l] -> `vectors` float32 [n,d]."""
    ids, mask = tokens(tokenizer, ["two dogs on a beach", "espresso"])
    axes = {0: "n", 1: "l"}
    torch.onnx.export(
        _Read(words, committee).eval(),
        (ids, mask),
        target,
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "vectors": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    onnx.save(shrink_floats(onnx.load(target), table="words.table"), target)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Gives a value of the graph another name."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in graph.output:
        value.name = new if value.name == old else value.name
