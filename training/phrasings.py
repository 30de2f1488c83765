"""Makes the phrasings of the built-in encoder: how people describe pictures, as vectors.

Embeds captions of the training sets with the shipped text tower and keeps the centres of their
clusters. Feedback reads a short query by them
(`relook.feedback.directions`); no caption's words are kept.

    python training/phrasings.py --data DATA --model src/relook/encoders/builtin_model

Takes a few minutes on two cores. Run it again whenever the text tower changes: the model's card
keeps a digest of what the phrasings were made with. `train.py --quick` makes a person's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import faiss
import numpy as np
from evaluate import Shipped
from phrases import train_captions

N_CENTRES = 1800
FEWEST = 100
"""Fewer captions make no phrasings."""


def write(model: Path, captions: list[str], n_centres: int = N_CENTRES) -> int:
    """Writes `phrasings.npy` into a model folder and names it in the card.

    Args:
        model: the folder.
        captions: of the pictures it was trained on; where they are few, so are the centres.
        n_centres: how many at most.

    Returns:
        How many phrasings there are; none for fewer than a hundred captions.
    """
    if len(captions) < FEWEST:
        return 0
    n_centres = min(n_centres, len(captions) // 2)
    vectors = Shipped(model).read(captions)  # [m, d]
    clusters = faiss.Kmeans(
        vectors.shape[1], n_centres, niter=10, seed=1, min_points_per_centroid=1
    )
    clusters.train(vectors)
    centres = clusters.centroids / np.linalg.norm(clusters.centroids, axis=1, keepdims=True)
    np.save(model / "phrasings.npy", centres.astype(np.float16))
    path = model / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card["phrasings"] = {"n": len(centres), "text_tower": card["sha256"]["text.onnx"]}
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    return len(centres)


def main() -> None:
    """Builds the phrasings and names them in the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--centres", type=int, default=N_CENTRES)
    parser.add_argument("--every", type=int, default=4, help="reads one caption in so many")
    arguments = parser.parse_args()
    captions = train_captions(arguments.data)[:: arguments.every]
    n_centres = write(arguments.model, captions, arguments.centres)
    print(f"{len(captions)} captions, {n_centres} phrasings")


if __name__ == "__main__":
    main()
