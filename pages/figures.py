"""Draws the figures of docs/concepts.md from real pictures and real vectors.

    python pages/figures.py

Pictures are photographs that scikit-image ships, vectors are the built-in encoder's, and what
is drawn is what a library of them answers: nothing is made up. Needs matplotlib and
scikit-image (`pip install '.[demo,plot]'`).
"""

import shutil
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

import relook
from relook.encoders.builtin import BuiltinEncoder

mpl.use("Agg")
from matplotlib import pyplot as plt

PLACE = Path(__file__).parents[1] / "docs" / "figures"
BLUE, GREEN, RED, GREY = "#2563eb", "#15803d", "#b91c1c", "#9ca3af"
QUERY = "outer space"


def main() -> None:
    """Draws every figure."""
    mpl.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        photos = photographs(Path(folder, "photos"))
        with relook.Library(Path(folder, "library"), encoder=BuiltinEncoder()) as library:
            library.add(photos)
            sky = ("hubble_deep_field.jpg", "moon.png", "rocket.jpg")
            session = marked(library, QUERY, sky, ("phantom.png", "cell.png"))
            draw_moves(library, session)
            alike = ("motorcycle_left.png", "motorcycle_right.png")
            draw_gate(session, marked(library, "a machine", alike, ("coffee.png",)))
            draw_tiles(library, photos / "astronaut.png")


def photographs(folder: Path) -> Path:
    """Copies of scikit-image's photographs."""
    import skimage

    folder.mkdir()
    for file in (Path(skimage.__file__).parent / "data").glob("*.[pj][np]g"):
        shutil.copy(file, folder)
    return folder


def marked(
    library: relook.Library, query: str, relevant: tuple[str, ...], irrelevant: tuple[str, ...]
) -> "relook.search.session.Session":
    """A session in which some pictures were marked."""
    session = library.look(query, limit=12)
    for name in (*relevant, *irrelevant):
        session.judge(number(library, name), relevant=name in relevant)
    return session


def number(library: relook.Library, name: str) -> int:
    """The id of an image by its file name."""
    return next(r.image_id for r in library.files.catalog.each_image() if r.path.name == name)


def draw_moves(library: relook.Library, session: "relook.search.session.Session") -> None:
    """The query before and after, among the pictures, by their scores under both."""
    before = session.vector
    after = session.fitted("rocchio").scorer.vector
    assert after is not None
    table = library.files.row_table
    wholes = library.files.vectors.rows(table[:, 0])  # [n, d]
    x, y = wholes @ before, wholes @ after
    signs = {one.image_id: one.relevant for one in session.judgements}
    figure, axes = plt.subplots(figsize=(8, 5))
    for image_id, left, up in zip(table[:, 2].tolist(), x, y, strict=True):
        colour = {True: GREEN, False: RED, None: GREY}[signs.get(image_id)]
        axes.plot(left, up, "o", color=colour, markersize=8 if image_id in signs else 5)
        name = library.image(image_id).path.stem
        if image_id in signs:
            axes.annotate(name, (left, up), xytext=(5, 4), textcoords="offset points", fontsize=9)
    low, high = min(x.min(), y.min()) - 0.02, max(x.max(), y.max()) + 0.03
    axes.plot([low, high], [low, high], "--", color=GREY, linewidth=1)
    axes.set_xlabel(f"score under the words alone: “{QUERY}”")
    axes.set_ylabel("score after five marks (Rocchio)")
    axes.text(high, low + 0.02, "above the line: moved up by the marks", ha="right", color=GREY)
    save(figure, "moves.svg")


def draw_gate(
    apart: "relook.search.session.Session", agree: "relook.search.session.Session"
) -> None:
    """What the gate tried on judgements that it held out, and what it chose, twice."""
    figure, panels = plt.subplots(2, 1, figsize=(8, 4.6), sharex=True)
    for axes, session in zip(panels, (apart, agree), strict=True):
        record = session.fitted("auto").scorer.record  # type: ignore[attr-defined]
        labels = [f"{trial.strategy}, step {trial.step:g}" for trial in record.trials][::-1]
        gains = [trial.gain for trial in record.trials][::-1]
        took = [(t.strategy, t.step) == (record.strategy, record.step) for t in record.trials]
        axes.barh(labels, gains, color=[BLUE if one else GREY for one in took[::-1]])
        axes.axvline(0, color="black", linewidth=0.8)
        names = ", ".join(
            session.engine.files.catalog.images([one.image_id])[0].path.stem
            for one in session.judgements
            if one.relevant
        )
        said = f"chosen: {record.strategy}, step {record.step:g}"
        axes.set_title(f"relevant: {names}; {said}", fontsize=10, loc="left")
    panels[1].set_xlabel("how much higher left-out relevant pictures stand (deviations of scores)")
    save(figure, "gate.svg")


def draw_tiles(library: relook.Library, file: Path) -> None:
    """The tiles of one picture and how each fits some words."""
    words = ("a rocket", "a face", "a flag")
    encoder, image_id = library.engine.encoder, number(library, file.name)
    record = library.image(image_id)
    rows = np.arange(record.first_row, record.first_row + record.n_tiles)
    scores = library.files.vectors.rows(rows) @ encoder.encode_texts(words).T  # [t, w]
    boxes = library.files.tiling(record.tiling_id)
    with Image.open(file) as picture:
        shown = picture.convert("RGB").resize((360, 360))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), width_ratios=(1, 1.15))
    left.imshow(shown)
    left.axis("off")
    colours = plt.get_cmap("tab10")(range(len(boxes)))
    for at, box in enumerate(boxes):
        x0, y0, x1, y1 = (edge * 360 for edge in box.as_list())
        frame = plt.Rectangle(
            (x0 + 2, y0 + 2), x1 - x0 - 4, y1 - y0 - 4, fill=False, edgecolor=colours[at], lw=2
        )
        left.add_patch(frame)
        left.text(x0 + 8, y0 + 20, str(at), color=colours[at], weight="bold")
    width = 0.8 / len(boxes)
    for at in range(len(boxes)):
        place = np.arange(len(words)) + (at - len(boxes) / 2) * width
        right.bar(place, scores[at], width, color=colours[at], label=f"tile {at}")
    right.set_xticks(range(len(words)), words)
    right.set_ylabel("score")
    right.legend(fontsize=8, ncols=2)
    save(figure, "tiles.png")


def save(figure: "plt.Figure", name: str) -> None:
    """Writes a figure in a form that does not change when nothing changed."""
    mpl.rcParams["svg.hashsalt"] = "relook"
    told = {"Date": None} if name.endswith("svg") else {"Software": None}
    figure.tight_layout()
    figure.savefig(PLACE / name, dpi=110, metadata=told)
    plt.close(figure)


if __name__ == "__main__":
    main()
