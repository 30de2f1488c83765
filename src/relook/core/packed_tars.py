"""Random access to tar files that gzip has packed. Layer: core.

Gzip knows no places in it; indexed_gzip (in the extra `formats`) keeps some while it unpacks the
file once, from which any member is reached.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

from relook.core.archives import ArchiveError
from relook.core.decoders import decoder

__all__ = ["PackedTar", "is_packed", "packed_tar"]

_SUFFIXES = (b".tgz", b".tar.gz")
_KEPT = 4  # open files, each with an index of about a hundredth of its size
_PART = 16 * 1024**2
_MOST_TIMES = 200  # its own size that a file may unpack to; a bomb has a thousand times
_ALWAYS = 1024**3


def is_packed(path: bytes) -> bool:
    """Whether the name is that of a tar packed by gzip."""
    return path.lower().endswith(_SUFFIXES)


class PackedTar:
    """An open file, for several threads.

    Args:
        path: The file.
        n_bytes: Its size.

    Raises:
        ImageError: `no_decoder`; ArchiveError: it is damaged, or a bomb; OSError.
    """

    def __init__(self, path: bytes, n_bytes: int) -> None:
        package = decoder("packed_tar")
        self._lock = threading.Lock()
        self.file: Any = package.IndexedGzipFile(filename=os.fsdecode(path))
        try:
            n_unpacked = 0
            while part := self.file.read(_PART):
                n_unpacked += len(part)
                if n_unpacked > _ALWAYS + _MOST_TIMES * n_bytes:
                    raise ArchiveError(f"it unpacks to more than {_MOST_TIMES} times its size")
            self.file.seek(0)
        except ArchiveError:
            raise
        # Readers of hostile bytes fail with nearly any exception: this is the per-archive edge.
        except Exception as error:
            raise ArchiveError(f"it is damaged: {error}") from error

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Unpacked bytes; fewer only at the end."""
        with self._lock:
            self.file.seek(offset)
            return bytes(self.file.read(n_bytes))


@functools.lru_cache(maxsize=_KEPT)
def packed_tar(path: bytes, n_bytes: int, _stamp: int) -> PackedTar:
    """The open file of a path; another one when it has changed."""
    return PackedTar(path, n_bytes)
