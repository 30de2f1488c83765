"""Which images a transaction of the catalog changed. Layer: library.

SQLite itself keeps the list, by triggers, so that no code which changes images has to know
that somebody is interested.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from relook.library.catalog import Catalog

__all__ = ["Touched", "Touches"]

Rows = tuple[int, int]
_TRIGGERS = """
CREATE TEMP TABLE IF NOT EXISTS touched (image_id INTEGER, first_row INTEGER, n_tiles INTEGER);
CREATE TEMP TRIGGER IF NOT EXISTS touched_put AFTER INSERT ON main.images
    BEGIN INSERT INTO touched VALUES (NEW.image_id, NULL, NULL); END;
CREATE TEMP TRIGGER IF NOT EXISTS touched_set AFTER UPDATE ON main.images
    BEGIN INSERT INTO touched VALUES (NEW.image_id, OLD.first_row, OLD.n_tiles); END;
CREATE TEMP TRIGGER IF NOT EXISTS touched_gone AFTER DELETE ON main.images
    BEGIN INSERT INTO touched VALUES (OLD.image_id, OLD.first_row, OLD.n_tiles); END;
"""


@dataclass(frozen=True, slots=True)
class Touches:
    """What one transaction did so far.

    Args:
        image_ids: Images that were added, changed or removed.
        rows: (first row, number of tiles) that images had before.
    """

    image_ids: list[int]
    rows: set[Rows]


class Touched:
    """Listens to the open connection of a catalog.

    Args:
        catalog: A writable one.
    """

    def __init__(self, catalog: Catalog) -> None:
        catalog.listen(_TRIGGERS)

    def take(self, db: sqlite3.Connection) -> Touches:
        """What was changed since the transaction began, or since it was last asked."""
        found = db.execute("SELECT image_id, first_row, n_tiles FROM touched").fetchall()
        if found:
            db.execute("DELETE FROM touched")
        ids = dict.fromkeys(int(row[0]) for row in found)
        return Touches(list(ids), {(row[1], row[2]) for row in found if row[1] is not None})
