"""Tiny checkpoints with random weights, saved as real ones are. Layer: testing.

They know nothing; they have a real family's shape, tokenizer and processor, load through
the same path as a checkpoint of the hub, and are made in a second. For tests of what is
built around models, and to try a configuration without a download. Needs `relook[hf]`,
`tiny_builtin` `onnx` alone.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE = 32
_WORDS = (
    "a", "red", "blue", "green", "white", "black", "small", "large", "dog", "cat", "ball", "bird",
    "tree", "house", "car", "boat", "sky", "sea", "street", "table", "cup", "flower", "person",
    "horse", "on", "near", "with",
)  # fmt: skip
_TOWER: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
_VISION: dict[str, Any] = {**_TOWER, "image_size": _SIDE, "patch_size": 8}
_CHAT = (
    "{% for m in messages %}{{ m['role'] | upper }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }} {% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tiny_builtin(folder: Path, seed: int = 0, dim: int = 16) -> Path:
    """A model of the built-in encoder's form: for `builtin:FOLDER`. Needs `onnx`.

    Args:
        folder: Where it is saved.
        seed: Another one makes other weights.
        dim: Length of its vectors.
    """
    rng = np.random.default_rng(seed)
    side, boxes = 16, [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]
    seen = np.zeros((side, side, 3, len(boxes)), np.float32)  # what each tile takes
    for tile, (left, _, right, _) in enumerate(boxes):
        seen[:, int(left * side) : int(right * side), :, tile] = 1 / side
    heads = rng.normal(size=(side * side * 3, 1, dim)) * seen.reshape(-1, len(boxes), 1)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS]
    folder.mkdir(parents=True)
    _write_pixels_to_tiles(folder / "image.onnx", heads.astype(np.float32))
    table = rng.normal(size=(len(names), dim)).astype(np.float32)
    _write_ids_to_vectors(folder / "text.onnx", table)
    vocabulary = {name: at for at, name in enumerate(names)}
    tokenizer = {"model": {"type": "WordPiece", "vocab": vocabulary}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    files = ("image.onnx", "text.onnx", "tokenizer.json")
    card = {
        "name": "relook-tiny", "revision": str(seed), "dim": dim, "image_size": side,
        "max_tokens": 12, "pad_id": 0, "tiles": boxes, "tile_weight": 0.9,
        "sha256": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in files},
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(card), "utf-8")
    return folder


def _write_pixels_to_tiles(path: Path, heads: NDArray[np.float32]) -> None:
    """`pixels` uint8 [n,s,s,3] -> `tiles` [n,t,d], by a matrix [s*s*3,t,d]."""
    from onnx import TensorProto, helper

    n_numbers, n_tiles, dim = heads.shape
    weights = {"head": heads.reshape(n_numbers, -1), "grey": np.float32(100), "by": np.float32(200),
               "flat": np.array([0, -1]), "split": np.array([0, n_tiles, dim])}  # fmt: skip
    steps = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "grey"], ["centred"]),
        helper.make_node("Div", ["centred", "by"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "head"], ["wide"]),
        helper.make_node("Reshape", ["wide", "split"], ["apart"]),
        helper.make_node("LpNormalization", ["apart"], ["tiles"], axis=-1),
    ]
    side = int((n_numbers // 3) ** 0.5)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, 3])
    tiles = helper.make_tensor_value_info("tiles", TensorProto.FLOAT, ["n", n_tiles, dim])
    _write_graph(path, steps, [pixels], tiles, weights)


def _write_ids_to_vectors(path: Path, table: NDArray[np.float32]) -> None:
    """`input_ids`, `attention_mask` [n,l] -> `vectors` [n,d]: the sum of a table's rows."""
    from onnx import TensorProto, helper

    weights = {"table": table, "last": np.array([-1]), "words": np.array([1])}
    steps = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "words"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["vectors"], axis=-1),
    ]
    puts = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "l"])
        for name in ("input_ids", "attention_mask")
    ]
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", table.shape[1]])
    _write_graph(path, steps, puts, vectors, weights)


def _write_graph(
    path: Path, steps: list[Any], inputs: list[Any], output: Any, weights: dict[str, Any]
) -> None:
    import onnx
    from onnx import helper, numpy_helper

    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(steps, path.stem, inputs, [output], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def tiny_clip(folder: Path, seed: int = 0, dim: int = 16) -> Path:
    """A CLIP of two layers.

    Args:
        folder: Where it is saved.
        seed: Another one makes other weights.
        dim: Length of its vectors.
    """
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    vocabulary = _byte_vocabulary("</w>", "<|startoftext|>", "<|endoftext|>")
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    text = {
        **_TOWER, "vocab_size": len(vocabulary), "max_position_embeddings": 77,
        "bos_token_id": start, "eos_token_id": end, "projection_dim": dim,
    }  # fmt: skip
    vision = {**_VISION, "projection_dim": dim}
    torch.manual_seed(seed)
    model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    return _saved(folder, model, tokenizer, _clip_pixels())


def tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """A SigLIP of two layers with a SentencePiece tokenizer, trained on a few words."""
    import sentencepiece
    from transformers import SiglipTokenizer

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(_WORDS)] * 20), model_writer=trained, vocab_size=48,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "spiece.model"
    file.write_bytes(trained.getvalue())
    tokenizer: Any = SiglipTokenizer(str(file), model_input_names=["input_ids"])
    return _saved_siglip(folder, seed, tokenizer)


def tiny_siglip2(folder: Path, seed: int = 0) -> Path:
    """A SigLIP 2 of fixed resolution: SigLIP's towers, and Gemma's tokenizer, which keeps case."""
    from transformers import GemmaTokenizer

    letters = [chr(code) for code in range(33, 127)]
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *letters]
    tokenizer: Any = GemmaTokenizer(
        vocab={name: at for at, name in enumerate(names)}, merges=[], model_max_length=64,
        model_input_names=["input_ids"], add_bos_token=False, add_eos_token=True,
    )  # fmt: skip
    return _saved_siglip(folder, seed, tokenizer)


def _saved_siglip(folder: Path, seed: int, tokenizer: Any) -> Path:
    import torch
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    text = {
        **_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 64,
        "projection_size": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=_VISION))
    pixels: Any = SiglipImageProcessorPil
    return _saved(folder, model, tokenizer, pixels(size={"height": _SIDE, "width": _SIDE}))


def tiny_llava(folder: Path, seed: int = 0) -> Path:
    """A LLaVA whose every token is an English word, so that what it writes has words."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava
    from transformers import LlavaProcessor as Processor

    tokenizer = _word_tokenizer("<pad>", "<s>", "</s>", "<unk>", "<image>")
    language = LlamaConfig(
        **_TOWER, num_key_value_heads=2, vocab_size=len(tokenizer), pad_token_id=0,
        bos_token_id=1, eos_token_id=2, initializer_range=0.5,
    )  # fmt: skip
    config: Any = LlavaConfig
    config = config(
        vision_config=CLIPVisionConfig(**_VISION), text_config=language, image_seq_length=16,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(seed)
    make: Any = Processor
    processor = make(
        _clip_pixels(), tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=_CHAT,
    )  # fmt: skip
    return _saved(folder, Llava(config), processor)


def tiny_blip(folder: Path, seed: int = 0) -> Path:
    """A BLIP that captions without being asked."""
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipProcessor
    from transformers import BlipForConditionalGeneration as Blip
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *_WORDS]
    tokenizer: Any = BertTokenizer(
        vocab={name: at for at, name in enumerate(names)},
        additional_special_tokens=["[DEC]", "[ENC]"],
    )
    text = {
        **_TOWER, "vocab_size": len(names), "encoder_hidden_size": 32, "bos_token_id": 5,
        "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0, "initializer_range": 0.5,
    }  # fmt: skip
    torch.manual_seed(seed)
    config = BlipConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    pixels: Any = BlipImageProcessorPil
    pixels = pixels(size={"height": _SIDE, "width": _SIDE})
    make: Any = BlipProcessor
    return _saved(folder, Blip(config), make(pixels, tokenizer))


def tiny_st(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers model around a tiny CLIP."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer

    from relook.encoders.torch_models import quiet

    with quiet():
        tower = Transformer(str(tiny_clip(folder / "clip", seed)))
        SentenceTransformer(modules=[tower], device="cpu").save(str(folder / "model"))
    return folder / "model"


def _saved(folder: Path, model: Any, *parts: Any) -> Path:
    from relook.encoders.torch_models import quiet

    with quiet():
        model.save_pretrained(folder)
        for part in parts:
            part.save_pretrained(folder)
    return folder


def _clip_pixels() -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    pixels: Any = CLIPImageProcessorPil
    return pixels(size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE})


def _byte_vocabulary(end_of_word: str, *special: str) -> dict[str, int]:
    """Every byte, alone and at the end of a word, and some marks."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(letter + end_of_word for letter in letters), *special]
    return {name: at for at, name in enumerate(names)}


def _word_tokenizer(*special: str) -> Any:
    """A tokenizer with one token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {name: at for at, name in enumerate((*special, *_WORDS))}
    tokenizer: Any = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped: Any = PreTrainedTokenizerFast
    return wrapped(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", additional_special_tokens=["<image>"], padding_side="left",
    )  # fmt: skip
