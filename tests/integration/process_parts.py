"""`relook serve` as a process of its own, with the colour encoder as a plugin."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from patient_relook import PATIENCE_S  # ends a test that hangs; no test judges speed by it
from PIL import Image

import relook
from relook.testing import ColourEncoder

RELOOK = [sys.executable, "-W", "error", str(Path(__file__).with_name("patient_relook.py"))]
COLOUR, HELD = "relook.testing.fakes:ColourEncoder", "held_encoder:HeldEncoder"
GATED, STUBBORN = "held_encoder:GatedEncoder", "held_encoder:StubbornEncoder"


def started(
    command: list[str], *, ctrl_c: Any = signal.default_int_handler, **how: Any
) -> "subprocess.Popen[Any]":
    """A process that takes Ctrl-C as at a terminal, wherever the tests themselves run.

    A shell starts a background job with SIGINT ignored, and its children inherit that.

    Args:
        command: What to start.
        ctrl_c: `signal.SIG_IGN` starts it as a background job of a script.
        how: For `Popen`.
    """
    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        return subprocess.Popen(command, **how)
    finally:
        signal.signal(signal.SIGINT, before)


def held_midway(command: list[str], env: dict[str, str], **how: Any) -> "subprocess.Popen[Any]":
    """A process whose `HeldEncoder` waits in the middle of a run; arguments as for `started`."""
    reader, writer = os.pipe()
    env = {**env, "HELD_FD": str(writer)}
    process = started(command, env=env, pass_fds=(writer,), **how)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read(4) == b"held", process.communicate()
    return process


def install_colour(folder: Path, encoder: str = COLOUR) -> None:
    """An encoder called `colour` for whoever has the folder on the path, as a third party's is."""
    info = folder / "colour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[relook.encoders]\ncolour = {encoder}\n")


def plugin_env(folder: Path, encoder: str = COLOUR) -> dict[str, str]:
    """An environment in which `--encoder colour` is installed and nothing else is set."""
    install_colour(folder, encoder)
    here = str(Path(__file__).parent)
    path = os.pathsep.join([str(folder), here, os.environ.get("PYTHONPATH", "")])
    path = path.rstrip(os.pathsep)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELOOK_")}
    patience = {"RELOOK_SERVE_TIMEOUT_S": str(PATIENCE_S)}
    return {**kept, **patience, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache")}


class Served:
    """A process that serves: `http` speaks to it."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        self.http = httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False)
        self.base = "/api/v1/libraries/library"

    def raw(self) -> socket.socket:
        host, port = self.address.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


@contextlib.contextmanager
def served(
    folder: Path,
    *flags: str,
    ctrl_c: Any = signal.default_int_handler,
    gate: socket.socket | None = None,
) -> Iterator[Served]:
    """Serves `<folder>/library`; the process is gone at the end, whatever happened.

    Args:
        folder: With the library.
        flags: More of them.
        ctrl_c: As for `started`.
        gate: The server's end of a `GatedEncoder`'s pipe; an ordinary one without it.
    """
    env = plugin_env(folder / "site", GATED if gate else COLOUR)
    env |= {"HELD_FD": str(gate.fileno())} if gate else {}
    command = [*RELOOK, "serve", "-l", str(folder / "library"), "--port", "0", "--no-open", *flags]
    with open(folder / "serve.log", "w") as log:
        process = started(
            command, ctrl_c=ctrl_c, env=env, stdout=subprocess.PIPE, stderr=log, text=True,
            pass_fds=(gate.fileno(),) if gate else (),
        )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        running = Served(process, address.removesuffix("/"))
        with running.http:
            yield running
    finally:
        process.kill()
        process.communicate()


def tiny_pictures(folder: Path, n: int) -> Path:
    """Small pictures that are all different, written fast."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(7).integers(0, 256, (n, 16, 16, 3), np.uint8)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:05}.png", compress_level=1)
    return folder


def tiny_library(folder: Path, n: int) -> Path:
    """A library of the first n pictures at `<folder>/library`."""
    with relook.Library(folder / "library", encoder=ColourEncoder()) as library:
        library.add(tiny_pictures(folder / "pictures", n))
    return folder
