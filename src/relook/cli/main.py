"""`relook`: the commands, and the one place where errors become exit codes. Layer: cli.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some files were skipped, 130 stopped by
Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

import relook
from relook.cli import (
    ask,
    bench,
    concept,
    config,
    dataset,
    demo,
    doctor,
    export_import,
    index,
    look,
    mcp,
    model,
    search,
    serve,
    upgrade,
)
from relook.cli.output import print_error
from relook.core.errors import RelookError

__all__ = ["app", "main"]

_CTRL_C, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

app = typer.Typer(
    name="relook",
    help="Find images with words, look again with feedback, ask with visual evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("similar")(search.similar)
app.command("attach")(index.attach)
app.command("info")(index.info)
app.command("move")(index.move)
app.command("forget")(index.forget)
app.command("compact")(index.compact)
app.command("upgrade")(upgrade.upgrade)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("look")(look.look)
app.command("refine")(look.refine)
app.command("ask")(ask.ask)
app.command("consent")(ask.consent)
app.command("serve")(serve.serve)
app.command("mcp")(mcp.mcp)
app.add_typer(look.app, name="session")
app.add_typer(concept.app, name="concept")
app.add_typer(bench.app, name="bench")
app.add_typer(model.app, name="model")
app.add_typer(config.app, name="config")
app.add_typer(dataset.app, name="dataset")
app.add_typer(export_import.export_app, name="export")
app.add_typer(export_import.import_app, name="import")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"relook {relook.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")] = False,
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
        with _ending_on_sigterm() as signals:
            code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, and the
        # interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return _TERMINATED if code == _CTRL_C and signals else code


@contextmanager
def _ending_on_sigterm() -> Iterator[list[int]]:
    """SIGTERM ends a command in as good an order as Ctrl-C does; yields what was received.

    A SIGINT that is ignored stays so: it is for what runs in the foreground of a shell. A SIGTERM
    that is ignored, or that whoever calls `main` sees to, is left alone, too.
    """
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield received
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
    return ended if isinstance(ended, int) else 0 if ended is None else 1
