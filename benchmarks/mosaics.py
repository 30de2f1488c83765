"""What tiles gain when the thing looked for is small: captions of one cell find the mosaic.

Photographs are set together 2x2 (or 3x3) in a fixed random order. Each caption of a photograph
is a query; its mosaic is the one right answer among all. The mosaics are indexed by
`Library.add` and ranked as `Library.search` ranks (best tile, weighted). Baseline in the same
run: the same library ranked by the whole-picture vector only.
Read it: recall@1/5/10 both ways and the difference with a 95% interval: a paired bootstrap over
mosaics, since the captions of one mosaic stand or fall together. Use photographs that the
encoder was not trained on.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say
from PIL import Image

from relook import Library
from relook.bench.measures import bootstrap, ranks_of
from relook.bench.query_files import Caption, read_captions
from relook.search.engine import Engine

CELL_PX = 224


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    captions = read_captions(options.captions, options.split or None)
    figures = []
    for side in options.sides or ([2, 3] if options.full else [2]):
        figures += measure(options.pictures, captions, side)
    report("mosaics", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, required=True, help="folder of photographs")
    made.add_argument("--captions", type=Path, required=True, help="see relook bench retrieval")
    made.add_argument("--split", default="dev", help="of the captions; '' for all")
    made.add_argument("--sides", type=int, nargs="*", help="2 for 2x2, 3 for 3x3")
    return made.parse_args()


def measure(pictures: Path, captions: list[Caption], side: int) -> list[Figure]:
    """Recall with tiles and without for mosaics of side x side photographs."""
    names = sorted({caption.image for caption in captions})
    names = [name for name in names if (pictures / name).is_file()]
    n_mosaics = len(names) // side**2
    order = np.random.default_rng(17).permutation(len(names))[: n_mosaics * side**2]
    owner = {names[at]: number // side**2 for number, at in enumerate(order)}
    asked = [caption for caption in captions if caption.image in owner]
    with tempfile.TemporaryDirectory(prefix="relook-mosaics-") as folder:
        say(f"setting {n_mosaics} mosaics of {side}x{side} together")
        for number in range(n_mosaics):
            some = [names[at] for at in order[number * side**2 : (number + 1) * side**2]]
            mosaic = _together([pictures / name for name in some], side)
            mosaic.save(Path(folder, f"{number:06d}.jpg"), quality=92)
        say("indexing")
        with Library(Path(folder, "library")) as library:
            library.add(folder)
            right = np.array([owner[caption.image] for caption in asked])
            return _compare(library.engine, asked, right, side)


def _together(paths: list[Path], side: int) -> Image.Image:
    """One picture of side x side cells, each photograph squashed into its own."""
    canvas = Image.new("RGB", (side * CELL_PX, side * CELL_PX))
    for cell, path in enumerate(paths):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
        row, column = divmod(cell, side)
        canvas.paste(small, (column * CELL_PX, row * CELL_PX))
    return canvas


def _compare(engine: Engine, asked: list[Caption], right: np.ndarray, side: int) -> list[Figure]:
    """Recall both ways; `right` [q] is the number of each caption's mosaic."""
    say(f"asking {len(asked)} captions")
    words = engine.encoder.encode_texts([caption.text for caption in asked])  # [q, d]
    table = engine.files.row_table  # [m, 3]
    records = engine.files.catalog.images(table[:, 2].tolist())
    column = {int(record.path.stem): at for at, record in enumerate(records)}
    at = np.array([column[number] for number in right])
    tiled = ranks_of(engine.score_all(words), at)
    whole = ranks_of(words @ engine.files.vectors.rows(table[:, 0]).T, at)
    name = f"{side}x{side}"
    figures = [Figure(f"{name}: mosaics", len(table)), Figure(f"{name}: captions", len(asked))]
    for k in (1, 5, 10):
        gain = (tiled <= k).astype(float) - (whole <= k)
        told = bootstrap(_means(gain, right))
        note = f"95% interval {told.low:+.3f} to {told.high:+.3f}"
        figures += [
            Figure(f"{name}: recall@{k} with tiles", float(np.mean(tiled <= k))),
            Figure(f"{name}: recall@{k} whole picture only (baseline)", float(np.mean(whole <= k))),
            Figure(f"{name}: recall@{k} gain", told.mean, note=note),
        ]
    return figures


def _means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of the values [q] of each group, [groups]."""
    return np.bincount(groups, values) / np.bincount(groups)


if __name__ == "__main__":
    main()
