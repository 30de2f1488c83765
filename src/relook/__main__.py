"""`relook`, and `python -m relook`: where the process begins.

What commands need is imported here only once a Ctrl-C ends the process in good order.
"""

import sys

_CTRL_C = 130


def main() -> int:
    """Runs the command line that the process was given, and returns its exit code."""
    try:
        from relook.cli.main import main as run

        return run()
    except KeyboardInterrupt:  # while it loads, or once the command has ended
        return _CTRL_C


if __name__ == "__main__":
    sys.exit(main())
