"""Does the container work? Its own steps, run without an engine. Run by `make smoke`.

Reads the Dockerfile, checks what a person relies on (not root, no secret inside, health
check), runs its build step into a temporary folder, and starts its command as a user without
rights beside read-only pictures: index, search, health. Only paths, the port and the address
differ; the steps are the Dockerfile's. The first thing that is wrong ends it with exit code 1.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
PICTURES = ("chelsea.png", "coffee.png", "rocket.jpg")


class RehearsalError(Exception):
    """What is wrong, in one line."""


def main() -> int:
    """Runs the steps; the exit code."""
    try:
        steps = read(ROOT / "Dockerfile")
        check(steps)
        with tempfile.TemporaryDirectory(prefix="relook-container-") as folder:
            rehearse(steps, Path(folder))
    except RehearsalError as error:
        print(f"container: FAILED: {error}", file=sys.stderr)
        return 1
    print("container: ok")
    return 0


@dataclass(frozen=True)
class Steps:
    """The last stage of a Dockerfile, and the build step of the one before."""

    build: str
    user: str
    environment: dict[str, str]
    health: list[str]
    entrypoint: list[str]
    command: list[str]
    volumes: list[str]


def read(file: Path) -> Steps:
    """Takes a Dockerfile apart."""
    text = re.sub(r"\\\n\s*", "", file.read_text("utf-8"))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if re.match("[A-Z]+ ", line)]
    starts = [at for at, (word, _) in enumerate(lines) if word == "FROM"]
    if len(starts) != 2:
        raise RehearsalError(f"{file.name} has {len(starts)} stages, not 2")
    first, last = lines[: starts[1]], lines[starts[1] :]
    said = dict(last)
    health = said["HEALTHCHECK"].partition(" CMD ")[2]
    return Steps(
        next(rest for word, rest in first if word == "RUN"),
        said.get("USER", "root"),
        dict(pair.split("=", 1) for word, rest in last if word == "ENV" for pair in rest.split()),
        json.loads(health), json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"]),
        json.loads(said["VOLUME"]),
    )  # fmt: skip


def check(steps: Steps) -> None:
    """What must hold whatever the rest says."""
    if steps.user in ("root", "0"):
        raise RehearsalError("the container runs as root")
    if "RELOOK_TOKEN" in steps.environment or "--token" in steps.command:
        raise RehearsalError("a token is baked into the image")
    if set(steps.volumes) != {"/library", "/pictures"}:
        raise RehearsalError(f"the volumes are {steps.volumes}")


def rehearse(steps: Steps, folder: Path) -> None:
    """Builds, starts, uses and stops it."""
    folder.chmod(0o755)
    prefix, library, pictures = folder / "opt", folder / "library", folder / "pictures"
    build = steps.build.replace("/src", str(ROOT)).replace("/opt/relook", str(prefix))
    python, as_user = _interpreter()
    _run(build.split(), env={**os.environ, "PYTHON": python})
    shutil.copy(ROOT / "release/container.sh", prefix)
    hashes = _pictures(pictures)
    for place in (library, folder / "home"):
        place.mkdir()
        if as_user:
            os.chown(place, NOBODY, NOBODY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {"/library": str(library), "/pictures": str(pictures), "0.0.0.0": "127.0.0.1"}
    command = [here.get(word, word) for word in steps.command]
    relook = str(prefix / "bin" / steps.entrypoint[0])
    token = secrets.token_urlsafe(24)
    environment = {
        "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}", "HOME": str(folder / "home"),
        "RELOOK_TOKEN": token, "RELOOK_LIBRARY": str(library),
    }  # fmt: skip
    _run([relook, "index", str(pictures)], env=environment, **as_user)
    server = subprocess.Popen(
        [relook, *command, "--port", str(port)], env=environment, cwd=folder, **as_user
    )
    try:
        moved = (word.replace("/opt/relook", str(prefix)) for word in steps.health)
        health = [word.replace("8765", str(port)) for word in moved]
        _wait(health, environment, server)
        _use(port, token)
    finally:
        server.terminate()
        code = server.wait(30)
    if code != 0:
        raise RehearsalError(f"the server ended with code {code} on SIGTERM")
    if hashes != {path.name: _sha256(path) for path in pictures.iterdir()}:
        raise RehearsalError("the pictures are not as they were")


def _pictures(folder: Path) -> dict[str, str]:
    """Read-only photographs; their digests by name."""
    import skimage

    folder.mkdir()
    for name in PICTURES:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, folder)
        (folder / name).chmod(0o444)
    folder.chmod(0o555)
    return {path.name: _sha256(path) for path in folder.iterdir()}


def _interpreter() -> tuple[str, dict[str, Any]]:
    """A Python to build with, and the options that start a process without rights.

    Whoever is not root cannot become somebody else, and root's own Python may be closed to
    others: then the steps run as this user, and a line says so.
    """
    if os.geteuid() == 0:
        nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        program = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
        for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
            try:
                done = subprocess.run(
                    [python, "-c", program], capture_output=True, check=False, cwd="/", **nobody
                )
            except OSError:  # not there, or not for that user
                continue
            if done.returncode == 0:
                return python, nobody
    print("container: run as this user, not as one without rights", file=sys.stderr)
    return sys.executable, {}


def _wait(health: list[str], environment: dict[str, str], server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(health, env=environment, capture_output=True, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RehearsalError("the server does not become healthy")
        time.sleep(0.2)


def _use(port: int, token: str) -> None:
    """A search over HTTP, with the token and without."""
    base = f"http://127.0.0.1:{port}/api/v1/libraries"
    try:
        urllib.request.urlopen(base, timeout=30)
        raise RehearsalError("the server answers without a token")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise RehearsalError(f"without a token the status is {error.code}") from error
    data = json.dumps({"query": "a cat", "limit": 1}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/library/search", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        hits = json.load(answer)["hits"]
    if [Path(hit["path"]).name for hit in hits] != ["chelsea.png"]:
        raise RehearsalError(f"a search for a cat finds {hits}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str], **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        told = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-5:])
        raise RehearsalError(f"{' '.join(command[:3])} ended with {done.returncode}: {told}")


if __name__ == "__main__":
    sys.exit(main())
