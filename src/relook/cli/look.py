"""`relook search`, `similar`, `look` and `refine`. Layer: cli."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.cli import options as given
from relook.cli.config_flags import CaptionFlags, ConfigOption, open_captioned, open_library
from relook.cli.loop import Loop, Mark, parse_box, requests_for, with_captions
from relook.cli.output import print_json, print_page
from relook.core.settings import SearchSettings
from relook.core.types import Page, Query
from relook.feedback.strategies import STRATEGIES
from relook.feedback.strategies import strategy as named_strategy
from relook.search.grammar import parse_query

_DEFAULTS = SearchSettings()
GrammarOption = Annotated[
    bool,
    typer.Option(
        "--grammar/--literal",
        help="Read signs, 'no people' and slips in the words, or take all as it stands.",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        "-s",
        help=f"How marks are used: {', '.join(STRATEGIES)}; as configured when not given.",
    ),
]
SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session.")]
HitsOption = list[int] | None


def look(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORDS...", help="What to look for.")
    ] = None,
    library: given.LibraryOption = None,
    resume: Annotated[
        str | None, typer.Option(metavar="SESSION", help="Go on with an earlier session.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Hits on a page.")] = (
        SearchSettings().limit
    ),
    min_fit: given.MinFitOption = 0.0,
    album: given.AlbumOption = None,
    grammar: GrammarOption = _DEFAULTS.grammar,
    strategy: StrategyOption = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Draw pictures in the terminal.")
    ] = True,
    captioner: given.CaptionerOption = None,
    prompt: given.CaptionPromptOption = None,
    max_words: given.MaxWordsOption = None,
    max_tokens: given.MaxTokensOption = None,
    instruction: given.InstructionOption = "",
    allow_upload: given.BoxUploadOption = False,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Search, mark what fits and what does not, and look again. --json only begins a session."""
    captions = CaptionFlags(captioner, prompt, allow_upload, max_words, max_tokens)
    with open_captioned(library, config, captions) as lib:
        for option, value in (("--min-fit", min_fit), ("--album", album)):
            if resume and value:
                raise typer.BadParameter("a session keeps the one it began with", param_hint=option)
        if resume:
            session = lib.session(resume)
        else:
            query = parse_query(" ".join(words or []), grammar)
            only = given.pairs(None, album=album)
            session = lib.look(
                query, limit=limit, where=only, min_fit=min_fit, instruction=instruction
            )
        if as_json:
            print_json(session.page.as_dict())
        else:
            Loop(session, strategy or lib.feedback.strategy, thumbnails).run()


def refine(
    session_id: SessionArgument,
    library: given.LibraryOption = None,
    relevant: Annotated[
        HitsOption, typer.Option(help="Number of a hit on the page that fits. Repeatable.")
    ] = None,
    irrelevant: Annotated[
        HitsOption, typer.Option(help="Number of a hit that does not. Repeatable.")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N:X0,Y0,X1,Y1:SIGN", help="A region of hit N; SIGN: relevant or irrelevant."
        ),
    ] = None,
    caption: Annotated[
        list[str] | None, typer.Option(help="Words for the boxes, in their order.")
    ] = None,
    words: Annotated[
        str, typer.Option(help="What fits, in words without a picture; commas part several.")
    ] = "",
    not_words: Annotated[str, typer.Option(help="The same for what does not fit.")] = "",
    strategy: StrategyOption = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1)] = None,
    captioner: given.CaptionerOption = None,
    prompt: given.CaptionPromptOption = None,
    max_words: given.MaxWordsOption = None,
    max_tokens: given.MaxTokensOption = None,
    allow_upload: given.BoxUploadOption = False,
    keep_shown: Annotated[
        bool | None,
        typer.Option(
            "--keep-shown/--leave-out-shown",
            help="Images already shown may come again, or none; by itself those that fit stay.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Mark hits of a session's current page and show the next page."""
    captions = CaptionFlags(captioner, prompt, allow_upload, max_words, max_tokens)
    with open_library(library, config, captions) as lib:
        session = lib.session(session_id)
        named_strategy(strategy or lib.feedback.strategy)
        marks = [Mark(n, True) for n in relevant or []]
        marks += [Mark(n, False) for n in irrelevant or []]
        marks += with_captions([parse_box(text) for text in box or []], caption or [])
        judging = session.prepare(requests_for(session.page, marks))
        page = session.again(
            strategy, judging=judging, limit=limit, keep_shown=keep_shown,
            relevant_words=words, irrelevant_words=not_words,
        )  # fmt: skip
        choice = session.round.record.get("choice", {})
        judgements = [judgement.as_dict() for judgement in session.judgements]
    if as_json:
        print_json({**page.as_dict(), "judgements": judgements, "choice": choice})
    else:
        print_page(page)


FoldOption = Annotated[
    bool, typer.Option("--fold/--no-fold", help="Show near-duplicates as one hit.")
]
FilesOption = Annotated[
    bool, typer.Option("--files", "-f", help="Print paths only, for pipes.")
]  # fmt: skip

AwayOption = Annotated[
    bool, typer.Option("--away", help="Show pictures whose file cannot be reached now, too.")
]


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS...",
            help="What to look for: 'dog + snow - people', '0.5:red', 'image:FILE@x0,y0,x1,y1',"
            " 'dog@0,0,0.5,1' for a dog on the left.",
        ),
    ] = None,
    library: given.LibraryOption = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture to look like. Repeatable.")
    ] = None,
    unwanted: Annotated[
        list[str] | None, typer.Option("--not", help="Words for what not to show. Repeatable.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS@X0,Y0,X1,Y1", help="Words that must be shown at a place. Repeatable."
        ),
    ] = None,
    limit: given.LimitOption = _DEFAULTS.limit,
    where: given.WhereOption = None,
    after: given.AfterOption = None,
    before: given.BeforeOption = None,
    near: given.NearOption = None,
    camera: given.CameraOption = None,
    album: given.AlbumOption = None,
    path: given.PathOption = None,
    fold: FoldOption = _DEFAULTS.fold,
    grammar: GrammarOption = _DEFAULTS.grammar,
    files: FilesOption = False,
    away: AwayOption = False,
    min_fit: given.MinFitOption = 0.0,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Find images with words, pictures, or both."""
    with open_library(library, config) as lib:
        page = lib.search(
            _asked(" ".join(words or []), part or [], grammar),
            limit=limit, images=image or [], without=unwanted or [],
            where=given.pairs(where, after, before, near, camera, album), path=path, fold=fold,
            away=away, min_fit=min_fit, grammar=grammar,
        )  # fmt: skip
    _show(page, files, as_json)


def _asked(line: str, places: list[str], grammar: bool) -> str | Query:
    """Words with those that must be shown at places, which have a form of their own."""
    if grammar or not places:
        return " + ".join(filter(None, [line, *places]))
    placed = parse_query(" + ".join(places)).parts
    return Query((*(parse_query(line, grammar).parts if line else ()), *placed))


def similar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, indexed or not.")],
    library: given.LibraryOption = None,
    limit: given.LimitOption = _DEFAULTS.limit,
    where: given.WhereOption = None,
    after: given.AfterOption = None,
    before: given.BeforeOption = None,
    near: given.NearOption = None,
    camera: given.CameraOption = None,
    album: given.AlbumOption = None,
    path: given.PathOption = None,
    files: FilesOption = False,
    away: AwayOption = False,
    verify: given.VerifyOption = False,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Find images that look like a picture."""
    with open_library(library, config) as lib:
        only = given.pairs(where, after, before, near, camera, album)
        page = lib.similar(file, limit=limit, where=only, path=path, away=away, verify=verify)
    _show(page, files, as_json)


def _show(page: Page, files: bool, as_json: bool) -> None:
    if as_json:
        print_json(page.as_dict())
    elif files:
        for hit in page:
            sys.stdout.buffer.write(bytes(hit.path) + b"\n")
    else:
        print_page(page)
