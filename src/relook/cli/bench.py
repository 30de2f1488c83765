"""`relook bench`: measure a library on data with known answers. Layer: cli."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.app.facade import Library
from relook.bench.fit_report import FitReport, bench_fit, plot_fit
from relook.bench.measures import bench_retrieval
from relook.bench.paper import ARMS, PaperOptions, PaperReport, bench_paper
from relook.bench.query_files import read_captions, read_concepts, read_queries
from relook.cli.bench_answers import answers, ask
from relook.cli.bench_feedback import feedback, playable, replay, sets
from relook.cli.config_flags import CaptionFlags, ConfigOption, open_library, page_captions
from relook.cli.options import (
    CONCEPTS_HELP,
    BoxUploadOption,
    CaptionerOption,
    CaptionPromptOption,
    Commands,
    JsonOption,
    LibraryOption,
    SplitOption,
)
from relook.cli.output import counter, print_json, print_table, progress_bar
from relook.core.errors import counted
from relook.core.outputs import CURVES, check_output
from relook.core.settings import EvidenceSettings, GatherSettings
from relook.search.summariser import summariser_of

if TYPE_CHECKING:
    from relook.bench.identify import IdentifyResult


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
    with open_library(library, config, flags) as lib, progress_bar() as progress:
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


app = Commands(help="Measure a library on data with known answers.", no_args_is_help=True)
app.command("answers")(answers)
app.command("ask")(ask)
app.command("paper")(paper)
app.command("feedback")(feedback)
app.command("replay")(replay)
app.command("sets")(sets)


@app.command("identify")
def identify(
    labels: Annotated[Path, typer.Option(help=CONCEPTS_HELP)],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Labelled photographs: is the right name in the library's evidence? No model is asked."""
    from relook.app.finder import library_finder  # other commands do without Pillow
    from relook.bench.identify import AT, bench_identify, labelled
    from relook.providers.library import LibraryProvider
    from relook.rag.lookup import Gatherer

    n_items = 2 * max(AT)  # so that something moves up when items are struck
    wanted = read_concepts(labels)
    with Library(library) as lib, progress_bar() as progress:
        records = list(lib.files.catalog.each_image())
        photographs, n_unmatched = labelled(wanted, records)
        settings = GatherSettings(limit=n_items)
        kept = EvidenceSettings(items=n_items)
        provider = LibraryProvider(library_finder(lib.engine))
        with Gatherer({"library": provider}, settings=settings, evidence=kept) as gatherer:
            result = bench_identify(
                photographs,
                records,
                gatherer.gather,
                n_unmatched,
                counter("looking up", progress),
            )
    if as_json:
        print_json(result.as_dict())
    else:
        _print_identified(result)


def _print_identified(result: IdentifyResult) -> None:
    from relook.bench.identify import AT

    rows = [
        (
            f"first {k}",
            f"{result.name[k]:.3f}",
            f"{result.struck[k]:.3f}",
            f"{result.chance[k]:.3f}",
        )
        for k in AT
    ]
    print_table(["right name among", "evidence", "wrong ones struck", "chance"], rows)
    counts = [
        ("photographs", str(result.n_photographs)),
        ("names", str(result.n_names)),
        ("pairs of both", str(result.n_labelled)),
        ("images searched", str(result.n_images)),
        ("labels without a picture here", str(result.n_unmatched)),
        ("not read", str(result.n_failed)),
        ("evidence, mean", f"{result.evidence_ms:.1f} ms"),
    ]
    print_table(["measured on", "n"], counts)


@app.command("retrieval")
def retrieval(
    captions: Annotated[
        Path, typer.Option(help="TSV, Flickr token file, COCO captions or Karpathy's JSON.")
    ],
    library: LibraryOption = None,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Caption -> picture: how often the right picture is among the first 1, 5, 10."""
    with Library(library) as lib, progress_bar() as progress:
        queries = read_captions(captions, split)
        result = bench_retrieval(lib.engine, queries, counter("asking", progress))
    if as_json:
        print_json(result.as_dict())
    else:
        print_table(["measure", "value"], [(k, str(v)) for k, v in result.as_dict().items()])


@app.command("fit")
def fit(
    queries: Annotated[Path, typer.Option(help=CONCEPTS_HELP)],
    library: LibraryOption = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="A picture shows a query, too, when a caption here uses all its words."),
    ] = None,
    split: SplitOption = None,
    absent: Annotated[
        Path | None, typer.Option(help="Queries that nothing in the library shows, one a line.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG or SVG of the diagram.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Is fit the probability it says, and is "nothing fits" told when nothing does?"""
    if plot:
        check_output(plot, CURVES)
    wanted = read_concepts(queries)
    caption_file = read_captions(captions, split) if captions else []
    nothing = read_queries(absent) if absent else []
    with Library(library) as lib, progress_bar() as progress:
        report = bench_fit(lib.engine, wanted, caption_file, nothing, counter("asking", progress))
    if plot:
        plot_fit(report, plot)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_fit(report)


def _print_fit(report: FitReport) -> None:
    rows = [
        (
            f"{interval.low:.1f} to {interval.high:.1f}",
            str(interval.n),
            f"{interval.fit:.3f}",
            f"{interval.shown:.3f}",
        )
        for interval in report.bins
    ]
    print_table(["fit between", "hits", "mean fit", "share that shows it"], rows)
    measures = [
        ("expected calibration error", f"{report.calibration_error:.3f}"),
        ("told 'nothing fits': something is here", f"{report.told_with:.1%}"),
        ("told 'nothing fits': its pictures taken out", f"{report.told_without:.1%}"),
    ]
    if report.told_absent is not None:
        measures.append(("told 'nothing fits': nothing shows it", f"{report.told_absent:.1%}"))
    for part in report.parts:
        among = f"the same among {counted(part.n_images, 'image')}"
        for what, share in (("something is", part.told_with), ("nothing is", part.told_without)):
            if share is not None:
                measures.append((f"{among}: {what}", f"{share:.1%}"))
    counts = (report.n_queries, report.n_absent, report.n_images, report.n_unmatched)
    names = ("queries", "queries that nothing shows", "images", "queries left out")
    print_table(["measure", "value"], [*measures, *zip(names, map(str, counts), strict=True)])
