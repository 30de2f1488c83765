"""`relook`: the commands, and the one place where errors become exit codes. Layer: cli.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some files were skipped, 130 stopped by
Ctrl-C, 143 by SIGTERM.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import relook
from relook.cli import (
    ask,
    bench,
    bench_replay,
    bench_sets,
    concept,
    config,
    copies,
    dataset,
    doctor,
    export_import,
    index,
    info,
    look,
    model,
    serve,
    session_commands,
    train,
)
from relook.cli.ending import TERMINATED, ending_on_sigterm
from relook.cli.output import print_error
from relook.core.errors import RelookError

_CTRL_C = 128 + signal.SIGINT

app = typer.Typer(
    name="relook",
    help="Find images with words, look again with feedback, ask with visual evidence.",
    no_args_is_help=True,
    epilog="First: relook demo, or: relook index FOLDER, then: relook search WORDS",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_START = "Start here"
_FIND = "Find, look again, ask"
_KEEP = "Look after a library"
_SERVE = "Serve it to people, programs and agents"
_OTHERS = "Models, data, measuring, other programs"

app.command("demo", rich_help_panel=_START)(dataset.demo)
app.command("index", rich_help_panel=_START)(index.index)
app.command("search", rich_help_panel=_START)(look.search)
app.command("doctor", rich_help_panel=_START)(doctor.doctor)
app.command("similar", rich_help_panel=_FIND)(look.similar)
app.command("look", rich_help_panel=_FIND)(look.look)
app.command("refine", rich_help_panel=_FIND)(look.refine)
app.add_typer(session_commands.app, name="session", rich_help_panel=_FIND)
app.add_typer(concept.app, name="concept", rich_help_panel=_FIND)
app.command("ask", rich_help_panel=_FIND)(ask.ask)
app.command("consent", rich_help_panel=_FIND)(ask.consent)
app.command("info", rich_help_panel=_KEEP)(info.info)
app.command("move", rich_help_panel=_KEEP)(index.move)
app.command("forget", rich_help_panel=_KEEP)(index.forget)
app.command("copies", rich_help_panel=_KEEP)(copies.copies)
app.command("compact", rich_help_panel=_KEEP)(index.compact)
app.command("upgrade", rich_help_panel=_KEEP)(model.upgrade)
app.command("serve", rich_help_panel=_SERVE)(serve.serve)
app.command("mcp", rich_help_panel=_SERVE)(serve.mcp)
app.command("attach", rich_help_panel=_SERVE)(index.attach)
app.add_typer(config.app, name="config", rich_help_panel=_OTHERS)
app.add_typer(model.app, name="model", rich_help_panel=_OTHERS)
app.add_typer(dataset.app, name="dataset", rich_help_panel=_OTHERS)
bench.app.command("replay")(bench_replay.replay)
bench.app.command("sets")(bench_sets.sets)
app.add_typer(bench.app, name="bench", rich_help_panel=_OTHERS)
app.add_typer(train.app, name="train", rich_help_panel=_OTHERS)
app.add_typer(export_import.export_app, name="export", rich_help_panel=_OTHERS)
app.add_typer(export_import.import_app, name="import", rich_help_panel=_OTHERS)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"relook {relook.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Log to stderr, and how fast each stage of indexing was."
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s: %(message)s")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; the only `except` of all errors.

    Args:
        argv: Arguments without the program's name; the process's own when None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with ending_on_sigterm() as signals:
            code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, and the
        # interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return TERMINATED if code == _CTRL_C and signals else code


def _run(arguments: list[str]) -> int:
    try:
        ended = app(args=arguments, prog_name="relook")
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        ended = end.code
    except RelookError as error:
        print_error(error, as_json="--json" in arguments)
        return 1
    except KeyboardInterrupt:  # before a command began, or after its end
        return _CTRL_C
    return ended if isinstance(ended, int) else 0 if ended is None else 1
