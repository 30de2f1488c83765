"""Adding images whose vectors are known to a library. Layer: exchange."""

from __future__ import annotations

from collections.abc import Sequence

from relook.library.commit import Committer, Entry

__all__ = ["Entry", "NewImages"]


class NewImages(Committer):
    """Writes images into a library. The caller holds the writer's lock.

    Args:
        files: The open library.
        boxes: The tiles of an image, as many as its entry has vectors.
    """

    def known(self, paths: Sequence[bytes]) -> set[bytes]:
        """Those of some paths that are images already."""
        marks = ",".join("?" * len(paths))
        rows = self._catalog.ask(f"SELECT path FROM images WHERE path IN ({marks})", paths)
        return {row[0] for row in rows}  # type: ignore[misc]
