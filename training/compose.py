"""Joins the trained heads and a base's onto the published networks' ONNX graphs.

The base is revision 2 for the shipped model, and that model for a person's own. Their graphs begin
alike (the same picture network, the same layers of MiniLM); what is computed twice by the same
weights is computed once in the file that is written.
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

SEEN = "seen"
"""[n,t,N_SEEN] in the image.onnx of revision 3 and later."""
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


def has_eye(model: onnx.ModelProto) -> bool:
    """Whether a picture tower sees as revision 3 and later do, and not as revision 2."""
    return any(SEEN in node.output for node in model.graph.node)


def base_heads(image: Path) -> tuple[str, onnx.ModelProto]:
    """A base's heads alone.

    Returns:
        The name of their input, `seen` [n,t,N_SEEN] or, for revision 2, `pooled` [n,t,1280]; and
        the graph from it to `tiles` [n,t,d].
    """
    model = onnx.load(image)
    graph = model.graph
    cut, name, width = (SEEN, SEEN, N_SEEN) if has_eye(model) else (POOLED, "pooled", N_FEATURES)
    kept = [node for node in graph.node if cut not in node.output]
    del graph.node[:]
    graph.node.extend(kept)
    for node in graph.node:
        node.input[:] = [name if put == cut else put for put in node.input]
    del graph.input[:], graph.value_info[:]
    graph.input.append(_tiles_of(name, width))
    return name, drop_unused(model)


def compose_image(eye: Path, base: Path, committee: Committee, target: Path) -> None:
    """Writes `image.onnx`: `pixels` uint8 [n,224,224,3] -> `tiles` float32 [n,t,d].

    Args:
        eye: the integer graph, `pixels` -> `seen`; that of the base, where it has one.
        base: the base's image.onnx.
        committee: the heads behind both.
        target: the file to write.
    """
    example = torch.zeros(2, len(WINDOWS), N_SEEN), torch.zeros(2, len(WINDOWS), DIM)
    heads = _exported(_See(committee), example, ["seen", "base"], target)
    merged, tiles = onnx.load(base), "tiles"
    if has_eye(merged):
        merged.graph.output.append(_tiles_of(SEEN, N_SEEN))
    else:
        merged, tiles = _beside_eye(onnx.load(eye), base), "base/tiles"
    prefix = _unused_prefix(merged.graph)
    merged = _merge(merged, heads, prefix, {SEEN: "seen", tiles: "base"}, [f"{prefix}out"])
    _save(merged, {tiles: f"{prefix}of_base", f"{prefix}out": "tiles"}, target)


def _beside_eye(eye: onnx.ModelProto, base: Path) -> onnx.ModelProto:
    """Revision 2's heads behind the eye: `pixels` -> `seen`, `base/tiles`."""
    for name, value in (("from", 0), ("to", N_FEATURES), ("axis", 2)):
        eye.graph.initializer.append(numpy_helper.from_array(np.array([value]), f"mean_{name}"))
    inputs = [SEEN, "mean_from", "mean_to", "mean_axis"]
    eye.graph.node.append(helper.make_node("Slice", inputs, ["mean"]))
    eye.graph.output.append(_tiles_of("mean", N_FEATURES))
    name, heads = base_heads(base)
    return _merge(eye, heads, "base/", {"mean": name}, [SEEN, "base/tiles"])


def compose_text(base: Path, words: Words, committee: Committee, tokenizer, target: Path) -> None:
    """Writes `text.onnx`: `input_ids`, `attention_mask` int64 [n,l] -> `vectors` float32 [n,d].

    Args:
        base: the base's text.onnx.
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
    prefix = _unused_prefix(first.graph)
    merged = _merge(first, heads, prefix, {"vectors": "base"}, [f"{prefix}out"])
    own = [value for value in merged.graph.input if not value.name.startswith(prefix)]
    del merged.graph.input[:]
    merged.graph.input.extend(own)
    for name in names[:2]:
        _rename(merged.graph, f"{prefix}{name}", name)
    _share(merged.graph)
    _save(merged, {"vectors": f"{prefix}of_base", f"{prefix}out": "vectors"}, target)


def _tiles_of(name: str, width: int) -> onnx.ValueInfoProto:
    """A value with so many numbers a tile: [n,t,width]."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", len(WINDOWS), width])


def _unused_prefix(graph: onnx.GraphProto) -> str:
    """A prefix that no value of the graph has: a model of one's own may be the base of another."""
    taken = {name for node in graph.node for name in node.output}
    taken |= {item.name for item in graph.initializer}
    numbers = (f"heads{at or ''}/" for at in range(100))
    return next(p for p in numbers if not any(name.startswith(p) for name in taken))


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
