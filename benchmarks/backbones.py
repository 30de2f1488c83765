"""Indexing with full-size CLIP towers, against the seed's way. Not part of `run.py`.

Measures: pictures a second of `Library.add` with a ViT-B/32 or ViT-L/14 of random weights
(speed does not depend on them), of the seed's way (transformers in float32, its processor,
one thread that opens 64 pictures and then encodes them), of the bare forward pass on inputs
that are ready, and of decoding alone in all threads. Rounds alternate, and the median counts.
Read it: ours / seed is the figure with a target (2 on a processor with bfloat16, 3 on a GPU);
ours / bare says how much of what the device can do is used (0.6 on a GPU). --pictures names a
folder of JPEG files; nothing is downloaded.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, report, say
from PIL import Image
from transformers import AutoModel, CLIPConfig, CLIPModel

import relook
from relook.core.images import decode, read_bytes
from relook.encoders.hf import HfEncoder
from relook.testing.checkpoints import tiny_clip

SIZES = {
    "b32": (768, 12, 12, 32, 512, 512, 8),
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
    made.add_argument("--model", nargs="+", choices=SIZES, default=["b32"])
    made.add_argument("--device", default="auto")
    made.add_argument("--dtype", default="auto")
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
    encoder = HfEncoder(folder, tiles="none", device=options.device, dtype=options.dtype)
    encoder.load()
    seeds = AutoModel.from_pretrained(folder).eval().to(encoder.place.device)
    ways: dict[str, Callable[[], None]] = {
        "seed": lambda: seeds_way(seeds, folder, paths),
        "ours": lambda: ours(encoder, paths),
        "bare": lambda: bare(encoder, len(paths)),
        "decoding": lambda: decoding(encoder, paths),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(options.rounds + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if number:  # the first round warms up, and finds the size of a batch
                rates[way].append(len(paths) / (time.perf_counter() - began))
        say(f"{name}: round {number} of {options.rounds}")
    middle = {way: float(np.median(some)) for way, some in rates.items()}
    return [
        Figure(f"{name} on {encoder.place}, batches of {encoder.batch}", 0.0, ""),
        *(Figure(f"  {way}", rate, "pictures/s") for way, rate in middle.items()),
        Figure("  ours / seed", middle["ours"] / middle["seed"], "x"),
        Figure("  ours / bare", middle["ours"] / middle["bare"], "x"),
        Figure("  decoding / ours", middle["decoding"] / middle["ours"], "x"),
    ]


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


def ours(encoder: HfEncoder, paths: list[Path]) -> None:
    """`Library.add`, which also hashes, writes and commits."""
    with (
        tempfile.TemporaryDirectory() as place,
        relook.Library(Path(place) / "lib", encoder=encoder) as library,
    ):
        assert library.add(*paths).n_added == len(paths)


def bare(encoder: HfEncoder, n: int) -> None:
    """The image tower on inputs that are on the device already, in our batches."""
    model, here = encoder._model, encoder.place
    size = min(encoder._batch.size, n)
    values = torch.randn(size, 3, 224, 224, device=here.device, dtype=here.torch_dtype)
    with torch.inference_mode():
        for at in range(0, n, size):
            model.get_image_features(pixel_values=values[: min(size, n - at)])
    if here.device.startswith("cuda"):
        torch.cuda.synchronize()


def decoding(encoder: HfEncoder, paths: list[Path]) -> None:
    """Reading, decoding and resizing in as many threads as indexing uses."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda path: one(encoder, path), paths))


def one(encoder: HfEncoder, path: Path) -> None:
    """One picture up to the tower's input."""
    encoder.prepare(decode(read_bytes(path), encoder.input_px).image)


if __name__ == "__main__":
    main()
