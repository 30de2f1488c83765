"""The built-in encoder: speed of its towers, and whether batches change a vector.

Measures: milliseconds a picture of the image tower in ONNX Runtime as shipped, one at a time and
in batches; milliseconds a text query; the time to load each tower; the largest difference that
a batch makes to a vector. Baseline: the same image tower in eager torch float32.
Read it: the ratio of the batches' medians is the figure with a target. The baseline needs torch
and `training/`: it runs here when torch imports, or in the interpreter of --torch-python, and
is left out with a note when neither has it. Both use all cores; weights do not matter for it.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say, times_ms
from photographs import variants
from synthetic import text_queries

from relook.encoders.builtin import BuiltinEncoder

HERE = Path(__file__).resolve().parent
BATCH = 16


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    n = 30 if options.full else 8
    encoder = BuiltinEncoder()
    figures = _loading(encoder)
    prepared = [encoder.prepare(image) for image in variants(4 * BATCH, 320)]
    say("ONNX Runtime, pictures")
    single = times_ms(lambda: encoder.encode_prepared(prepared[:1]), 3 * n, warm=3)
    batch = times_ms(lambda: encoder.encode_prepared(prepared[:BATCH]), n, warm=2) / BATCH
    say("eager torch")
    torch_ms, why_not = _torch(options, encoder, n)
    again = times_ms(lambda: encoder.encode_prepared(prepared[:BATCH]), n) / BATCH
    batch = np.concatenate([batch, again])  # before and after the baseline
    figures += [
        Figure("image tower, 1 picture, p50", float(np.median(single)), "ms"),
        Figure(f"image tower, batch of {BATCH}, a picture", float(np.median(batch)), "ms"),
        Figure("  best", float(batch.min()), "ms"),
        *_ratios(batch, torch_ms, why_not),
        *_texts(encoder),
        *_invariance(encoder, prepared),
    ]
    report("encoder", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--torch-python", help="an interpreter that has torch, for the baseline")
    return made.parse_args()


def _loading(encoder: BuiltinEncoder) -> list[Figure]:
    """Loads the towers and the tokenizer by their first use."""
    taken = {}
    for name in ("_image_tower", "_text_tower", "_tokenizer"):
        began = time.perf_counter()
        getattr(encoder, name)
        taken[name] = (time.perf_counter() - began) * 1e3
    return [
        Figure("load the image tower", taken["_image_tower"], "ms"),
        Figure("load the text tower", taken["_text_tower"], "ms"),
        Figure("load the tokenizer", taken["_tokenizer"], "ms"),
    ]


def _torch(
    options: argparse.Namespace, encoder: BuiltinEncoder, n: int
) -> tuple[np.ndarray | None, str]:
    """Milliseconds a picture in eager torch [n], or None and the reason."""
    python = options.torch_python
    if not python and importlib.util.find_spec("torch") is None:
        return None, "needs torch: --torch-python PATH"
    card = json.loads((encoder.folder / "model.json").read_text("utf-8"))
    size = re.search(r"EfficientNet-Lite(\d)", " ".join(card["sources"]))
    shape = [size[1] if size else "0", str(card["members"]), str(BATCH), str(n)]
    command = [python or sys.executable, str(HERE / "torch_tower.py"), *shape]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return None, f"the torch tower did not run: {last}"
    return np.array(json.loads(done.stdout.splitlines()[-1])), ""


def _ratios(batch: np.ndarray, torch_ms: np.ndarray | None, why_not: str) -> list[Figure]:
    name = f"baseline: eager torch float32, batch of {BATCH}, a picture"
    if torch_ms is None:
        return [Figure(name, None, "ms", note=why_not)]
    return [
        Figure(name, float(np.median(torch_ms)), "ms"),
        Figure("  best", float(torch_ms.min()), "ms"),
        Figure("torch / ONNX Runtime", float(np.median(torch_ms) / np.median(batch)), at_least=4),
        Figure("  of the best", float(torch_ms.min() / batch.min())),
    ]


def _texts(encoder: BuiltinEncoder) -> list[Figure]:
    say("texts")
    queries = text_queries(60)
    taken = [times_ms(lambda q=q: encoder.encode_texts([q]), 1, warm=0)[0] for q in queries]
    many = times_ms(lambda: encoder.encode_texts(queries), 3) / len(queries)
    return [
        Figure("text tower, 1 query, p50", float(np.median(taken)), "ms"),
        Figure("text tower, 60 queries at once, a query", float(np.median(many)), "ms"),
    ]


def _invariance(encoder: BuiltinEncoder, prepared: list[np.ndarray]) -> list[Figure]:
    """The largest difference of an element between batches of 1 and larger ones."""
    queries = text_queries(60)
    together = np.stack(encoder.encode_prepared(prepared[:BATCH]))
    apart = np.stack([encoder.encode_prepared([one])[0] for one in prepared[:BATCH]])
    texts = encoder.encode_texts(queries)
    alone = np.concatenate([encoder.encode_texts([query]) for query in queries])
    return [
        Figure("batch changes a picture by", float(np.abs(together - apart).max()), at_most=1e-4),
        Figure("batch changes a text by", float(np.abs(texts - alone).max()), at_most=1e-4),
    ]


if __name__ == "__main__":
    main()
