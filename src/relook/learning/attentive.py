"""The attentive feedback summariser as a network and as an ONNX file. Layer: learning.

The query attends to the tiles and captions of a page; what comes out should lie near the picture
that is looked for and near its other captions. Needs torch.

Source: arXiv 2511.17255 (architecture; constants from its code). Theirs attends from the words of a
query to the patches of pictures; here one vector stands for the query and a handful of tiles for
a picture, as libraries keep them of any encoder.
"""

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relook.core.errors import disk_error
from relook.encoders.base import Fingerprint
from relook.search.summariser import AFS_INPUTS, AFS_KIND, AFS_OUTPUTS, AFS_VERSION, FACTS

_OPSET = 17
_LEAST_WEIGHT = 1e-30


@dataclass(frozen=True, slots=True)
class Size:
    """How large the attention is: the paper's form, a third as wide."""

    width: int = 256
    heads: int = 8
    depth: int = 2


class _Block(nn.Module):
    """Attention to a memory, and a small network, each added to what came in.

    There is one query, so keys and values are never made for each token: what the query asks is
    brought into the memory's space, and what the attention mixes is brought out of it. The
    result is that of multi-head attention (a bias of keys would change nothing).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.shape = (heads, width // heads, width)
        self.before, self.memory, self.between = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.key = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, state: Tensor, memory: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """[b, w], [b, n, w], [b, n] -> [b, w] and the attention [b, n], a mean over heads."""
        heads, each, width = self.shape
        memory = self.memory(memory)
        queries = self.query(self.before(state)).reshape(-1, heads, each)
        keys, values = (m.weight.reshape(self.shape) for m in (self.key, self.value))
        queries = torch.einsum("bhe,hew->bhw", queries, keys) / math.sqrt(each)
        attention = (queries @ memory.transpose(1, 2) + bias[:, None]).softmax(-1)  # [b, h, n]
        mixed = torch.einsum("bhw,hew->bhe", attention @ memory, values).reshape(-1, width)
        state = state + self.out(mixed + self.value.bias)
        state = state + self.down(nn.functional.gelu(self.up(self.between(state))))
        return state, attention.mean(dim=1)


class Attentive(nn.Module):
    """The summariser.

    Args:
        dim: Length of the encoder's vectors.
        size: Of the attention.
    """

    def __init__(self, dim: int, size: Size) -> None:
        super().__init__()
        self.text, self.vision = (nn.Linear(dim, size.width) for _ in range(2))
        self.blocks = nn.ModuleList(_Block(size.width, size.heads) for _ in range(size.depth))
        self.last, self.joint = nn.LayerNorm(size.width), nn.Linear(size.width, dim)

    def forward(
        self, query: Tensor, vectors: Tensor, is_text: Tensor | None, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `AFS_INPUTS` and `AFS_OUTPUTS`; the attention is that of the last block.

        `is_text` may be None where nothing is.
        """
        memory = self.vision(vectors)  # [b, n, w]
        if is_text is not None:
            memory = torch.where(is_text[..., None] > 0, self.text(vectors), memory)
        bias = weight.clamp_min(_LEAST_WEIGHT).log()
        state, attention = self.text(query), weight
        for block in self.blocks:
            state, attention = block(state, memory, bias)
        summary = self.joint(self.last(state))
        return summary / summary.norm(dim=-1, keepdim=True).clamp_min(1e-9), attention


def write_afs(
    model: Attentive, fingerprint: Fingerprint, trained: Mapping[str, Any], file: Path
) -> None:
    """Writes a summariser as an ONNX file with what it was trained for, whole or not at all.

    Raises:
        StorageError: when the disk refuses.
    """
    import onnx

    draft = file.with_name(f"{file.name}.new")
    dim = model.text.in_features
    example = (torch.zeros(2, dim), torch.zeros(2, 3, dim), torch.zeros(2, 3), torch.ones(2, 3))
    several = {"query": {0: "batch"}, "summary": {0: "batch"}}
    several |= {n: {0: "batch", 1: "tokens"} for n in ("vectors", "is_text", "weight", "attention")}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer's, about shapes that are constant here
            torch.onnx.export(
                model.eval(), example, str(draft), dynamo=False, opset_version=_OPSET,
                input_names=list(AFS_INPUTS), output_names=list(AFS_OUTPUTS),
                dynamic_axes=several,
            )  # fmt: skip
        graph = onnx.load(str(draft))
        facts = {"kind": AFS_KIND, "version": AFS_VERSION, "fingerprint": fingerprint.as_dict()}
        entry = graph.metadata_props.add()
        entry.key, entry.value = FACTS, json.dumps({**facts, "trained": dict(trained)})
        with open(draft, "wb") as target:
            target.write(graph.SerializeToString())
            target.flush()
            os.fsync(target.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise disk_error(f"cannot write {file}", error) from error
