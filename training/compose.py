"""Puts trained heads behind the networks, in ONNX: alone, or beside a base with heads of its own.

The base is the shipped model, for a person's own encoder. Then both begin with the same picture
network; what is computed twice by the same weights is computed once in the file that is written.
"""

from pathlib import Path

import onnx
import torch
from eye import N_SEEN
from onnx import TensorProto, compose, helper, numpy_helper
from quantise import drop_unused, shrink_to_bytes
from torch import Tensor, nn
from towers import DIM, WINDOWS, Committee
from words import Words, tokens

SEEN = "seen"
"""[n,t,N_SEEN] in an image.onnx: what the heads are given."""


class _See(nn.Module):
    def __init__(self, committee: Committee):
        super().__init__()
        self.committee = committee

    def forward(self, seen: Tensor, base: Tensor | None = None) -> Tensor:
        return self.committee.see(seen, base)


class _Read(nn.Module):
    def __init__(self, words: Words, committee: Committee):
        super().__init__()
        self.words, self.committee = words, committee

    def forward(self, ids: Tensor, mask: Tensor, base: Tensor | None = None) -> Tensor:
        return self.committee.read(self.words(ids, mask), base)


def base_heads(image: Path) -> onnx.ModelProto:
    """A base's heads alone: the graph from `seen` [n,t,N_SEEN] to `tiles` [n,t,d]."""
    model = onnx.load(image)
    graph = model.graph
    kept = [node for node in graph.node if SEEN not in node.output]
    del graph.node[:]
    graph.node.extend(kept)
    del graph.input[:], graph.value_info[:]
    graph.input.append(_tiles_of(SEEN, N_SEEN))
    return drop_unused(model)


def compose_image(source: Path, committee: Committee, target: Path) -> None:
    """Writes `image.onnx`: `pixels` uint8 [n,224,224,3] -> `tiles` float32 [n,t,d].

    Args:
        source: the integer graph, `pixels` -> `seen`; or, where the committee has a base, the
            base's image.onnx, which holds it.
        committee: the heads behind it.
        target: the file to write.
    """
    merged = onnx.load(source)
    prefix = _unused_prefix(merged.graph)
    example, names = [torch.zeros(2, len(WINDOWS), N_SEEN)], ["seen"]
    flow, renamed = {SEEN: "seen"}, {f"{prefix}out": "tiles"}
    if committee.of_base:
        example, names = [*example, torch.zeros(2, len(WINDOWS), DIM)], ["seen", "base"]
        merged.graph.output.append(_tiles_of(SEEN, N_SEEN))
        flow, renamed = {**flow, "tiles": "base"}, {"tiles": f"{prefix}of_base", **renamed}
    heads = _exported(_See(committee), tuple(example), names, target)
    merged = _merge(merged, heads, prefix, flow, [f"{prefix}out"])
    _save(merged, renamed, target)


def compose_text(
    words: Words, committee: Committee, tokenizer, target: Path, base: Path | None = None
) -> None:
    """Writes `text.onnx`: `input_ids`, `attention_mask` int64 [n,l] -> `vectors` float32 [n,d].

    Args:
        words: MiniLM, as the heads read it.
        committee: the heads behind it.
        tokenizer: for an example.
        target: the file to write.
        base: the base's text.onnx, where the committee has one.
    """
    example = tokens(tokenizer, ["two dogs on a beach", "espresso"])
    names = ["input_ids", "attention_mask"]
    if base is None:
        model = _exported(_Read(words, committee), example, names, target, "words.table")
        _save(model, {"out": "vectors"}, target)
        return
    example = *example, torch.zeros(2, DIM)
    heads = _exported(_Read(words, committee), example, [*names, "base"], target, "words.table")
    first = shrink_to_bytes(onnx.load(base))
    prefix = _unused_prefix(first.graph)
    merged = _merge(first, heads, prefix, {"vectors": "base"}, [f"{prefix}out"])
    own = [value for value in merged.graph.input if not value.name.startswith(prefix)]
    del merged.graph.input[:]
    merged.graph.input.extend(own)
    for name in names:
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
