"""Indexing with full-size CLIP towers, against the seed's way. Not part of `run.py`.

Measures: pictures a second of `Library.add` with a ViT-B/32, B/16 or L/14 of random weights (speed
does not depend on them) on torch in float32 and bfloat16, and from ONNX files in float32 and int8;
of the seed's way (transformers in float32, its processor, one thread that opens 64 pictures and
then encodes them); of each encoder alone, on inputs that are ready; and of decoding alone in all
threads, every pixel of a file. Rounds alternate, and the median counts.
Read it: `x seed` is the figure with a target (2 on a processor with bfloat16, 3 on a GPU); `ms` is
what `relook model list` shows. --pictures names a folder of JPEG files; nothing is downloaded.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, report, say
from PIL import Image
from transformers import AutoModel, CLIPConfig, CLIPModel

import relook
from relook.core.images import decode
from relook.core.sources import read_file
from relook.encoders.hf import HfEncoder
from relook.encoders.onnx import OnnxEncoder
from relook.encoders.onnx_export import export
from relook.testing.checkpoints import tiny_clip

SIZES = {
    "b32": (768, 12, 12, 32, 512, 512, 8),
    "b16": (768, 12, 12, 16, 512, 512, 8),
    "l14": (1024, 24, 16, 14, 768, 768, 12),
}
"""Width, layers, heads and patch of the image tower; dimension; width and heads of the text's."""
SEED_BATCH = 64


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    paths = sorted(options.pictures.rglob("*.jp*g"))[: options.n]
    figures = [Figure("pictures", float(len(paths)), "")]
    with tempfile.TemporaryDirectory() as place:
        for name in options.model:
            folder = checkpoint(Path(place) / name, name)
            figures += measure(name, folder, paths, options)
    report("backbones", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, required=True, help="a folder of JPEG files")
    made.add_argument("--n", type=int, default=128, help="pictures a round")
    made.add_argument("--rounds", type=int, default=3, help="of each way")
    made.add_argument("--model", nargs="+", choices=SIZES, default=["b32", "b16"])
    made.add_argument("--device", default="auto")
    return made.parse_args()


def checkpoint(folder: Path, name: str) -> Path:
    """A full-size CLIP with random weights, saved as a real one is."""
    width, layers, heads, patch, dim, text_width, text_heads = SIZES[name]
    say(f"making a {name} with random weights")
    tiny_clip(folder)  # its tokenizer and processor stay
    tokens = CLIPConfig.from_pretrained(folder).text_config
    vision = {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "patch_size": patch, "image_size": 224,
    }  # fmt: skip
    text = {
        "hidden_size": text_width, "intermediate_size": 4 * text_width,
        "num_attention_heads": text_heads, "vocab_size": tokens.vocab_size,
        "bos_token_id": tokens.bos_token_id, "eos_token_id": tokens.eos_token_id,
    }  # fmt: skip
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)
    CLIPModel(config).save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    file.write_text(file.read_text().replace("32", "224"))
    return folder


def measure(
    name: str, folder: Path, paths: list[Path], options: argparse.Namespace
) -> list[Figure]:
    """All ways over the same pictures, one after the other, several times."""
    encoders = opened(folder, options.device)
    first = next(iter(encoders.values()))
    seeds = AutoModel.from_pretrained(folder).eval().to(first.place.device)
    ways: dict[str, Callable[[], None]] = {"seed": lambda: seeds_way(seeds, folder, paths)}
    for way, encoder in encoders.items():
        ready = [encoder.prepare(decode(read_file(path)).image) for path in paths]
        ways[way] = partial(ours, encoder, paths)
        ways[f"{way} alone"] = partial(encoder.encode_prepared, ready)
    ways["decoding"] = partial(decoding, first, paths)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(options.rounds + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if number:  # the first round warms up, and finds the size of a batch
                rates[way].append(len(paths) / (time.perf_counter() - began))
        say(f"{name}: round {number} of {options.rounds}")
    middle = {way: float(np.median(some)) for way, some in rates.items()}
    figures = [Figure(f"{name} on {first.place.device}", 0.0, "")]
    for way, rate in middle.items():
        figures.append(Figure(f"  {way}", rate, "pictures/s"))
        if way.endswith(" alone"):
            figures.append(Figure(f"  {way}, a picture", 1e3 / rate, "ms"))
        elif way in encoders:
            figures.append(Figure(f"  {way} x seed", rate / middle["seed"], "x"))
    return figures


def opened(folder: Path, device: str) -> dict[str, HfEncoder | OnnxEncoder]:
    """The same model in every form."""
    say("exporting it to ONNX")
    made = folder.with_name(f"{folder.name}-onnx")
    exported = export(str(folder), made, int8=True)
    say(f"int8: cosine to float32 at least {exported.int8_cosine:.4f}")
    encoders: dict[str, HfEncoder | OnnxEncoder] = {
        "torch float32": HfEncoder(folder, tiles="none", device=device, dtype="float32"),
        "torch bfloat16": HfEncoder(folder, tiles="none", device=device, dtype="bfloat16"),
        "onnx float32": OnnxEncoder(made, tiles="none"),
        "onnx int8": OnnxEncoder(made, tiles="none", variant="int8"),
    }
    for encoder in encoders.values():
        encoder.load()
    return encoders


def seeds_way(model: torch.nn.Module, folder: Path, paths: list[Path]) -> None:
    """64 pictures are opened and prepared in one thread; then they are encoded."""
    from transformers import CLIPProcessor

    processor = CLIPProcessor.from_pretrained(folder)
    device = next(model.parameters()).device
    rows = []
    for at in range(0, len(paths), SEED_BATCH):
        images = [Image.open(path).convert("RGB") for path in paths[at : at + SEED_BATCH]]
        inputs = processor(images=images, return_tensors="pt").to(device)
        with torch.no_grad():
            features = model.get_image_features(**inputs).pooler_output
        rows.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
    assert len(np.concatenate(rows)) == len(paths)


def ours(encoder: HfEncoder | OnnxEncoder, paths: list[Path]) -> None:
    """`Library.add`, which also hashes, writes and commits."""
    with (
        tempfile.TemporaryDirectory() as place,
        relook.Library(Path(place) / "lib", encoder=encoder) as library,
    ):
        assert library.add(*paths).n_added == len(paths)


def decoding(encoder: HfEncoder | OnnxEncoder, paths: list[Path]) -> None:
    """Reading, decoding and resizing in as many threads as indexing uses."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda path: one(encoder, path), paths))


def one(encoder: HfEncoder | OnnxEncoder, path: Path) -> None:
    """One picture up to the tower's input."""
    encoder.prepare(decode(read_file(path), encoder.input_px).image)


if __name__ == "__main__":
    main()
