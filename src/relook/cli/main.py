"""`relook`: the commands, and the one place where errors become exit codes. Layer: cli.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some files were skipped, 130 stopped by
Ctrl-C, 143 by SIGTERM, which ends a command in as good an order as Ctrl-C does, and within `STOP_S`
in any case: what is on disk is whole whenever a process ends.
"""

import errno
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

import relook
from relook.app.paths import library_folder
from relook.cli.options import Commands
from relook.cli.output import clean_lines, print_error
from relook.core.errors import InputError, RelookError, disk_error
from relook.core.picture_paths import printable
from relook.library.manifest import Manifest

_LOG = logging.getLogger(__name__)
_CTRL_C = 128 + signal.SIGINT
# What typer raises for a command line that it cannot read; it names some kinds of it only.
_REFUSED: Any = typer.BadParameter.__mro__[2]
# Of a file without a name, as stdout is.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
_START = "Start here"
_FIND = "Find, look again, ask"
_KEEP = "Look after a library"
_SERVE = "Serve it to people, programs and agents"
_OTHERS = "Models, data, measuring, other programs"

# Name -> panel of the help, module in `relook.cli`, and the function or group of commands in it.
_COMMANDS = {
    "demo": (_START, "dataset", "demo"),
    "index": (_START, "index", "index"),
    "search": (_START, "search", "search"),
    "doctor": (_START, "doctor", "doctor"),
    "similar": (_FIND, "search", "similar"),
    "look": (_FIND, "look", "look"),
    "refine": (_FIND, "look", "refine"),
    "session": (_FIND, "session_commands", "app"),
    "concept": (_FIND, "concept", "app"),
    "album": (_FIND, "album", "app"),
    "ask": (_FIND, "ask", "ask"),
    "consent": (_FIND, "ask", "consent"),
    "info": (_KEEP, "info", "info"),
    "move": (_KEEP, "index", "move"),
    "forget": (_KEEP, "index", "forget"),
    "copies": (_KEEP, "copies", "copies"),
    "compact": (_KEEP, "index", "compact"),
    "upgrade": (_KEEP, "model", "upgrade"),
    "serve": (_SERVE, "serve", "serve"),
    "user": (_SERVE, "user", "app"),
    "shortcut": (_SERVE, "shortcut", "shortcut"),
    "mcp": (_SERVE, "serve", "mcp"),
    "attach": (_SERVE, "index", "attach"),
    "config": (_OTHERS, "config", "app"),
    "model": (_OTHERS, "model", "app"),
    "dataset": (_OTHERS, "dataset", "app"),
    "bench": (_OTHERS, "bench", "app"),
    "train": (_OTHERS, "train", "app"),
    "export": (_OTHERS, "export_import", "export_app"),
    "import": (_OTHERS, "export_import", "import_app"),
}
STOP_S = 5.0
"""How long a command may take to end after SIGTERM."""
TERMINATED = 128 + signal.SIGTERM


def command_line(name: str | None = None) -> typer.Typer:
    """The commands of `relook`.

    Args:
        name: Of one command, for all of them None. One imports its module only: importing all takes
            longer than a search.
    """
    app = Commands(
        name="relook",
        help="Find images with words, look again with feedback, ask with visual evidence.",
        invoke_without_command=True,
        epilog="First: relook demo, or: relook index FOLDER, then: relook search WORDS",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for each in _COMMANDS if name is None else [name]:
        panel, module, attribute = _COMMANDS[each]
        command = getattr(importlib.import_module(f"relook.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=each, rich_help_panel=panel)
        else:
            app.command(each, rich_help_panel=panel)(command)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"relook {relook.__version__}\n")
        raise typer.Exit


_FIRST = """\
There is no library yet at {folder}.

  relook demo               try it on example photographs
  relook index ~/Pictures   make a library of your own; picture files are only ever read

relook --help lists every command.
"""
_GO_ON = """\
Your library is {folder}.

  relook search "a dog on a beach"   find pictures with words
  relook look "a dog on a beach"     mark what fits, and look again
  relook serve                       the same in a browser
  relook index                       read what is new in its folders

relook --help lists every command.
"""


def _next_step() -> str:
    """What somebody who typed `relook` alone can do next."""
    folder = library_folder(None)
    return (_GO_ON if Manifest.exists(folder) else _FIRST).format(folder=folder)


def _root(
    context: typer.Context,
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
    if context.invoked_subcommand is None:
        sys.stdout.write(clean_lines(_next_step()))


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
    except BrokenPipeError:  # the reader of our output went away (`| head`): nothing more to say
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _LOG.info("where it was refused:", exc_info=True)
        _drop_output()
        hint = "make room where it goes, and run the same command again"
        print_error(disk_error("cannot write the output", error, hint), as_json=False)
        return 1
    return TERMINATED if code == _CTRL_C and signals else code


def _drop_output() -> None:
    """Lets what waits to be written go nowhere: the interpreter must not complain at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    first = next((word for word in arguments if not word.startswith("-")), None)
    as_json = "--json" in arguments
    try:
        app = command_line(first if first in _COMMANDS else None)
        ended = app(args=arguments, prog_name="relook", standalone_mode=not as_json)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        ended = end.code
    except _REFUSED as error:
        print_error(_usage_error(error), as_json=True)
        return 2
    except typer.Abort:
        sys.stderr.write("Aborted.\n")
        return 1
    except RelookError as error:
        print_error(error, as_json)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        if not isinstance(error.filename, str | bytes):  # not of a file that has a name
            raise
        _LOG.info("where it was refused:", exc_info=True)
        message = f"cannot use {printable(os.fsencode(error.filename))}"
        refused = disk_error(message, error, "check the path, and who may read and write there")
        print_error(refused, as_json)
        return 1
    except KeyboardInterrupt:  # before a command began, or after its end
        return _CTRL_C
    return ended if isinstance(ended, int) else 0 if ended is None else 1


def _usage_error(error: Any) -> InputError:
    """What typer says of a command line that it cannot read, as an error object."""
    command = error.ctx.command_path if getattr(error, "ctx", None) else "relook"
    return InputError("bad_usage", error.format_message(), f"{command} --help lists what there is")


@contextmanager
def ending_on_sigterm() -> Iterator[list[int]]:
    """SIGTERM raises KeyboardInterrupt in the block; yields the signals that were received.

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
    with _bounded():
        signal.signal(signal.SIGTERM, end)
        try:
            yield received
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends the process `STOP_S` after a SIGTERM that comes in the block, at the latest.

    Python runs a handler between two of its own steps only. A model, an index in training or
    whatever else takes long in one step would make it wait; the pipe that tells of signals is
    written to at once, and a thread reads it. Threads that the interpreter waits for after the
    block are in the bound.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while (number := os.read(reader, 1)) and number[0] != signal.SIGTERM:
            pass
        if number:
            time.sleep(STOP_S)
            os._exit(TERMINATED)
        os.close(reader)  # only now: a signal is never written to a pipe that nobody reads

    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, name="relook-end", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
