"""An encoder for a person's own captioned pictures, in minutes: `train.py --quick`.

    python training/train.py --quick PICTURES --out WORK --target MODEL

PICTURES is a WebDataset tar file or a folder with a `.txt` beside each picture. They are seen
through the shipped model's own eye, one pair of heads is trained on them, and stands beside the
shipped model's vectors in the model that is written, so that what it knows stays known. A fifth of
the pictures is held out: by one half of it is chosen how much the shipped model counts beside the
new heads, and how often the captions of the other half find their pictures, before and after, is
printed at the end.
"""

import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bank import Bank
from cache import SHIPPED, fill, read_words
from evaluate import Shipped
from export import TILE_WEIGHT, About, Join, Sample, beside_base, fit_projection, write_files
from metrics import best_tile, recall
from networks import Networks
from phrasings import write as write_phrasings
from sets import Captioned, own_set
from torch import Tensor
from towers import HUB_NEAREST, WINDOWS, Committee, Member
from train import Recipe, Trainer
from words import Words, load_tokenizer

BASE_WEIGHTS = (4.0, 2.8, 2.0, 1.4, 1.0, 0.7)
"""How much the base may count beside the new heads; the largest is the most cautious."""
FEWEST, HELD, FEWEST_HELD, MOST_HELD = 150, 0.1, 20, 500
N_TILES_READ, N_TEXTS_READ = 1500, 3000
"""So many pictures and captions, at most, the projection is chosen by."""
PHRASES = SHIPPED.parents[1] / "captioners" / "phrase_bank" / "phrases.json"


@dataclass(frozen=True)
class Job:
    """What is to be made.

    Attributes:
        pictures: tar files or folders.
        data: the data folder, for class pictures; need not be there.
        out: where what both networks make of them is kept.
        target: the model folder to write.
        n_threads: of the picture tower.
        base: the model folder that the new heads stand beside.
        base_weight: of its vectors beside those of the new heads; chosen by pictures held out
            when None.
    """

    pictures: list[Path]
    data: Path
    out: Path
    target: Path
    n_threads: int
    base: Path = SHIPPED
    base_weight: float | None = None


def recipe_for(n_pictures: int) -> Recipe:
    """For few pictures: smaller steps, so that there are enough of them.

    ImageNet's class probabilities add nothing to these heads: the classifier of the shipped
    network is not in its files.

    Args:
        n_pictures: to train on.
    """
    batch = max(16, min(512, n_pictures // 16))
    return Recipe(
        epochs=12,
        batch=batch,
        n_classes=min(128, batch),
        n_tiled=min(128, batch),
        n_mosaics=min(64, batch // 4),
        named=0.0,
    )


def make(job: Job) -> None:
    """From pictures to a model folder, with what it gained.

    Raises:
        ValueError: for too few pictures, or a folder of other pictures' features.
        OSError: for files that cannot be read or written.
    """
    began = time.perf_counter()
    sets = [own_set(path) for path in job.pictures]
    n = sum(len(one_set.pictures) for one_set in sets)
    if n < FEWEST:
        raise ValueError(
            f"{n} captioned pictures are too few to learn from; {FEWEST} are the least"
        )
    if not (job.base / "image.onnx").is_file():
        raise ValueError(f"{job.base} is no model folder: it has no image.onnx")
    _claim(job.out, sets)
    fill(job.out, job.data, job.pictures, job.n_threads)
    _say(began, f"{n} pictures seen, their captions read")
    bank = Bank(job.out)
    tuned, held = held_out(n)
    kept = np.setdiff1d(np.arange(n), np.concatenate([tuned, held]))
    rest = bank.without(np.concatenate([tuned, held]))
    member = trained(job.out, rest, recipe_for(len(kept)))
    _say(began, "heads trained")
    some = sample(bank, kept, job.base)
    weight = job.base_weight or choose_weight(bank, tuned, member, some, job.base)
    _say(began, f"the base counts {weight} times as much as the new heads")
    join = Join(job.out / "eye.onnx", Networks(), job.base, weight, _about(job, sets, n))
    write_files(join, [member], some, job.target)
    of_kept = np.isin(bank.owner, kept)
    texts = [text for text, keep in zip(bank.texts, of_kept, strict=True) if keep]
    write_phrasings(job.target, texts[:: max(1, len(texts) // 12_000)])
    _say(began, f"{job.target} written")
    gained = _compare(job, sets, held)
    if gained <= 0:
        print("nothing is gained: pictures of this kind are known to the base, or are too few")
    _say(began, f"use it: relook index PHOTOS --library NEW --encoder builtin:{job.target}")


def _about(job: Job, sets: list[Captioned], n: int) -> About:
    card = json.loads((job.base / "model.json").read_text("utf-8"))
    revision = f"{card['revision']}+{_digest(sets)[:8]}"
    sources = (*card["sources"], f"{n} pictures of one's own")
    return About("relook-own", revision, sources, card["licence"])


def choose_weight(bank: Bank, tuned: np.ndarray, member: Member, some: Sample, base: Path) -> float:
    """How much the base counts, by the captions of pictures that no head was trained on.

    The most cautious weight whose mean recall is within one standard error of the best one's.

    Args:
        bank: everything.
        tuned: the pictures to choose by.
        member: the new heads.
        some: what projections are taken from.
        base: the base's model folder.
    """
    rows = np.flatnonzero(np.isin(bank.owner, tuned))
    target = np.searchsorted(tuned, bank.owner[rows])
    seen, _ = bank.views[0].get(tuned, slice(None))
    texts = [bank.texts[at] for at in rows]
    seen = seen.view(len(tuned), len(WINDOWS), -1)
    asked = beside_base(seen, bank.captions[rows].float(), texts, base)
    means = []
    for weight in BASE_WEIGHTS:
        committee = Committee([member], Networks().classifier, weight, some.hubs).eval()
        fit_projection(committee, some)
        with torch.no_grad():
            tiles = committee.see(asked.seen, asked.base_seen).numpy()
            read = committee.read(asked.read, asked.base_read).numpy()
        means.append(float(np.mean(recall(best_tile(read, tiles, TILE_WEIGHT), target))))
    best = max(means)
    error = (best * (1 - best) / len(tuned)) ** 0.5
    return next(w for w, mean in zip(BASE_WEIGHTS, means, strict=True) if mean >= best - error)


def trained(out: Path, bank: Bank, recipe: Recipe) -> Member:
    """The pair of heads; kept as `own.pt` and read from there the next time."""
    path = out / "own.pt"
    if path.exists():
        member = Member(*bank.spread())
        member.load_state_dict(torch.load(path, weights_only=True))
        return member.eval().requires_grad_(False)
    member = Trainer(bank, recipe, 0).run()
    torch.save(member.state_dict(), path)
    return member


def held_out(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that are never trained on: to choose by, and to report; int, sorted."""
    n_each = min(MOST_HELD, max(FEWEST_HELD, int(n * HELD)))
    drawn = np.random.default_rng(0).permutation(n)
    return np.sort(drawn[:n_each]), np.sort(drawn[n_each : 2 * n_each])


def sample(bank: Bank, kept: np.ndarray, base: Path) -> Sample:
    """What the projection, the means and the captions for hubs are taken from.

    Own pictures and captions, and phrases for everyday things beside them: directions that none of
    one's own pictures needs would be lost otherwise.

    Args:
        bank: everything.
        kept: the pictures that were trained on.
        base: the base's model folder.
    """
    rng = np.random.default_rng(1)
    rows = np.sort(rng.permutation(kept)[:N_TILES_READ])
    seen, _ = bank.views[0].get(rows, slice(None))
    own = np.flatnonzero(np.isin(bank.owner, kept))
    own = rng.permutation(own)[:N_TEXTS_READ]
    phrases = json.loads(PHRASES.read_text("utf-8"))["phrases"]
    phrases_read = torch.from_numpy(read_words(Words(), load_tokenizer(), phrases))
    read: Tensor = torch.cat([bank.captions[own].float(), phrases_read.float()])
    texts = [bank.texts[at] for at in own] + phrases
    assert len(texts) >= HUB_NEAREST
    return beside_base(seen.view(len(rows), len(WINDOWS), -1), read, texts, base)


def _compare(job: Job, sets: list[Captioned], held: np.ndarray) -> float:
    """Prints how often a held-out picture's caption finds it among all held-out ones.

    Returns:
        By how much the mean recall rose.
    """
    pictures = np.concatenate([one_set.pictures for one_set in sets])[held]
    captions = [texts for one_set in sets for texts in one_set.captions]
    rows = [(text, at) for at, picture in enumerate(held) for text in captions[picture]]
    target = np.array([at for _, at in rows])
    means = []
    for name, folder in (("before", job.base), ("after", job.target)):
        model = Shipped(folder, job.n_threads)
        weight = model.card.get("tile_weight", 1.0)
        scores = best_tile(model.read([text for text, _ in rows]), model.see(pictures), weight)
        found = recall(scores, target)
        means.append(float(np.mean(found)))
        told = "/".join(f"{value:.3f}" for value in found)
        print(
            f"{name}: recall at 1/5/10 of {len(rows)} captions among {len(held)} held out: {told}"
        )
    return means[1] - means[0]


def _claim(out: Path, sets: list[Captioned]) -> None:
    """Refuses a folder that holds what was made of other pictures.

    Raises:
        ValueError: naming the folder.
    """
    digest = _digest(sets)
    mark = out / "own.sha256"
    is_new = not out.exists() or not any(out.iterdir())
    if not is_new and (not mark.exists() or mark.read_text() != digest):
        raise ValueError(
            f"{out} holds what was made of other pictures; name another folder as --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(digest)


def _digest(sets: list[Captioned]) -> str:
    """SHA-256 of all pictures and captions."""
    sha = hashlib.sha256()
    for one_set in sets:
        sha.update(one_set.pictures.tobytes())
        sha.update(json.dumps(one_set.captions).encode())
    return sha.hexdigest()


def _say(began: float, text: str) -> None:
    print(f"{time.perf_counter() - began:.0f} s: {text}", file=sys.stderr, flush=True)
