"""Starts Milvus standalone from the package `milvus` (2.3.5: the last whose wheels PyPI has).

    python -m venv V; V/bin/pip install --no-deps milvus==2.3.5
    V/bin/python benchmarks/milvus_standalone.py FOLDER PORT

It listens on every address: start it in a network namespace of its own.
"""

import os
import socket
import sys


def main() -> None:
    """Starts it, and ends when it does."""
    from milvus import MilvusServer, MilvusServerConfig  # not in this project's environment

    class Config(MilvusServerConfig):  # type: ignore[misc]
        """Takes a port at once again, after a kill."""

        def try_bind_port(self, port: int) -> socket.socket | None:
            """A socket that has it, or None."""
            probe = socket.socket()
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return None
            return probe

    folder, port = sys.argv[1:]
    server = MilvusServer(Config(data_dir=folder, proxy_port=int(port)))
    server.start()
    server.server_proc.wait()
    os._exit(1)  # what it would still stop is gone


if __name__ == "__main__":
    main()
