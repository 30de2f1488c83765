"""A Milvus server that may be killed, for benchmarks in which things break."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

from relook.cluster.milvus_client import Milvus, MilvusAddress
from relook.core.errors import StoreError


class MilvusProcess:
    """Milvus, which may be killed.

    Args:
        command: Starts it.
        folder: Its data.
    """

    def __init__(self, command: str, folder: Path) -> None:
        self._command, self._folder, self.port = command, folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it; returns the seconds until it takes requests."""
        began = time.monotonic()
        words = shlex.split(self._command.format(folder=self._folder, port=self.port))
        self._process = subprocess.Popen(
            words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        milvus = Milvus(MilvusAddress.parse(f"milvus://127.0.0.1:{self.port}/nothing"))
        while True:
            try:
                milvus.has("nothing")
                milvus.close()
                return time.monotonic() - began
            except StoreError:
                if self._process.poll() is not None or time.monotonic() - began > 600:
                    raise
                time.sleep(0.2)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
