"""Makes the phrasings of the built-in encoder: how people describe pictures, as vectors.

Embeds captions of the training sets with the shipped text tower and keeps the centres of their
clusters. Feedback reads a short query by them
(`relook.feedback.directions`); no caption's words are kept.

    python training/phrasings.py --data DATA --model src/relook/encoders/builtin_model

Takes a few minutes on two cores. Needs relook. Run it again whenever the text tower changes:
the model's card keeps a digest of what the phrasings were made with.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import faiss
import numpy as np
from phrases import train_captions

from relook.core.vectors import unit
from relook.encoders.builtin import BuiltinEncoder


def main() -> None:
    """Builds the phrasings and names them in the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--centres", type=int, default=1800)
    parser.add_argument("--every", type=int, default=4, help="reads one caption in so many")
    arguments = parser.parse_args()
    encoder = BuiltinEncoder(arguments.model)
    captions = train_captions(arguments.data)[:: arguments.every]
    vectors = encoder.encode_texts(captions)  # [m, d]
    clusters = faiss.Kmeans(vectors.shape[1], arguments.centres, niter=10, seed=1)
    clusters.train(vectors)
    centres = unit(clusters.centroids).astype(np.float16)
    np.save(arguments.model / "phrasings.npy", centres)
    path = arguments.model / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card["phrasings"] = {"n": len(centres), "text_tower": card["sha256"]["text.onnx"]}
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(f"{len(captions)} captions, {len(centres)} phrasings, {centres.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
