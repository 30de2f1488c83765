"""Run by tests as a process of its own: indexes PICTURES into LIBRARY, a few at a time.

    python index_runner.py LIBRARY PICTURES [largest file in bytes]

Prints `ready` when everything is imported; exits with 0, or 130 after Ctrl-C, or 1 with the
code of the error. Commits often, so that a kill meets it in every state.

    python index_runner.py serve

does the same for each line `LIBRARY PICTURES` on its standard input, in a process of its own
that has everything imported: prints its number, and its exit code when it has ended.
"""

import os
import resource
import sys

from held_encoder import HeldEncoder

import relook
from relook.core.settings import IndexSettings
from relook.library import build  # noqa: F401  (imported before `ready`)


def main(library: str, pictures: str, largest: str = "") -> int:
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), resource.RLIM_INFINITY))
    print("ready", flush=True)  # noqa: T201
    return index(library, pictures)


def index(library: str, pictures: str) -> int:
    settings = IndexSettings(batch=4, commit_every=8, workers=2)
    try:
        with relook.Library(library, encoder=HeldEncoder()) as opened:
            report = opened.add(pictures, settings=settings)
    except relook.RelookError as error:
        print(error.code, error.message, sep="\n")  # noqa: T201
        return 1
    return 130 if report.interrupted else 0


def serve() -> int:
    relook.Library  # noqa: B018  (imported before `ready`)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            os._exit(index(*line.split()))
        print(number, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main(*sys.argv[1:]))
