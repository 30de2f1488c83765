"""`relook bench paper`: the protocol of arXiv 2511.17255 on one's own library. Layer: cli."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from relook.bench.paper import ARMS, PaperOptions, PaperReport, bench_paper
from relook.bench.query_files import read_captions
from relook.cli.config_flags import CaptionFlags, ConfigOption, open_library, page_captions
from relook.cli.options import (
    BoxUploadOption,
    CaptionerOption,
    CaptionPromptOption,
    JsonOption,
    LibraryOption,
    SplitOption,
)
from relook.cli.output import clean_lines, counter, print_json, print_table, progress_bar
from relook.search.summariser import OnnxSummariser, summariser_of

_PLAYED = PaperOptions()


def paper(
    captions: Annotated[
        Path, typer.Option(help="TSV, CSV, JSON lines, Flickr tokens, COCO's or Karpathy's JSON.")
    ],
    library: LibraryOption = None,
    split: SplitOption = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", "-a", help=f"Repeatable: {', '.join(ARMS)}, marks:STRATEGY."),
    ] = None,
    turns: Annotated[
        int, typer.Option(min=1, help="How often the query is moved.")
    ] = _PLAYED.turns,
    page: Annotated[int, typer.Option(min=1, help="First pictures that move it.")] = _PLAYED.page,
    chained: Annotated[
        bool,
        typer.Option("--chained", help="Start from the query of the turn before, not the first."),
    ] = False,
    queries: Annotated[
        int, typer.Option(min=0, help="At most so many captions, drawn at random; 0 for all.")
    ] = _PLAYED.queries,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = _PLAYED.seed,
    afs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of afs; the library's own if unset."),
    ] = None,
    captioner: CaptionerOption = None,
    prompt: CaptionPromptOption = None,
    allow_upload: BoxUploadOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One picture is looked for: MRR@5 and Hits@k of feedback that asks nobody, and that asks."""
    known = read_captions(captions, split)
    flags = CaptionFlags(captioner, prompt, allow_upload)
    with open_library(library, config, flags) as lib, progress_bar(as_json) as progress:
        engine = lib.engine
        named = str(afs or lib.feedback.afs)
        summariser = summariser_of(lib.files, engine.encoder.fingerprint, named)
        arms = tuple(arm or playable(ARMS, summariser))
        speak, name = None, ""
        if "grf" in arms:
            speak, name = page_captions(lib, config, flags, progress)
        report = bench_paper(
            engine, known, PaperOptions(arms, turns, page, chained, queries, seed),
            summariser=summariser, speak=speak, captioner=name,
            progress=counter("playing", progress),
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report)


def _print(report: PaperReport) -> None:
    rows = []
    for figures in report.arms:
        gain = figures.last_gain
        rows.append(
            (
                figures.arm,
                *(f"{turn.mrr_at_5:.4f}" for turn in figures.turns),
                f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})",
                f"{figures.better:.1%}",
                f"{figures.worse:.1%}",
            )
        )
    turns = [f"turn {turn.turn}" for turn in report.arms[0].turns]
    print_table(["MRR@5", *turns, "gain (95%)", "better", "worse"], rows)
    for k in (1, 5, 10):
        hits = [
            (f.arm, *(f"{getattr(turn, f'hits_at_{k}'):.4f}" for turn in f.turns))
            for f in report.arms
        ]
        print_table([f"Hits@{k}", *turns], hits)
    made = [
        ("captions", f"{report.n_queries:,}"),
        ("images", f"{report.n_images:,}"),
        ("captions of no picture here", f"{report.n_unmatched:,}"),
        ("captions whose picture has no other", f"{report.n_without_others:,}"),
        ("encoder", report.encoder.told),
        ("captioner", report.captioner or "-"),
        ("seed", str(report.options.seed)),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
    ]
    print_table(["measured on", ""], made)


def playable(names: Iterable[str], summariser: OnnxSummariser) -> list[str]:
    """The strategies that can be played; a note says it where afs has no weights."""
    if summariser.path.is_file():
        return list(names)
    note = f"note: afs is left out, {summariser.path} is not there; relook train afs makes it\n"
    sys.stderr.write(clean_lines(note))
    return [name for name in names if name != "afs"]
