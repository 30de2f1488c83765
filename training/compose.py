"""Joins the trained heads and revision 2's onto the published networks' ONNX graphs.

Both revisions' graphs begin alike (the same picture network, the same lower layers of MiniLM);
what is computed twice by the same weights is computed once in the file that is written.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from eye import N_SEEN
from onnx import TensorProto, compose, helper, numpy_helper
from quantise import drop_unused, shrink_to_bytes
from torch import Tensor, nn
from towers import DIM, N_FEATURES, WINDOWS, Committee
from words import Words, tokens

POOLED = "/Transpose_output_0"
"""[n,t,1280] in revision 2's image.onnx, before its heads."""


class _See(nn.Module):
    def __init__(self, committee: Committee):
        super().__init__()
        self.committee = committee

    def forward(self, seen: Tensor, base: Tensor) -> Tensor:
        return self.committee.see(seen, base)


class _Read(nn.Module):
    def __init__(self, words: Words, committee: Committee):
        super().__init__()
        self.words, self.committee = words, committee

    def forward(self, ids: Tensor, mask: Tensor, base: Tensor) -> Tensor:
        return self.committee.read(self.words(ids, mask), base)


def base_heads(image: Path) -> onnx.ModelProto:
    """Revision 2's heads alone: `pooled` [n,t,1280] -> `tiles` [n,t,d]."""
    model = onnx.load(image)
    graph = model.graph
    kept = [node for node in graph.node if POOLED not in node.output]
    del graph.node[:]
    graph.node.extend(kept)
    for node in graph.node:
        node.input[:] = ["pooled" if name == POOLED else name for name in node.input]
    del graph.input[:], graph.value_info[:]
    shape = ["n", len(WINDOWS), N_FEATURES]
    graph.input.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, shape))
    return drop_unused(model)


def compose_image(eye: Path, base: Path, committee: Committee, target: Path) -> None:
    """Writes `image.onnx`: `pixels` uint8 [n,224,224,3] -> `tiles` float32 [n,t,d].

    Args:
        eye: the integer graph, `pixels` -> `seen`.
        base: revision 2's image.onnx.
        committee: the heads behind both.
        target: the file to write.
    """
    example = torch.zeros(2, len(WINDOWS), N_SEEN), torch.zeros(2, len(WINDOWS), DIM)
    heads = _exported(_See(committee), example, ["seen", "base"], target)
    first = onnx.load(eye)
    for name, value in (("from", 0), ("to", N_FEATURES), ("axis", 2)):
        first.graph.initializer.append(numpy_helper.from_array(np.array([value]), f"mean_{name}"))
    inputs = ["seen", "mean_from", "mean_to", "mean_axis"]
    first.graph.node.append(helper.make_node("Slice", inputs, ["mean"]))
    first.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, None))
    merged = _merge(first, base_heads(base), "base/", {"mean": "pooled"}, ["seen", "base/tiles"])
    flow = {"seen": "seen", "base/tiles": "base"}
    merged = _merge(merged, heads, "heads/", flow, ["heads/out"])
    _save(merged, {"heads/out": "tiles"}, target)


def compose_text(base: Path, words: Words, committee: Committee, tokenizer, target: Path) -> None:
    """Writes `text.onnx`: `input_ids`, `attention_mask` int64 [n,l] -> `vectors` float32 [n,d].

    Args:
        base: revision 2's text.onnx.
        words: MiniLM as published.
        committee: the heads behind both.
        tokenizer: for an example.
        target: the file to write.
    """
    ids, mask = tokens(tokenizer, ["two dogs on a beach", "espresso"])
    example = ids, mask, torch.zeros(2, DIM)
    names = ["input_ids", "attention_mask", "base"]
    heads = _exported(_Read(words, committee), example, names, target, "words.table")
    first = shrink_to_bytes(onnx.load(base))
    merged = _merge(first, heads, "heads/", {"vectors": "base"}, ["heads/out"])
    own = [value for value in merged.graph.input if not value.name.startswith("heads/")]
    del merged.graph.input[:]
    merged.graph.input.extend(own)
    for name in names[:2]:
        _rename(merged.graph, f"heads/{name}", name)
    _share(merged.graph)
    _save(merged, {"vectors": "revision2/vectors", "heads/out": "vectors"}, target)


def _exported(
    head: nn.Module, example: tuple, names: list[str], target: Path, table: str | None = None
) -> onnx.ModelProto:
    plain = target.with_suffix(".head.onnx")
    axes = {name: {0: "n"} for name in (*names, "out")}
    axes |= {name: {0: "n", 1: "l"} for name in ("input_ids", "attention_mask") if name in axes}
    torch.onnx.export(
        head.eval(),
        example,
        plain,
        input_names=names,
        output_names=["out"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(plain)
    plain.unlink()
    return shrink_to_bytes(model, table)


def _merge(
    first: onnx.ModelProto, second: onnx.ModelProto, prefix: str, flow: dict, outputs: list[str]
) -> onnx.ModelProto:
    """Feeds outputs of the first to inputs of the second, whose names get the prefix."""
    second = compose.add_prefix(second, prefix)
    second.ir_version = first.ir_version
    known = {opset.domain for opset in second.opset_import}
    second.opset_import.extend(o for o in first.opset_import if o.domain not in known)
    known = {opset.domain for opset in first.opset_import}
    first.opset_import.extend(o for o in second.opset_import if o.domain not in known)
    pairs = [(out, prefix + name) for out, name in flow.items()]
    return compose.merge_models(first, second, io_map=pairs, outputs=outputs)


def _save(model: onnx.ModelProto, names: dict[str, str], target: Path) -> None:
    for old, new in names.items():
        _rename(model.graph, old, new)
    shrink_to_bytes(model)
    drop_unused(model)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _share(graph: onnx.GraphProto) -> None:
    """Lets equal weights be one, and equal steps on equal values be one.

    Not for the picture tower: ONNX Runtime rewrites integer weights where the processor needs
    it, and refuses one that two convolutions share.
    """
    same: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    kept = []
    for item in graph.initializer:
        array = numpy_helper.to_array(item)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key in same:
            renamed[item.name] = same[key]
        else:
            same[key] = item.name
            kept.append(item)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    outputs = {value.name for value in graph.output}
    nodes = []
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        attributes = sorted(a.SerializeToString() for a in node.attribute)
        key = repr((node.domain, node.op_type, list(node.input), attributes)).encode()
        if key in same and not outputs & set(node.output):
            renamed.update(zip(node.output, same[key].split("\n"), strict=True))
        else:
            same.setdefault(key, "\n".join(node.output))
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Gives a value of the graph another name."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in graph.output:
        value.name = new if value.name == old else value.name
