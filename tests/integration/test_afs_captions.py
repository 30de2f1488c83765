"""The paper's protocol, and captions that a captioner writes, with trained summaries."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from afs_parts import SMALL, by_command, captions, library, pictures  # noqa: F401  (some are fixtures)

import relook
from relook.app.training import PageCaptions, train_afs
from relook.bench.paper import PaperOptions, bench_paper
from relook.bench.query_files import Caption, read_captions
from relook.cli.main import main
from relook.core.errors import InputError, NotFoundError
from relook.core.vectors import unit
from relook.search.summariser import summariser_of
from relook.testing import ColourCaptioner, ColourEncoder


def speaker(library: relook.Library, folder: Path) -> tuple[PageCaptions, ColourCaptioner]:
    captioner = ColourCaptioner()
    return PageCaptions(library.files, lambda: captioner, "colours", folder), captioner


def test_a_captioners_words_are_read_too(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    speak, _ = speaker(library, tmp_path)
    made = train_afs(library, pictures / "captions.tsv", options=SMALL, speak=speak)
    assert made.with_captions
    report = bench_paper(
        library.engine, read_captions(pictures / "captions.tsv"), PaperOptions(("afs",), turns=1),
        summariser=summariser_of(library.files, ColourEncoder().fingerprint), speak=speak,
    )  # fmt: skip
    assert report.afs["trained"]["with_captions"]


def test_a_picture_is_captioned_once(library: relook.Library, tmp_path: Path) -> None:
    ids = [record.image_id for record in library.files.catalog.each_image()][:20]
    speak, captioner = speaker(library, tmp_path / "kept")
    asked: list[int] = []
    say = captioner.caption
    captioner.caption = lambda images: asked.append(len(images)) or say(images)  # type: ignore[method-assign]
    said = speak(ids)
    assert asked == [16, 4]
    names = [record.path.stem.split("-")[0] for record in library.files.catalog.images(ids)]
    assert said == names  # the wider colour
    [file] = (tmp_path / "kept").iterdir()
    file.write_text(file.read_text() + '{"content": "torn')
    assert speak(ids) == said
    assert asked == [16, 4]


def ranks_by_hand(library: relook.Library, vectors: np.ndarray, right: list[int]) -> list[int]:
    files = library.files
    tiles = files.vectors.rows(np.arange(len(files.row_table) * 5)).reshape(-1, 5, 16)
    scores = tiles @ vectors.T  # [n, t, q]
    best = np.maximum(scores[:, 0], 0.9 * scores[:, 1:].max(axis=1)).T  # [q, n]
    return [int((row >= row[at]).sum()) for row, at in zip(best, right, strict=True)]


def test_the_papers_figures_are_those_of_its_formulas(
    library: relook.Library, captions: list[Caption], tmp_path: Path
) -> None:
    speak, _ = speaker(library, tmp_path)
    report = bench_paper(
        library.engine, captions, PaperOptions(("none", "explicit", "grf"), turns=1, page=3),
        speak=speak, captioner="colour",
    )  # fmt: skip
    assert (report.n_queries, report.n_images, report.n_unmatched) == (56, 28, 0)
    columns = {r.path.name: n for n, r in enumerate(library.files.catalog.each_image())}
    right = [columns[caption.image] for caption in captions]
    queries = ColourEncoder().encode_texts([caption.text for caption in captions])
    others = queries.reshape(28, 2, 16)[:, ::-1].reshape(56, 16)  # the only other one of each
    expected = {"none": queries, "explicit": unit(0.8 * queries + 0.1 * others)}
    for arm, vectors in expected.items():
        ranks = np.array(ranks_by_hand(library, vectors, right))
        [figures] = [one for one in report.arms if one.arm == arm]
        turn = figures.turns[1]
        assert turn.mrr_at_5 == pytest.approx(np.where(ranks <= 5, 1 / ranks, 0).mean())
        assert (turn.hits_at_1, turn.hits_at_5, turn.hits_at_10) == pytest.approx(
            [(ranks <= k).mean() for k in (1, 5, 10)]
        )
        assert figures.turns[0] == report.arms[0].turns[0]
    none = report.arms[0]
    assert (none.better, none.worse, none.gain.mean, none.last_gain.high) == (0, 0, 0, 0)
    assert (report.arms[2].arm, report.captioner) == ("grf", "colour")
    assert report.encoder == ColourEncoder().fingerprint


def test_a_seed_fixes_what_is_drawn(library: relook.Library, captions: list[Caption]) -> None:
    def play(**options: object) -> dict:
        played = PaperOptions(("explicit",), turns=2, queries=20, **options)  # type: ignore[arg-type]
        return bench_paper(library.engine, captions, played).as_dict()["arms"]

    assert play(seed=1) == play(seed=1)
    assert play(seed=1) != play(seed=2)
    assert play(seed=1) != play(seed=1, chained=True)


def test_marks_find_the_picture_and_arms_are_checked(
    library: relook.Library, captions: list[Caption]
) -> None:
    arms = ("none", "marks:rocchio", "marks:bayes")
    report = bench_paper(library.engine, captions, PaperOptions(arms, turns=3))
    none, rocchio, bayes = report.arms
    assert rocchio.turns[-1].hits_at_1 > none.turns[-1].hits_at_1
    assert bayes.turns[-1].hits_at_1 > none.turns[-1].hits_at_1
    for arm, code in (("rocchio", "bad_arm"), ("grf", "no_captioner")):
        with pytest.raises(InputError) as raised:
            bench_paper(library.engine, captions, PaperOptions((arm,)))
        assert raised.value.code == code
    with pytest.raises(NotFoundError, match="no feedback strategy 'rochio'"):
        bench_paper(library.engine, captions, PaperOptions(("marks:rochio",)))
    with pytest.raises(NotFoundError, match="no trained weights"):
        bench_paper(library.engine, captions, PaperOptions(("afs",)))
    with pytest.raises(InputError, match="none of the 1 captions"):
        bench_paper(library.engine, [Caption("x.png", "red")], PaperOptions(("none",)))


def test_the_protocol_by_command(
    pictures: Path, library: relook.Library, by_command: Callable[..., dict],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["bench", "paper", "--captions", pictures / "captions.tsv", "--turns", "1"]
    report = by_command(*command)
    assert [arm["arm"] for arm in report["arms"]] == [
        "none", "prf", "grf", "explicit", "marks:rocchio-paper"
    ]  # fmt: skip
    assert report["captioner"] == "builtin"
    assert report["options"]["seed"] == 0
    assert set(report["versions"]) == {"relook", "python", "numpy", "onnxruntime"}
    assert by_command(*command, "--arm", "afs", code=1)["error"]["code"] == "no_afs"
    by_command("train", "afs", "--captions", pictures / "captions.tsv", "--epochs", "1")
    assert main([*map(str, command), "--library", str(library.folder)]) == 0
    printed = capsys.readouterr()
    assert "MRR@5" in printed.out
    assert " afs " in printed.out
    assert printed.err == ""
    queries = pictures.parent / "queries.jsonl"
    queries.write_text('{"query": "red", "relevant": ["red-white.png", "blue-red.png"]}')
    played = by_command("bench", "feedback", "--queries", queries, "--strategy", "all")
    assert "afs" in played["strategies"]
    (library.folder / "afs.onnx").unlink()
    played = by_command("bench", "feedback", "--queries", queries, "--strategy", "all")
    assert "afs" not in played["strategies"]
