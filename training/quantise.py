"""Post-processing of exported graphs: padding merged, integers for pictures, bytes for weights.

Everything here works on ONNX graphs and knows nothing of training.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from backbone import GREY
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

LARGE = 4096
"""Weights of fewer numbers stay floats."""


def merge_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    """Moves each `Pad` in front of a `Conv` into the convolution's own (lopsided) padding.

    torch cannot express lopsided padding, ONNX can, and a separate `Pad` costs a copy.
    """
    graph = model.graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    pads = {n.output[0]: n for n in graph.node if n.op_type == "Pad"}
    for conv in (n for n in graph.node if n.op_type == "Conv" and n.input[0] in pads):
        pad = pads.pop(conv.input[0])
        amounts = [int(v) for v in values[pad.input[1]]]  # n,c,h,w before, then after
        kept = [a for a in conv.attribute if a.name != "pads"]
        del conv.attribute[:]
        conv.attribute.extend(kept)
        conv.attribute.append(helper.make_attribute("pads", amounts[2:4] + amounts[6:8]))
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)
    return model


class _Pictures(CalibrationDataReader):
    def __init__(self, pictures: np.ndarray, batch: int = 16):
        self.batches: Iterator = iter(
            {"pixels": np.ascontiguousarray(pictures[i : i + batch])}
            for i in range(0, len(pictures), batch)
        )

    def get_next(self) -> dict | None:
        return next(self.batches, None)


def quantise_image(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Writes an 8-bit (per-channel weights) version of an image graph.

    Args:
        source: the float graph, input `pixels`.
        target: where the integer graph goes.
        pictures: uint8 [n,224,224,3], what activations are calibrated on.

    Only convolutions and the skip additions become integers; pooling and heads stay float.
    """
    ready = target.with_suffix(".ready.onnx")
    quant_pre_process(source, ready)  # folds constants, the paddings' amounts among them
    onnx.save(merge_pads(onnx.load(ready)), ready)
    skips = [
        n.name for n in onnx.load(ready).graph.node if n.op_type == "Add" and "layers" not in n.name
    ]
    quantize_static(
        ready,
        target,
        _Pictures(pictures),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
        nodes_to_exclude=skips,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    onnx.save(_feed_bytes(onnx.load(target)), target)
    ready.unlink()


def _feed_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Lets the first convolution read the picture's bytes as they are.

    `pixel - GREY` is what dequantising with scale 1 and zero point GREY gives, so the cast,
    the subtraction and the quantisation in front of the first convolution all go.
    """
    graph = model.graph
    by_output = {n.output[0]: n for n in graph.node}
    stem = next(n for n in graph.node if n.op_type == "Conv")
    dequantise = by_output[stem.input[0]]
    transpose = next(n for n in graph.node if n.op_type == "Transpose" and "pixels" in n.input)
    dequantise.input[0] = transpose.output[0]
    dequantise.input[1], dequantise.input[2] = "pixel_scale", "pixel_zero"
    graph.initializer.append(numpy_helper.from_array(np.float32(1.0), "pixel_scale"))
    graph.initializer.append(numpy_helper.from_array(np.uint8(GREY), "pixel_zero"))
    return drop_unused(model)


def shipped_eye(model: onnx.ModelProto, n_tiles: int, n_seen: int) -> onnx.ModelProto:
    """The graph `pixels` -> `seen` [n,t,n_seen] of a shipped picture tower, its heads left out."""
    del model.graph.output[:]
    shape = ["n", n_tiles, n_seen]
    model.graph.output.append(helper.make_tensor_value_info("seen", TensorProto.FLOAT, shape))
    return drop_unused(model)


def drop_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes nodes and initialisers that nothing reads."""
    graph = model.graph
    kept = {o.name for o in graph.output}
    while True:
        used = kept | {name for n in graph.node for name in n.input}
        dead = [n for n in graph.node if not set(n.output) & used]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for item in [i for i in graph.initializer if i.name not in used]:
        graph.initializer.remove(item)
    return model


def shrink_to_bytes(model: onnx.ModelProto, table: str | None = None) -> onnx.ModelProto:
    """Stores large float matrices as bytes with a scale a column.

    They are turned back into floats when the file is loaded, and so cost no time then.
    Matrices that are stored as halves become bytes too.

    Args:
        model: a graph with float32 initialisers, or halves that are cast.
        table: substring of the name of the token table, stored with a scale a row.
    """
    graph, head = model.graph, []
    casts = {
        node.input[0]: node
        for node in graph.node
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT
    }
    for item in list(graph.initializer):
        array = numpy_helper.to_array(item)
        halved = array.dtype == np.float16 and item.name in casts
        narrow = array.ndim != 2 or 1 in array.shape  # scales among them
        if not (array.dtype == np.float32 or halved) or array.size < LARGE or narrow:
            continue
        graph.initializer.remove(item)
        name = item.name
        if halved:
            cast = casts[name]
            name = cast.output[0]
            graph.node.remove(cast)
        if table and table in name:
            _byte_table(graph, name, array)
        else:
            head += _byte_matrix(graph, name, array)
    for node in reversed(head):
        graph.node.insert(0, node)
    return model


def _byte_matrix(graph: onnx.GraphProto, name: str, array: np.ndarray) -> list[onnx.NodeProto]:
    """Keeps a matrix as bytes; the steps that make it of them.

    By way of halves, so that it comes out the same whether it was stored as halves before.
    """
    array = array.astype(np.float16).astype(np.float32)
    scale = np.abs(array).max(0, keepdims=True) / 127.0 + 1e-12  # [1,columns]
    codes = np.rint(array / scale).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(codes, name + ".bytes"))
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), name + ".scales"))
    return [
        helper.make_node("Cast", [name + ".bytes"], [name + ".float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [name + ".float", name + ".scales"], [name]),
    ]


def _byte_table(graph: onnx.GraphProto, name: str, array: np.ndarray) -> None:
    """Replaces `Gather(table, ids)` by int8 rows times their scales."""
    scale = np.abs(array).max(1, keepdims=True) / 127.0 + 1e-12  # [rows,1]
    rows = np.rint(array / scale).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(rows, name + ".rows"))
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), name + ".scale"))
    index = next(
        i for i, n in enumerate(graph.node) if n.op_type == "Gather" and n.input[0] == name
    )
    gather = graph.node[index]
    ids, out = gather.input[1], gather.output[0]
    graph.node.remove(gather)
    for node in reversed(
        [
            helper.make_node("Gather", [name + ".rows", ids], [out + ".rows"]),
            helper.make_node("Cast", [out + ".rows"], [out + ".float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [name + ".scale", ids], [out + ".scale"]),
            helper.make_node("Mul", [out + ".float", out + ".scale"], [out]),
        ]
    ):
        graph.node.insert(index, node)
