"""Coverage-guided fuzzing: make fuzz, SECONDS=60 for each target by default.

Needs atheris (pip install atheris). Each target runs in a process of its own, because a
finding ends it; what it found lies in fuzz/found/TARGET/ and is named at the end, with exit
code 1. To see one again: python fuzz/run.py --target NAME --file FILE.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOUND = HERE / "found"
_MAX_LEN, _TIMEOUT_S, _MEMORY_MIB = 8192, 20, 3072


def main() -> int:
    """Runs all targets or one; 1 when something was found, 2 without atheris."""
    options = arguments()
    if options.file is not None:
        _again(options.target[0], options.file)
        return 0
    if options.inside:
        _fuzz(options.target[0], options.seconds)
        return 0
    try:
        import atheris  # noqa: F401
    except ModuleNotFoundError:
        print("make fuzz needs the package atheris: pip install atheris", file=sys.stderr)
        return 2
    wrong = [name for name in options.target or _names() if not _run(name, options.seconds)]
    for name in wrong:
        print(f"FOUND: {name}, see {FOUND / name}")
    return 1 if wrong else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--target", action="append", help="only this one; repeatable")
    made.add_argument("--seconds", type=int, default=60, help="of each target")
    made.add_argument("--file", type=Path, help="run the target on this file, without a fuzzer")
    made.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return made.parse_args()


def _names() -> list[str]:
    from targets import TARGETS

    return list(TARGETS)


def _again(name: str, file: Path) -> None:
    from targets import TARGETS

    TARGETS[name].run(file.read_bytes())


def _run(name: str, seconds: int) -> bool:
    """Whether a target ended without a finding."""
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--inside", "--target", name, "--seconds", str(seconds)]
    with open(FOUND / name / "log.txt", "w") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    runs = _last(FOUND / name / "log.txt", "number_of_executed_units:")
    print(f"{name:10} {'ok' if done.returncode == 0 else 'FOUND'}  {runs} runs", flush=True)
    return done.returncode == 0


def _last(log: Path, label: str) -> str:
    lines = [one for one in log.read_text("utf-8", "replace").splitlines() if label in one]
    return lines[-1].split(":")[-1].strip() if lines else "?"


def _fuzz(name: str, seconds: int) -> None:
    """Never returns: the fuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["relook"]):
        from targets import TARGETS
    target = TARGETS[name]
    corpus = FOUND / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", f"-max_len={_MAX_LEN}", f"-timeout={_TIMEOUT_S}",
             f"-rss_limit_mb={_MEMORY_MIB}", f"-artifact_prefix={FOUND / name}/",
             "-print_final_stats=1", str(corpus)]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
