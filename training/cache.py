"""What the two networks make of the training sets, computed once.

    python training/cache.py --data DIR --out DIR [--towers DIR/towers.pt]
    python training/cache.py --data DIR --out DIR --sets flickr8k [--plain]

Pictures pass EfficientNet-Lite2 in its shipped, integer form, so that the heads see exactly
what they will see in use; captions pass MiniLM; both as `finetune.py` left them, or as published.
In the second form, for some of the sets, both are as they ship. What is there is not made again.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from attributes import swaps
from captioned import crops
from eye import N_SEEN, Eye
from networks import Networks
from onnx import TensorProto, helper
from phrases import common_phrases
from pictures import (
    SIZE,
    class_files,
    class_names,
    mosaics,
    read_concepts,
    read_pictures,
    read_split,
)
from quantise import drop_unused, quantise_image, shipped_eye
from sets import WEIGHTS, Captioned, own_set, training_set
from torch import Tensor, nn
from towers import N_FEATURES, WINDOWS
from words import N_READ, Words, load_tokenizer

SHIPPED = Path(__file__).parents[1] / "src" / "relook" / "encoders" / "builtin_model"
LONGEST = 40
N_MOSAICS = 6000
N_CALIBRATION = {"flickr8k": 120, "web-train": 160, "coco-objects": 60, "classes": 80}
N_CALIBRATION |= {"ade20k-scenes": 15, "aerial": 15}
N_PROBABLE = 16
"""So many of ImageNet's class probabilities are kept for training; the shipped head has all."""
SWAPPED = 0.5
"""Share of the captions with a colour, count or actor that get a wrong twin."""
VIEWS = ("", "_crop")


def evenly(pictures: np.ndarray, n: int) -> np.ndarray:
    """N of the pictures, evenly spaced."""
    return np.asarray(pictures[np.linspace(0, len(pictures) - 1, n).astype(int)])


def export_eye(eye: Eye, target: Path, calibration: np.ndarray) -> None:
    """Writes the integer graph `pixels` -> `seen`.

    Args:
        eye: in floats.
        target: the file to write.
        calibration: uint8 [n,224,224,3], what the integers' ranges are measured on.
    """
    plain = target.with_suffix(".float.onnx")
    torch.onnx.export(
        eye.eval(),
        torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8),
        plain,
        input_names=["pixels"],
        output_names=["seen"],
        dynamic_axes={"pixels": {0: "n"}, "seen": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    quantise_image(plain, target, calibration)
    plain.unlink()


def open_eye(path: Path, n_threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Runs the integer graph, sixteen pictures at a time: uint8 [n,224,224,3] -> [n,t,N_SEEN]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    # As the package does; without it processors without VNNI saturate, see builtin.py.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(path, options)

    def see(pictures: np.ndarray) -> np.ndarray:
        parts = range(0, len(pictures), 16)
        return np.concatenate(
            [
                session.run(None, {"pixels": np.ascontiguousarray(pictures[i : i + 16])})[0]
                for i in parts
            ]
        )

    return see


class Pictures:
    """Writes what the eye and ImageNet's classifier make of pictures.

    Args:
        out: the folder to fill.
        see: the eye.
        classifier: ImageNet's.
    """

    def __init__(self, out: Path, see: Callable[[np.ndarray], np.ndarray], classifier: nn.Linear):
        self.out, self.see, self.classifier = out, see, classifier

    def write(self, name: str, pictures: np.ndarray, change=lambda some: some) -> None:
        """Writes `<name>.seen.npy` [n,t,N_SEEN] and the most probable classes, once.

        Args:
            name: of the part.
            pictures: uint8 [n,224,224,3].
            change: what to do to pictures before they are seen.
        """
        done = self.out / f"{name}.done"
        if done.exists():
            return
        shape = (len(pictures), len(WINDOWS))
        path = self.out / f"{name}.seen.npy"
        seen = np.lib.format.open_memmap(path, "w+", np.float16, (*shape, N_SEEN))
        classes = np.empty((*shape, N_PROBABLE), np.int16)
        chances = np.empty((*shape, N_PROBABLE), np.float16)
        for start in range(0, len(pictures), 64):
            rows = slice(start, start + 64)
            features = self.see(change(pictures[rows]))
            seen[rows] = features
            with torch.inference_mode():
                logits = self.classifier(torch.from_numpy(features[..., :N_FEATURES]))
            likely = torch.softmax(logits, -1).topk(N_PROBABLE, -1)
            classes[rows], chances[rows] = likely.indices.numpy(), likely.values.numpy()
        seen.flush()
        np.save(self.out / f"{name}.classes.npy", classes)
        np.save(self.out / f"{name}.chances.npy", chances)
        done.touch()
        print(name, len(pictures), flush=True)


class ShippedWords:
    """What the shipped text tower reads before its heads: `Words` with the weights that ship."""

    def __init__(self) -> None:
        model = onnx.load(SHIPPED / "text.onnx")
        first_head = next(node for node in model.graph.node if node.op_type == "Gemm")
        read = helper.make_tensor_value_info(first_head.input[0], TensorProto.FLOAT, ["n", N_READ])
        del model.graph.output[:]
        model.graph.output.append(read)
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        graph = drop_unused(model).SerializeToString()
        self.session = ort.InferenceSession(graph, options)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and which of them count [n,l] -> [n,N_READ]."""
        fed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        return torch.from_numpy(self.session.run(None, fed)[0])


def read_words(words: Words | ShippedWords, tokenizer, texts: list[str]) -> np.ndarray:
    """Texts as MiniLM reads them: half [n,N_READ]."""
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    rows = [row.ids for row in tokenizer.encode_batch(texts)]
    order = np.argsort([len(row) for row in rows], kind="stable")
    out = np.zeros((len(texts), N_READ), np.float16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(order), 256):
            some = order[start : start + 256]
            ids = torch.zeros(len(some), len(rows[some[-1]]), dtype=torch.long)
            for at, row in enumerate(some):
                ids[at, : len(rows[row])] = torch.tensor(rows[row])
            out[some] = words(ids, (ids > 0).long()).half().numpy()
    return out


def write_texts(
    out: Path,
    sets: list[Captioned],
    names: list[list[str]],
    words: Words | ShippedWords,
    concepts: list[str],
) -> None:
    """Writes captions, their wrong twins, phrases, names and short queries, read and listed."""
    captions = [texts for one_set in sets for texts in one_set.captions]
    rng = np.random.default_rng(0)
    lists: dict[str, list[str]] = {"captions": [], "wrong": []}
    wrong_of = []  # row of each caption's wrong twin, or -1
    for texts in captions:
        for text in texts:
            twins = [twin for _, twin in swaps(text, texts, rng)]
            lists["captions"].append(text)
            has_twin = bool(twins) and rng.random() < SWAPPED
            wrong_of.append(len(lists["wrong"]) if has_twin else -1)
            if has_twin:
                lists["wrong"].append(twins[rng.integers(len(twins))])
    lists["phrases"], shown = common_phrases(captions)
    lists["names"] = [name for group in names for name in group]
    lists["photo"] = [f"a photo of a {group[0]}" for group in names]
    lists["concepts"] = concepts
    tokenizer = load_tokenizer()
    for kind, texts in lists.items():
        if not (out / f"{kind}.read.npy").exists():
            read = read_words(words, tokenizer, texts) if texts else np.zeros((0, N_READ), "f2")
            np.save(out / f"{kind}.read.npy", read)
            print(kind, len(texts), flush=True)
    card = {
        "n_captions": [len(texts) for texts in captions],
        "texts": lists["captions"],
        "wrong_of": wrong_of,
        "shown": shown,
        "n_names": [len(group) for group in names],
    }
    (out / "texts.json").write_text(json.dumps(card))


def write_mosaics(out: Path, pictures: Pictures, sets: list[Captioned]) -> None:
    """Writes mosaics of four training pictures each, and who is in them."""
    first = np.cumsum([0] + [len(one_set.pictures) for one_set in sets])
    n_mosaics = min(N_MOSAICS, first[-1] // 4)
    groups = np.random.default_rng(5).permutation(first[-1])[: 4 * n_mosaics].reshape(-1, 4)
    np.save(out / "mosaic.groups.npy", groups)

    def paste(some: np.ndarray) -> np.ndarray:
        at = np.searchsorted(first, some.reshape(-1), "right") - 1
        members = [
            sets[k].pictures[row - first[k]] for k, row in zip(at, some.reshape(-1), strict=True)
        ]
        return mosaics(np.stack(members), np.arange(len(members)).reshape(-1, 4))

    pictures.write("mosaic", groups, paste)


def read_sets(data: Path, own: list[Path], names: list[str]) -> dict[str, Captioned]:
    """The named training sets; a person's own alone, where there are any."""
    if own:
        return {f"own{at}": own_set(path) for at, path in enumerate(own)}
    return {name: training_set(data, name) for name in names}


def make_eye(path: Path, eye: Eye, sets: dict[str, Captioned], classes: np.ndarray) -> None:
    """Writes the integer graph, unless it is there.

    Its ranges are measured on the training sets; where they are not all there, and for a
    person's own, it is the shipped one.

    Args:
        path: the file to write.
        eye: in floats.
        sets: by name.
        classes: class pictures.
    """
    if path.exists():
        return
    if not sets.keys() >= WEIGHTS.keys():
        shipped = onnx.load(SHIPPED / "image.onnx")
        onnx.save(shipped_eye(shipped, len(WINDOWS), N_SEEN), path)
        return
    by_name = {**{name: one_set.pictures for name, one_set in sets.items()}, "classes": classes}
    export_eye(eye, path, np.concatenate([evenly(by_name[k], n) for k, n in N_CALIBRATION.items()]))


def fill(
    out: Path,
    data: Path,
    own: list[Path],
    n_threads: int,
    names: list[str] | None = None,
    towers: Path | None = None,
    plain: bool = False,
) -> None:
    """Fills the folder.

    Args:
        out: where to.
        data: the data folder; only its class pictures are read where `own` is given.
        own: a person's own sets.
        n_threads: for the picture tower.
        names: the training sets to read; all of them when None.
        towers: what `finetune.py` kept; both networks as published when None.
        plain: whether pictures are seen as they are alone: no crops, classes and mosaics.
    """
    out.mkdir(parents=True, exist_ok=True)
    networks = Networks(towers)
    sets = read_sets(data, own, names or list(WEIGHTS))
    files = [] if plain else class_files(data)
    classes = read_pictures(files) if files else np.zeros((0, SIZE, SIZE, 3), np.uint8)
    make_eye(out / "eye.onnx", networks.eye, sets, classes)
    pictures = Pictures(out, open_eye(out / "eye.onnx", n_threads), networks.classifier)
    rng = np.random.default_rng(5)
    changes = (lambda a: a, lambda a: crops(a, rng))
    for view, change in list(zip(VIEWS, changes, strict=True))[: 1 if plain else None]:
        for name, one_set in sets.items():
            pictures.write(name + view, one_set.pictures, change)
        if len(classes):
            pictures.write("classes" + view, classes, change)
            pictures.write("classes_centre" + view, read_pictures(files, centre=True), change)
    if not plain:
        write_mosaics(out, pictures, list(sets.values()))
    ships = not (own or towers or sets.keys() >= WEIGHTS.keys())
    words = ShippedWords() if ships else networks.words
    write_texts(out, list(sets.values()), class_names(files), words, _concepts(data, sets))
    card = {name: [len(some.pictures), some.weight] for name, some in sets.items()}
    (out / "sets.json").write_text(json.dumps(card))


def _concepts(data: Path, sets: dict[str, Captioned]) -> list[str]:
    """The short queries that Flickr8k's train pictures answer, where these are read."""
    if "flickr8k" not in sets:
        return []
    return [query for query, _ in read_concepts(data, "train", read_split(data, "train").files)]


def main() -> None:
    """Fills the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sets", nargs="+", choices=list(WEIGHTS), help="all when not given")
    parser.add_argument("--towers", type=Path, help="what finetune.py kept")
    parser.add_argument("--plain", action="store_true", help="no crops, classes and mosaics")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    fill(args.out, args.data, [], args.threads, args.sets, args.towers, args.plain)


if __name__ == "__main__":
    main()
