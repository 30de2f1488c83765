"""What the frozen halves of both towers make of the data, computed once.

    python training/cache.py --data DIR --out DIR

Pictures pass the lower half of EfficientNet-Lite2 in its shipped, integer form, so that the
trained half sees exactly what it will see in use; captions pass the lower half of MiniLM.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from backbone import Backbone
from onnx import numpy_helper
from pictures import class_files, mosaics, read_pictures, read_split
from quantise import quantise_image
from torch import Tensor, nn
from words import WIDTH, Words, load_tokenizer, tokens

LITE = 2
N_UPPER_BLOCKS = 2
N_UPPER_LAYERS = 3
LONGEST = 32
SEED = 1


class Halves(nn.Module):
    """The backbone with the seam between its halves as a second output."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        seam = self.backbone.lower(self.backbone.normalise(pixels))
        return seam, self.backbone.upper(seam)


def calibration(data: Path) -> np.ndarray:
    """The 300 training pictures that integer ranges are measured on."""
    files = read_split(data, "train").files[::30]
    flickr = read_pictures([data / "flickr8k" / "images" / f for f in files])
    return np.concatenate([flickr, read_pictures(class_files(data)[::10])])


class Lower:
    """The integer lower half: pictures to the bytes at the seam.

    Args:
        folder: where its graph is written.
        pictures: uint8 [n,224,224,3], what integers are calibrated on.
    """

    def __init__(self, folder: Path, pictures: np.ndarray):
        plain, path = folder / "halves.float.onnx", folder / "halves.onnx"
        names = ["pixels", "seam", "grid"]
        torch.onnx.export(
            Halves(Backbone(LITE, N_UPPER_BLOCKS)).eval(),
            torch.zeros(2, 224, 224, 3, dtype=torch.uint8),
            plain,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "n"} for name in names},
            opset_version=17,
            dynamo=False,
        )
        quantise_image(plain, path, pictures)
        self.scale, self.zero = _seam_range(path)
        options = ort.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", "1")  # as the package does
        self.session = ort.InferenceSession(path, options)

    def __call__(self, pictures: np.ndarray, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [n,224,224,3] -> seam bytes [n,208,7,7] and the mean feature, half [n,1280]."""
        codes, means = [], []
        for i in range(0, len(pictures), batch):
            pixels = np.ascontiguousarray(pictures[i : i + batch])
            seam, grid = self.session.run(None, {"pixels": pixels})
            codes.append((np.rint(seam / self.scale) + self.zero).astype(np.uint8))
            means.append(grid.mean((2, 3)).astype(np.float16))
        return np.concatenate(codes), np.concatenate(means)


def _seam_range(path: Path) -> tuple[float, int]:
    """Scale and zero point of the integers at the seam."""
    graph = onnx.load(path).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    node = next(n for n in graph.node if "seam" in n.output)
    return float(values[node.input[1]]), int(values[node.input[2]])


def read_words(words: Words, tokenizer, texts: list[str]) -> dict[str, np.ndarray]:
    """Texts through the frozen layers.

    Returns:
        `hidden` half [n,l,384] at the seam, `length` int [n], and `sentence` [n,384], the
        published model's unit vector, which training must not lose.
    """
    tokenizer.enable_truncation(LONGEST)
    length = np.array([len(tokenizer.encode(t).ids) for t in texts])
    hidden = np.zeros((len(texts), int(length.max()), WIDTH), np.float16)
    sentence = np.zeros((len(texts), WIDTH), np.float32)
    order = np.argsort(length)
    with torch.inference_mode():
        for i in range(0, len(order), 128):
            rows = order[i : i + 128]
            ids, mask = tokens(tokenizer, [texts[r] for r in rows])
            seam = words.lower(ids, mask)
            hidden[rows, : seam.shape[1]] = seam.numpy()
            vector = words.upper(seam, mask)
            sentence[rows] = torch.nn.functional.normalize(vector, dim=-1).numpy()
    return {"hidden": hidden, "length": length, "sentence": sentence}


def save(folder: Path, name: str, **arrays: np.ndarray) -> None:
    """Writes each array as `<name>.<key>.npy`."""
    for key, array in arrays.items():
        np.save(folder / f"{name}.{key}.npy", array)


def main() -> None:
    """Fills the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lower = Lower(args.out, calibration(args.data))
    save(args.out, "seam", range=np.array([lower.scale, lower.zero]))
    words, tokenizer = Words(N_UPPER_LAYERS).eval(), load_tokenizer()
    rng = np.random.default_rng(SEED)
    for name in ("train", "dev"):
        split = read_split(args.data, name)
        pixels = read_pictures([args.data / "flickr8k" / "images" / f for f in split.files])
        whole = len(pixels) // 4 * 4
        groups = rng.permutation(len(pixels))[:whole].reshape(-1, 4)
        for kind, images in (
            (name, pixels),
            (name + "_flipped", pixels[:, :, ::-1]),
            (name + "_mosaic", mosaics(pixels, groups)),
        ):
            codes, means = lower(images)
            save(args.out, kind, seam=codes, mean=means)
        save(args.out, name + "_mosaic", groups=groups)
        save(args.out, name + "_words", **read_words(words, tokenizer, split.captions))
    for kind, centre in (("classes", False), ("classes_centre", True)):
        pixels = read_pictures(class_files(args.data), centre)
        for suffix, images in (("", pixels), ("_flipped", pixels[:, :, ::-1])):
            codes, means = lower(images)
            save(args.out, kind + suffix, seam=codes, mean=means)


if __name__ == "__main__":
    main()
