"""Measures the four shipped files, from the photographs' files, on pictures never trained on.

python training/evaluate.py --data DIR --model src/relook/encoders/builtin_model
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from attributes import DEV, measure
from metrics import average_precision, best_tile, found, recall
from pictures import (
    class_files,
    class_query,
    mosaics,
    read_concepts,
    read_pictures,
    read_split,
    squash,
)
from sets import dev_set
from tokenizers import Tokenizer

SEED = 1
N_MOSAICS = 250


class Shipped:
    """The two towers as a person gets them.

    Args:
        folder: where image.onnx, text.onnx, tokenizer.json and model.json lie.
        n_threads: how many threads the towers may take.
    """

    def __init__(self, folder: Path, n_threads: int = 2):
        self.card = json.loads((folder / "model.json").read_text())
        options = ort.SessionOptions()
        options.intra_op_num_threads = n_threads
        # As the package does; without it processors without VNNI saturate, see builtin.py.
        options.add_session_config_entry("session.x64quantprecision", "1")
        start = time.perf_counter()
        self.images = ort.InferenceSession(folder / "image.onnx", options)
        middle = time.perf_counter()
        self.words = ort.InferenceSession(folder / "text.onnx", options)
        self.load_s = {"image": middle - start, "text": time.perf_counter() - middle}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.card["max_tokens"])
        self.tokenizer.enable_padding(pad_id=self.card["pad_id"])

    def see(self, pixels: np.ndarray, batch: int = 16) -> np.ndarray:
        """uint8 [n,224,224,3] -> float32 [n,t,d]."""
        parts = range(0, len(pixels), batch)
        return np.concatenate(
            [self.images.run(None, {"pixels": pixels[i : i + batch]})[0] for i in parts]
        )

    def read(self, texts: list[str], batch: int = 64) -> np.ndarray:
        """N texts -> float32 [n,d]."""
        out = []
        for i in range(0, len(texts), batch):
            rows = self.tokenizer.encode_batch(texts[i : i + batch])
            ids = np.array([r.ids for r in rows], np.int64)
            mask = np.array([r.attention_mask for r in rows], np.int64)
            out.append(self.words.run(None, {"input_ids": ids, "attention_mask": mask})[0])
        return np.concatenate(out)


class Dev:
    """Pictures that are only ever measured on, and what the model makes of them.

    Args:
        model: the towers.
        data: the data folder.
    """

    def __init__(self, model: Shipped, data: Path):
        self.model, self.data = model, data
        self.sets = {name: dev_set(data, name) for name in DEV}
        self.tiles = {name: model.see(pictures) for name, (pictures, _) in self.sets.items()}

    def everything(self) -> tuple[np.ndarray, list[list[str]]]:
        """Tiles and captions of all sets, one after another."""
        captions = [texts for _, some in self.sets.values() for texts in some]
        return np.concatenate(list(self.tiles.values())), captions


def measure_flickr(model: Shipped, data: Path, dev: Dev, weight: float) -> dict:
    """Captions, short concepts and mosaics on the 1,000 dev pictures; tile 0 and best tile."""
    split = read_split(data, "dev")
    pixels, tiles = dev.sets["flickr8k-dev"][0], dev.tiles["flickr8k-dev"]
    captions = model.read(split.captions)
    concepts = read_concepts(data, "dev", split.files)
    asked = model.read([c[0] for c in concepts])
    groups = np.random.default_rng(SEED).permutation(len(pixels))[: 4 * N_MOSAICS].reshape(-1, 4)
    mosaic_of = np.empty(len(pixels), int)
    mosaic_of[groups.reshape(-1)] = np.repeat(np.arange(len(groups)), 4)
    mosaic_tiles = model.see(mosaics(pixels, groups))
    report = {}
    for form, w in (("tile0", 0.0), ("best_tile", weight)):
        rows = list(zip(best_tile(asked, tiles, w), [c[1] for c in concepts], strict=True))
        report[form] = {
            "caption_recall_1_5_10": recall(best_tile(captions, tiles, w), split.owner),
            "concept_mean_ap": round(float(np.mean([average_precision(s, r) for s, r in rows])), 4),
            "concept_found_at_40": round(float(np.mean([found(s, r) for s, r in rows])), 4),
            "mosaic_recall_1_5_10": recall(
                best_tile(captions, mosaic_tiles, w), mosaic_of[split.owner]
            ),
        }
    return report


def measure_web(model: Shipped, dev: Dev, weight: float) -> dict:
    """Captions on the 999 web pictures that no head was trained on; tile 0 and best tile."""
    tiles = dev.tiles["web-dev"]
    read = model.read([texts[0] for texts in dev.sets["web-dev"][1]])
    own = np.arange(len(tiles))
    return {
        form: recall(best_tile(read, tiles, w), own)
        for form, w in (("tile0", 0.0), ("best_tile", weight))
    }


def measure_coco(model: Shipped, data: Path, dev: Dev, weight: float) -> list[float]:
    """People's captions of coco-mini's annotated pictures, best tile.

    They are too few for a gallery: its other pictures, and Flickr8k's and the web's dev pictures
    beside them, make 1,033.
    """
    folder = data / "coco-mini"
    card = json.loads((folder / "annotations" / "captions_val2017.json").read_text())
    files = sorted((folder / "val2017").glob("*.jpg"))
    at = {path.name: row for row, path in enumerate(files)}
    names = {image["id"]: image["file_name"] for image in card["images"]}
    rows = [(a["caption"].strip(), at[names[a["image_id"]]]) for a in card["annotations"]]
    others = [tiles[:437] for tiles in dev.tiles.values()]
    tiles = np.concatenate([model.see(read_pictures(files)), *others])
    scores = best_tile(model.read([text for text, _ in rows]), tiles, weight)
    return recall(scores, np.array([row for _, row in rows]))


def measure_nouns(model: Shipped, data: Path, weight: float) -> dict:
    """Each class's name among the 1,000 ImageNet pictures; tile 0 and best tile."""
    paths = class_files(data)
    tiles, names = model.see(read_pictures(paths)), model.read([class_query(p) for p in paths])
    own = np.arange(len(paths))
    return {
        form: recall(best_tile(names, tiles, w), own)
        for form, w in (("tile0", 0.0), ("best_tile", weight))
    }


def measure_speed(model: Shipped, data: Path) -> dict:
    """Milliseconds: decoding, a picture at batch 16, one query; and seconds to load."""
    paths = class_files(data)[:64]
    pixels = read_pictures(paths)
    return {
        "decode_ms": _median_ms(lambda: squash(paths[0])),
        "picture_ms_batch16": round(_median_ms(lambda: model.see(pixels[:16])) / 16, 2),
        "query_ms": _median_ms(lambda: model.read(["a dog runs along the beach"])),
        "load_s": {k: round(v, 3) for k, v in model.load_s.items()},
    }


def measure_batches(model: Shipped, data: Path) -> float:
    """Largest difference between a vector made alone and made in a batch."""
    pixels = read_pictures(class_files(data)[:24])
    return float(np.abs(model.see(pixels, 24) - model.see(pixels, 1)).max())


def _median_ms(call, n: int = 15) -> float:
    call()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return round(float(np.median(times)), 2)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    model = Shipped(args.model)
    weight = model.card.get("tile_weight", 1.0)
    dev = Dev(model, args.data)
    report = {
        "tile_weight": weight,
        "flickr8k_dev": measure_flickr(model, args.data, dev, weight),
        "web_dev": measure_web(model, dev, weight),
        "coco_mini": measure_coco(model, args.data, dev, weight),
        "attributes": measure(model, *dev.everything()),
        "imagenet_names": measure_nouns(model, args.data, weight),
        "speed": measure_speed(model, args.data),
        "batch_difference": measure_batches(model, args.data),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
