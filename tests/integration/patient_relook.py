"""`relook` that has minutes to end after a signal: no test fails as its machine is busy.

    python patient_relook.py [--held-at=MODULE:NAME] COMMAND ...

With `--held-at` the first call of a function, or of a class's method (`MODULE:CLASS.NAME`), says
`held` on the pipe $HELD_FD, and waits for a signal. $STOP_S says what is used in place of minutes.
"""

import importlib
import os
import sys
import time
from typing import Any

PATIENCE_S = 600.0


def be_patient(arguments: list[str]) -> None:
    """Lets a command, and a server's requests under way, take their time to end."""
    from relook.cli import main

    main.STOP_S = float(os.environ.get("STOP_S", PATIENCE_S))
    if "serve" in arguments:
        from relook.gateway import listen
        from relook.server import app

        app._STOP_S = listen._GRACE_S = PATIENCE_S  # type: ignore[assignment]


def hold_at(name: str) -> None:
    """Makes a function wait when it is called."""
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, last = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, last, held)


def held(*_: Any, **__: Any) -> None:
    """In place of the function: says so, and waits."""
    os.write(int(os.environ["HELD_FD"]), b"held")
    while True:
        time.sleep(0.05)  # a signal's handler runs between two of them, if not in one


if __name__ == "__main__":
    from relook.cli.main import main

    be_patient(sys.argv)
    if sys.argv[1].startswith("--held-at="):
        hold_at(sys.argv.pop(1).partition("=")[2])
    sys.exit(main())
