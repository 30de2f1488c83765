"""All that `finetune.py` learns from, in one device's memory, and what one step looks at of it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from attributes import swaps
from phrases import common_phrases
from pictures import class_files, class_names, read_pictures
from sets import WEIGHTS, training_set
from torch import Tensor
from torch.nn import functional
from typos import SHORTEST, misspelt_anywhere
from words import PAD_ID, load_tokenizer

LONGEST = 32
"""Word pieces of a text that training reads."""
N_TYPOS = 4
"""Misspelt forms of each text."""
TYPO_SHARE = 0.15
"""Share of the texts that a step reads misspelt."""


class Texts:
    """Texts of one kind as token ids, and misspelt forms of each.

    Args:
        texts: n of them.
        tokenizer: MiniLM's.
        rng: for the mistakes.
        device: where the ids lie.

    Attributes:
        ids: int16 [n,1+N_TYPOS,LONGEST], the right form first.
    """

    def __init__(self, texts: list[str], tokenizer, rng: np.random.Generator, device: str):
        forms = [form for text in texts for form in (text, *_wrong_forms(text, rng))]
        ids = np.full((len(forms), LONGEST), PAD_ID, np.int16)
        for row, encoded in zip(ids, tokenizer.encode_batch(forms), strict=True):
            pieces = encoded.ids
            if len(pieces) > LONGEST:
                pieces = [*pieces[: LONGEST - 1], pieces[-1]]
            row[: len(pieces)] = pieces
        self.ids = torch.from_numpy(ids).view(len(texts), 1 + N_TYPOS, LONGEST).to(device)

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, rows: Tensor, typo_share: float = TYPO_SHARE) -> Tensor:
        """Token ids int64 [r,LONGEST] of some texts, a share of them misspelt."""
        wrong = torch.rand(len(rows), device=rows.device) < typo_share
        form = torch.randint(1, 1 + N_TYPOS, (len(rows),), device=rows.device) * wrong
        return self.ids[rows, form].long()


def _wrong_forms(text: str, rng: np.random.Generator) -> list[str]:
    return [misspelt_anywhere(text, rng) for _ in range(N_TYPOS)]


@dataclass(frozen=True)
class Sizes:
    """How much one step looks at.

    Attributes:
        pictures: with two captions each.
        classes: ImageNet pictures.
        mosaics: of four of the step's pictures each.
        phrases: short phrases.
        words: words for `misspelt words mean the same`.
    """

    pictures: int = 512
    classes: int = 96
    mosaics: int = 64
    phrases: int = 96
    words: int = 256


class Lessons:
    """Pictures and texts on the device.

    Args:
        data: the data folder.
        device: where training runs.
        names: the training sets to read.

    Attributes:
        pictures: uint8 [n,224,224,3].
        class_pictures: uint8 [2,1000,224,224,3], squashed and their middle squares.
        weight: float [n], how often an epoch looks at each picture.
        captions, wrong, phrases, names, photos, vocabulary: the texts.
        first_caption, n_captions: int [n], where a picture's captions lie.
        wrong_of: int [m], a caption's wrong twin, or -1.
        caption_key: int [m], equal for captions of equal words.
        shown: bool [n,q], whether a picture's captions use a phrase.
    """

    def __init__(self, data: Path, device: str, names: list[str] | None = None):
        sets = [training_set(data, name) for name in names or WEIGHTS]
        files = class_files(data)
        self.device = device
        self.pictures = torch.cat([torch.from_numpy(some.pictures).to(device) for some in sets])
        views = [read_pictures(files), read_pictures(files, centre=True)]
        self.class_pictures = torch.stack([torch.from_numpy(view).to(device) for view in views])
        counts = [len(some.pictures) for some in sets]
        self.weight = torch.repeat_interleave(
            torch.tensor([some.weight for some in sets]), torch.tensor(counts)
        )
        captions = [texts for some in sets for texts in some.captions]
        self._read_texts(captions, class_names(files))

    def _read_texts(self, captions: list[list[str]], names: list[list[str]]) -> None:
        rng, tokenizer = np.random.default_rng(0), load_tokenizer()
        tokenizer.no_padding()
        flat = [text for texts in captions for text in texts]
        wrong, wrong_of = [], []
        for texts in captions:
            for text in texts:
                twins = [twin for _, twin in swaps(text, texts, rng)]
                wrong_of.append(len(wrong) if twins else -1)
                if twins:
                    wrong.append(twins[rng.integers(len(twins))])
        phrases, shown = common_phrases(captions)
        listed = {
            "captions": flat,
            "wrong": wrong,
            "phrases": phrases,
            "names": [name for group in names for name in group],
            "photos": [f"a photo of a {group[0]}" for group in names],
            "vocabulary": vocabulary([*flat, *(name for group in names for name in group)]),
        }
        for kind, texts in listed.items():
            setattr(self, kind, Texts(texts, tokenizer, rng, self.device))
        self.texts = flat

        def kept(values: list[int] | np.ndarray) -> Tensor:
            return torch.as_tensor(values, device=self.device)

        key: dict[str, int] = {}
        self.caption_key = kept([key.setdefault(text.lower(), len(key)) for text in flat])
        self.wrong_of = kept(wrong_of)
        self.n_captions = kept([len(texts) for texts in captions])
        self.first_caption = self.n_captions.cumsum(0) - self.n_captions
        self.n_names = kept([len(group) for group in names])
        self.first_name = self.n_names.cumsum(0) - self.n_names
        self.shown = torch.zeros(len(captions), len(phrases), dtype=torch.bool)
        for row, some in enumerate(shown):
            self.shown[row, some] = True
        self.shown = self.shown.to(self.device)

    def epochs(self, size: int):
        """Yields rows of pictures, `size` a step, for ever; each as often as its weight says."""
        while True:
            times = (self.weight + torch.rand(len(self.weight))).long()
            rows = torch.repeat_interleave(torch.arange(len(self.weight)), times)
            rows = rows[torch.randperm(len(rows))]
            yield from (rows[i : i + size] for i in range(0, len(rows) - size + 1, size))


def vocabulary(texts: list[str]) -> list[str]:
    """Words that texts use more than once, long enough to be misspelt."""
    counts = Counter(word for text in texts for word in re.findall(r"[a-z]+", text.lower()))
    return sorted(w for w, n in counts.items() if n > 1 and len(w) >= SHORTEST)


def augmented(pixels: Tensor, full_share: float = 0.4) -> Tensor:
    """Pictures as training sees them: some whole, some cropped, half mirrored, light changed.

    Args:
        pixels: uint8 [n,224,224,3].
        full_share: of them that are not cropped.

    Returns:
        float [n,224,224,3], 0 to 255.
    """
    n, device = len(pixels), pixels.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, device=device)

    area, shape = uniform(0.45, 1.0), torch.exp(uniform(-0.25, 0.25))
    whole = torch.rand(n, device=device) < full_share
    width = torch.where(whole, 1.0, (area * shape).sqrt().clamp(max=1.0))
    height = torch.where(whole, 1.0, (area / shape).sqrt().clamp(max=1.0))
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = width * mirror, height
    theta[:, 0, 2] = uniform(-1, 1) * (1 - width)
    theta[:, 1, 2] = uniform(-1, 1) * (1 - height)
    x = pixels.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    contrast, brightness = uniform(0.85, 1.15), uniform(-18, 18)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * contrast.view(-1, 1, 1, 1) + mean + brightness.view(-1, 1, 1, 1)
    return x.clamp(0, 255).permute(0, 2, 3, 1)


def pasted(pixels: Tensor) -> Tensor:
    """Four pictures in one: uint8 [4m,224,224,3] -> float [m,224,224,3]."""
    half = functional.avg_pool2d(pixels.permute(0, 3, 1, 2).float(), 2)  # [4m,3,112,112]
    some = half.view(-1, 4, *half.shape[1:])
    rows = [torch.cat([some[:, i], some[:, i + 1]], -1) for i in (0, 2)]
    return torch.cat(rows, -2).permute(0, 2, 3, 1)
