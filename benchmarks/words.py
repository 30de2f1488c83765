"""Words in pictures: what of them is found, what reading costs, and what plain search loses.

Draws 100 pictures of signs, receipts and screenshots in the fonts that this machine has, tilted,
grainy, as JPEG; indexes them among 30 photographs without words, and asks for words of each,
once as text:"...", once as plain words. With captioned pictures it also measures plain retrieval
before and after their words are read.

    python benchmarks/words.py
    python benchmarks/words.py --pictures images --captions captions.tsv --split dev --limit 200
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say
from photographs import variants
from PIL import Image, ImageDraw, ImageFont

import relook
from relook.bench.query_files import Caption, read_captions
from relook.core.progress import READING_TEXT, Progress
from relook.core.settings import IndexSettings

N_PICTURES, N_PHOTOGRAPHS, SEED = 100, 30, 20
FONT_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
NAMES = re.findall(
    r"\w+",
    """
    Amber Arbor Baker Birch Bridge Canal Carter Castle Cedar Chapel Cooper Corner Crown Dover
    Eagle Fisher Forest Garden Garnet Golden Harbor Harvest Hazel Hunter Ivory Jasper Juniper
    Kestrel Lantern Laurel Linden Magnolia Maple Marble Market Meadow Mercer Miller Oakland
    Olive Orchard Palmer Pepper Quarry Raven Regent River Saddler Sierra Silver Spencer Station
    Summit Tanner Timber Tudor Valley Velvet Walnut Weaver Willow Winter
    """,
)
KINDS = re.findall(
    r"\w+",
    """
    Bakery Books Cafe Clinic Garage Hotel Library Museum Pharmacy School Tavern Theatre
    """,
)
GOODS = re.findall(
    r"\w+",
    """
    Apples Bread Butter Candles Carrots Cheese Coffee Cream Flour Grapes Honey Juice Lemons Milk
    Mushrooms Mustard Noodles Olives Onions Oranges Pasta Peppers Potatoes Rice Salmon Salt
    Sugar Tomatoes Vinegar Yogurt
    """,
)
SUBJECTS = re.findall(
    r"\w+",
    """
    Budget Calendar Contract Delivery Insurance Interview Invitation Invoice Meeting Newsletter
    Order Password Payment Reminder Report Reservation Schedule Shipment Subscription Travel
    """,
)
WORDS = re.findall(
    r"\w+",
    """
    please confirm that the package arrives before noon and let us know whether your account
    number has changed since last week because our office will be closed on Friday for the
    holidays
    """,
)


@dataclass(frozen=True)
class Drawn:
    """A picture with words.

    Args:
        image: It.
        phrase: Words that stand in one line of it, and in no other picture.
    """

    image: Image.Image
    phrase: str


def fonts() -> list[Path]:
    """Fonts with Latin letters that this machine has, each in its upright styles."""
    files = [file for folder in FONT_FOLDERS for file in sorted(Path(folder).rglob("*.ttf"))]
    usable = [file for file in files if "Math" not in file.name and _has_letters(file)]
    if not usable:
        raise SystemExit("no TrueType font was found; install one, such as fonts-dejavu")
    return usable


def _has_letters(file: Path) -> bool:
    try:
        font = ImageFont.truetype(file, 20)
    except OSError:
        return False
    return font.getmask("A").getbbox() != font.getmask("g").getbbox()


def sign(chosen: random.Random, files: Sequence[Path], phrase: str) -> Image.Image:
    """A board on a wall, tilted."""
    wall = np.random.default_rng(chosen.randrange(10**6)).integers(60, 200, (6, 8, 3))
    back = Image.fromarray(wall.astype(np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    words = [*phrase.split(), chosen.choice(KINDS)]
    lines = [" ".join(words[:2]), words[2]] if len(words) > 2 else words
    size = chosen.randrange(34, 64)
    font = ImageFont.truetype(chosen.choice(files), size)
    width = int(max(font.getlength(line) for line in lines)) + 60
    dark = tuple(chosen.randrange(0, 90) for _ in range(3))
    light = tuple(chosen.randrange(190, 256) for _ in range(3))
    ink, board = (dark, light) if chosen.random() < 0.5 else (light, dark)
    plate = Image.new("RGBA", (width, len(lines) * (size + 18) + 30), (*board, 255))
    draw = ImageDraw.Draw(plate)
    for at, line in enumerate(lines):
        draw.text((30, 15 + at * (size + 18)), line, font=font, fill=ink)
    plate = plate.rotate(chosen.uniform(-8, 8), expand=True, resample=Image.Resampling.BICUBIC)
    plate.thumbnail((760, 560))
    at = chosen.randrange(801 - plate.width), chosen.randrange(601 - plate.height)
    back.paste(plate, at, plate)
    return back


def receipt(chosen: random.Random, files: Sequence[Path], phrase: str) -> Image.Image:
    """A till's receipt, photographed a little askew."""
    font = ImageFont.truetype(chosen.choice(files), chosen.randrange(20, 28))
    lines = [phrase.upper(), f"No. {chosen.randrange(10**5, 10**6)}", ""]
    prices = [(name, chosen.randrange(50, 2500)) for name in chosen.sample(GOODS, 8)]
    lines += [f"{name}   {cents / 100:.2f}" for name, cents in prices]
    lines += ["", f"TOTAL   {sum(cents for _, cents in prices) / 100:.2f}", "THANK YOU"]
    paper = Image.new("RGB", (520, 42 * len(lines) + 60), (246, 244, 236))
    draw = ImageDraw.Draw(paper)
    for at, line in enumerate(lines):
        draw.text((30, 30 + 42 * at), line, font=font, fill=(40, 40, 44))
    return paper.rotate(
        chosen.uniform(-3, 3),
        expand=True,
        resample=Image.Resampling.BICUBIC,
        fillcolor=(120, 96, 70),
    )


def screenshot(chosen: random.Random, files: Sequence[Path], phrase: str) -> Image.Image:
    """A window with a message, in small letters."""
    is_dark = chosen.random() < 0.4
    ground, ink = ((30, 32, 36), (225, 225, 228)) if is_dark else ((252, 252, 252), (32, 33, 36))
    window = Image.new("RGB", (1280, 800), ground)
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, 1280, 44), fill=(70, 74, 82))
    file = chosen.choice(files)
    small, large = (ImageFont.truetype(file, size) for size in (chosen.randrange(16, 21), 28))
    draw.text((20, 8), f"Inbox: {chosen.choice(SUBJECTS)}", font=large, fill=(235, 235, 238))
    draw.text((60, 90), f"{phrase} {chosen.choice(SUBJECTS)}", font=large, fill=ink)
    for at in range(12):
        line = " ".join(chosen.choice(WORDS) for _ in range(9))
        draw.text((60, 160 + 46 * at), line, font=small, fill=ink)
    return window


def drawn(n: int) -> list[Drawn]:
    """Pictures with words, each with two names that stand together in no other."""
    chosen, files = random.Random(SEED), fonts()
    pairs = [f"{one} {two}" for one in NAMES for two in NAMES if one != two]
    kinds: tuple[Callable[..., Image.Image], ...] = (sign, receipt, screenshot)
    phrases = chosen.sample(pairs, n)
    return [
        Drawn(_photographed(kinds[at % 3](chosen, files, phrase), chosen), phrase)
        for at, phrase in enumerate(phrases)
    ]


def _photographed(image: Image.Image, chosen: random.Random) -> Image.Image:
    """The picture with a camera's grain."""
    pixels = np.asarray(image.convert("RGB"), np.float32)
    grain = np.random.default_rng(chosen.randrange(10**6)).normal(0, 4, pixels.shape[:2])
    return Image.fromarray((pixels + grain[:, :, None]).clip(0, 255).astype(np.uint8))


def recall(library: relook.Library, asked: Sequence[tuple[str, str]]) -> float:
    """For which share of lines the first picture is the right one."""
    first = [library.search(line, limit=1, fold=False) for line, _ in asked]
    names = [page[0].path.name if page.hits else "" for page in first]
    for name, (line, right) in zip(names, asked, strict=True):
        if name != right:
            say(f"{line}: {name or 'nothing'}, not {right}")
    return float(np.mean([name == right for name, (_, right) in zip(names, asked, strict=True)]))


def read_words(library: relook.Library) -> tuple[float, int]:
    """Reads the words of a library; seconds a picture, and in how many words stand."""
    began, last = 0.0, Progress("")

    def tell(now: Progress) -> None:
        nonlocal began, last
        if now.stage == READING_TEXT:
            began = began or time.perf_counter()
            last = now
            if now.done % 50 == 0:
                say(f"{now.done} of {now.total} read")

    done = library.add(settings=IndexSettings(text=True), progress=tell)
    took = time.perf_counter() - began
    return took / max(last.done, 1), done.n_text_found


def generated(folder: Path, n: int) -> list[Figure]:
    """Recall of drawn words, and the cost of reading them."""
    say(f"drawing {n} pictures with words")
    made = drawn(n)
    (folder / "pictures").mkdir()
    for at, each in enumerate(made):
        each.image.save(folder / "pictures" / f"words-{at:03d}.jpg", quality=80)
    for at, image in enumerate(variants(N_PHOTOGRAPHS, 640)):
        image.save(folder / "pictures" / f"photograph-{at:03d}.jpg", quality=88)
    written = [(f'text:"{each.phrase}"', f"words-{at:03d}.jpg") for at, each in enumerate(made)]
    plain = [(each.phrase.lower(), f"words-{at:03d}.jpg") for at, each in enumerate(made)]
    with relook.Library(folder / "library") as library:
        library.add(folder / "pictures")
        n_all, before = len(library), recall(library, plain)
        cost, n_found = read_words(library)
        return [
            Figure('recall@1 of text:"..."', recall(library, written), at_least=0.9),
            Figure("recall@1 of plain words", recall(library, plain), at_least=0.9),
            Figure("the same before reading", before),
            Figure("reading a picture", cost, "s", note=f"words in {n_found} of {n_all}"),
        ]


def captioned(folder: Path, pictures: Path, captions: Sequence[Caption]) -> list[Figure]:
    """Plain retrieval of captioned pictures before and after their words are read."""
    names = sorted({caption.image for caption in captions})
    (folder / "dev").mkdir()
    for name in names:
        (folder / "dev" / name).symlink_to((pictures / name).resolve())
    with relook.Library(folder / "dev-library") as library:
        library.add(folder / "dev")
        before = _ranks(library, captions)
        cost, n_found = read_words(library)
        after = _ranks(library, captions)
    changed = int((before != after).sum())
    note = f"{changed} of {len(captions):,} ranks changed; words in {n_found} of {len(names):,}"
    figures = []
    for k in (1, 5, 10):
        figures += [
            Figure(f"recall@{k} of captions, before", float((before <= k).mean())),
            Figure(f"recall@{k} of captions, after", float((after <= k).mean()), note=note),
        ]
    return [*figures, Figure("reading a photograph", cost, "s")]


def _ranks(library: relook.Library, captions: Sequence[Caption]) -> np.ndarray:
    """[q] the rank of each caption's picture among the first ten; 11 behind them."""
    ranks = []
    for caption in captions:
        page = library.search(relook.Query((relook.Part(text=caption.text),)), limit=10, fold=False)
        found = [at for at, hit in enumerate(page, start=1) if hit.path.name == caption.image]
        ranks.append(found[0] if found else 11)
    return np.array(ranks)


def main() -> int:
    """Measures and prints; 1 where a target is missed."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, help="captioned pictures")
    made.add_argument("--captions", type=Path, help="their captions, as for relook bench")
    made.add_argument("--split", help="of the captions")
    made.add_argument("--limit", type=int, default=0, help="captioned pictures at most")
    options: argparse.Namespace = made.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = generated(Path(temporary), N_PICTURES)
        if options.pictures:
            captions = read_captions(options.captions, options.split)
            names = sorted({caption.image for caption in captions})[: options.limit or None]
            wanted = set(names)
            captions = [caption for caption in captions if caption.image in wanted]
            figures += captioned(Path(temporary), options.pictures, captions)
    report("words", figures, options)
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
