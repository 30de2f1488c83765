"""`relook look` and `refine`: sessions of looking again. Layer: cli."""

from typing import Annotated

import typer

from relook.cli import options as given
from relook.cli.config_flags import CaptionFlags, ConfigOption, open_captioned, open_library
from relook.cli.loop import Loop, Mark, parse_box, requests_for, with_captions
from relook.cli.output import print_json, print_page
from relook.core.settings import SearchSettings
from relook.feedback.strategies import STRATEGIES
from relook.feedback.strategies import strategy as named_strategy
from relook.search.grammar import parse_query

_DEFAULTS = SearchSettings()
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
    grammar: given.GrammarOption = _DEFAULTS.grammar,
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
