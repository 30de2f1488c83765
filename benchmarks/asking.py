"""What it costs to ask as people do: "show me pictures of dogs" beside "dog".

Things are asked for in several ways, each read as the built-in encoder reads it now and as it is
typed: mean average precision, and how often "nothing fits" is told of things that are there, and
with their pictures taken out (COCO's classes are looked for in every picture, captions leave out).
Things are nouns of a query file, told by captions, or the classes of COCO's instances.

    python benchmarks/asking.py dev.relook --queries concepts-dev.jsonl \
        --captions captions.tsv --split dev
    python benchmarks/asking.py coco.relook --instances instances_val2017.json
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

import relook
from relook.bench.fit_report import shows
from relook.bench.measures import columns_by_name, sequence_ap
from relook.bench.query_files import read_captions, read_concepts
from relook.encoders import builtin
from relook.search.engine import Engine
from relook.search.fit import LookedFor, fit_scale

FEWEST = 3  # captions that put an article before a word: then it is a noun
Flags = np.ndarray


def with_article(noun: str) -> str:
    """The noun behind "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """As it is typed; irregular ones are typed wrong here."""
    if noun.endswith("s"):
        return noun
    return f"{noun}es" if noun.endswith(("ch", "sh", "x")) else f"{noun}s"


WAYS: dict[str, Callable[[str], str]] = {
    "dog": str,
    "a dog": with_article,
    "my dog": lambda noun: f"my {noun}",
    "dog pictures": lambda noun: f"{noun} pictures",
    "images with a dog": lambda noun: f"images with {with_article(noun)}",
    "is there a dog?": lambda noun: f"is there {with_article(noun)}?",
    "dogs": plural,
    "photos of dogs": lambda noun: f"photos of {plural(noun)}",
    "show me dogs": lambda noun: f"show me {plural(noun)}",
    "show me pictures of dogs": lambda noun: f"show me pictures of {plural(noun)}",
}


def nouns(options: argparse.Namespace, columns: dict[str, int]) -> dict[str, Flags]:
    """Each thing, with [n images by row] whether each shows it."""
    captions = read_captions(options.captions, options.split)
    text = " ".join(caption.text.lower() for caption in captions)
    words: list[list[set[str]]] = [[] for _ in columns]
    for caption in captions:
        if caption.image in columns:
            words[columns[caption.image]].append(set(re.findall(r"\w+", caption.text.lower())))
    found = {}
    for wanted in read_concepts(options.queries):
        uses = re.findall(rf"\ban? {wanted.words}\b", text)
        if " " not in wanted.words and len(uses) >= FEWEST:
            found[wanted.words] = shows(wanted, columns, words)
    return found


def classes(instances: Path, columns: dict[str, int]) -> tuple[dict[str, Flags], Flags]:
    """Each class with the annotated pictures that show it, and [n] which are annotated."""
    values = json.loads(instances.read_text("utf-8"))
    files = {image["id"]: image["file_name"] for image in values["images"]}
    names = {kind["id"]: kind["name"] for kind in values["categories"]}
    annotated = np.zeros(len(columns), bool)
    annotated[[columns[file] for file in files.values() if file in columns]] = True
    found: dict[str, Flags] = {}
    for note in values["annotations"]:
        shown = found.setdefault(names[note["category_id"]], np.zeros(len(columns), bool))
        if files[note["image_id"]] in columns:
            shown[columns[files[note["image_id"]]]] = True
    return {name: shown[annotated] for name, shown in found.items() if shown.any()}, annotated


@contextmanager
def as_typed() -> Iterator[None]:
    """The built-in encoder reads words that ask, too."""
    with mock.patch.object(builtin, "subject_of", lambda text: text):
        yield


def measure(engine: Engine, kept: Flags, things: dict[str, Flags], way: str) -> list[float]:
    """What asking in a way gives.

    Returns:
        Mean average precision; the share of things that are told "nothing fits"; the same with
        the pictures taken out that show a thing.
    """
    known, precisions = fit_scale(engine.files, engine.encoder), []
    nothing: dict[bool, list[bool]] = {True: [], False: []}  # by whether something is there
    for noun, shown in things.items():
        vectors = engine.encoder.encode_texts([WAYS[way](noun)])
        scores = engine.score_all(vectors)[:, kept]  # [1, n]
        order = np.argsort(-scores[0], kind="stable")
        precisions.append(sequence_ap(shown[order], int(shown.sum())))
        for is_there, left in ((True, scores), (False, scores[:, ~shown])):
            drawn = np.random.default_rng(0).permutation(left.shape[1])[:200]
            level = known.level(vectors, left[:, drawn])
            scale = replace(known, n_images=left.shape[1])
            line = scale.line(LookedFor.words(vectors), level)
            nothing[is_there].append(bool(scale.fits(vectors, left, level).max() < line))
    return [float(np.mean(each)) for each in (precisions, nothing[True], nothing[False])]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--instances", type=Path, help="in the place of the three above")
    options = parser.parse_args()
    if not (options.instances or (options.queries and options.captions)):
        parser.error("name --instances, or --queries and --captions")
    with relook.Library(options.library) as library:
        columns = columns_by_name(library.engine)
        if options.instances:
            things, kept = classes(options.instances, columns)
        else:
            things, kept = nouns(options, columns), np.ones(len(columns), bool)
        print(f"{len(things)} things, {int(kept.sum())} images; as typed, and as it is read: AP;")
        print('told "nothing fits"; the same with its pictures taken out')
        for way in WAYS:
            with as_typed():
                before = measure(library.engine, kept, things, way)
            now = measure(library.engine, kept, things, way)
            columns = (f"{old:.3f} {new:.3f}" for old, new in zip(before, now, strict=True))
            print(f"{way:26} {'   '.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
