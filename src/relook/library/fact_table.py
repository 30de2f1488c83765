"""What is known of pictures, in columns with types: kept by triggers beside the table of images.

A filter by time, place, camera, lens, rating, folder or orientation reads these columns
(`library.fact_columns`) and no JSON. Triggers make a row whenever an image is written, by
whatever version of Relook; `change` grows, so that a reader takes in what is new. Layer: library.
"""

import sqlite3
from collections.abc import Callable

_DAY = "[0-9][0-9]"
_YEAR = f"{_DAY}{_DAY}"
_RULES = 1
"""Version of how rows are made; a catalog with rows of another one gets them all anew."""

_METADATA = "(CASE WHEN json_valid({new}.metadata) THEN {new}.metadata ELSE '{{}}' END)"
_PATH = "CAST({new}.path AS TEXT)"
# Digits of the parts may stand apart by colons, as EXIF has them and older versions kept them.
_TIME = (
    "(SELECT CASE WHEN raw GLOB '{year}:{day}*'"
    " THEN replace(substr(raw, 1, 10), ':', '-') || substr(raw, 11) ELSE raw END AS iso FROM"
    " (SELECT CAST(json_extract({metadata}, '$.taken_at') AS TEXT) AS raw))"
)
_TAKEN_S = (
    "(SELECT CAST(CASE WHEN iso GLOB '{year}-{day}-{day}*'"
    " THEN coalesce(strftime('%s', substr(iso, 1, 19)), strftime('%s', substr(iso, 1, 16)),"
    " strftime('%s', substr(iso, 1, 10)))"
    " WHEN iso GLOB '{year}-{day}' THEN strftime('%s', iso || '-01')"
    " WHEN iso GLOB '{year}' THEN strftime('%s', iso || '-01-01') END AS INTEGER) FROM {time})"
)
# Members of archives have no time of a file.
_FILE_S = "CASE WHEN instr({new}.path, CAST('!/' AS BLOB)) = 0 THEN {new}.mtime_ns / 1000000000 END"
_NUMBER = (
    "(SELECT CASE WHEN typeof(v) IN ('integer', 'real') OR CAST(v AS TEXT) GLOB '[-0-9]*'"
    " THEN CAST(v AS REAL) END FROM (SELECT json_extract({metadata}, '$.{key}') AS v))"
)
_DEGREES = (
    "(SELECT CASE WHEN typeof(v) IN ('integer', 'real') AND v BETWEEN -{most} AND {most}"
    " THEN CAST(v AS REAL) END FROM (SELECT json_extract({metadata}, '$.{key}') AS v))"
)
_NAMES = {
    "camera": "CASE WHEN coalesce(json_extract({metadata}, '$.camera_make'),"
    " json_extract({metadata}, '$.camera')) IS NOT NULL"
    " THEN coalesce(json_extract({metadata}, '$.camera_make'), '') || char(10)"
    " || coalesce(json_extract({metadata}, '$.camera'), '') END",
    "lens": "json_extract({metadata}, '$.lens')",
    "folder": "rtrim({path}, replace(replace({path}, '/', ''), '\\', ''))",
}
# Wide, upright, square: within a hundredth.
_SHAPE = (
    "CASE WHEN {new}.width_px * 100 > {new}.height_px * 101 THEN 1"
    " WHEN {new}.height_px * 100 > {new}.width_px * 101 THEN 2 ELSE 3 END"
)


def _sql(template: str, new: str, **more: object) -> str:
    """A template of an expression over a row that is called so."""
    metadata, path = _METADATA.format(new=new), _PATH.format(new=new)
    parts = {"new": new, "metadata": metadata, "path": path, "year": _YEAR, "day": _DAY}
    time = _TIME.format(**parts)
    return template.format(**parts, time=time, **more)


def _put(new: str, rows: str = "") -> str:
    """Statements that make the row of an image.

    Args:
        new: The name of the row of `images`.
        rows: A FROM with a WHERE; nothing inside a trigger.
    """
    names = {key: f"CAST({_sql(name, new)} AS BLOB)" for key, name in _NAMES.items()}
    every = " UNION ".join(f"SELECT {name} AS name {rows}" for name in names.values())
    ids = {
        key: f"(SELECT name_id FROM names WHERE names.name = {name})"
        for key, name in names.items()
    }  # fmt: skip
    taken = _sql(_TAKEN_S, new)
    return f"""
    INSERT INTO names (name) SELECT made.name FROM ({every}) AS made WHERE made.name IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM names AS known WHERE known.name = made.name);
    INSERT INTO facts SELECT {new}.image_id,
        (SELECT value FROM counters WHERE name = 'fact_changes'),
        coalesce({taken}, {_sql(_FILE_S, new)}), {taken} IS NOT NULL,
        {_sql(_NUMBER, new, key="rating")}, {_sql(_DEGREES, new, key="latitude", most=90)},
        {_sql(_DEGREES, new, key="longitude", most=180)},
        {ids["camera"]}, {ids["lens"]}, {ids["folder"]}, {_sql(_SHAPE, new)} {rows};
    """


_COUNT = (
    "INSERT INTO counters VALUES ('fact_changes', 1)"
    " ON CONFLICT (name) DO UPDATE SET value = value + 1;"
)
FACTS = f"""
CREATE TABLE IF NOT EXISTS names (name_id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS facts (
    image_id INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    taken_s INTEGER,
    is_own INTEGER NOT NULL,
    rating REAL,
    latitude REAL,
    longitude REAL,
    camera INTEGER,
    lens INTEGER,
    folder INTEGER,
    shape INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS facts_change ON facts (change);
CREATE TRIGGER IF NOT EXISTS facts_new AFTER INSERT ON images BEGIN
    {_COUNT}
    DELETE FROM facts WHERE image_id = new.image_id;
    {_put("new")}
END;
CREATE TRIGGER IF NOT EXISTS facts_changed
AFTER UPDATE OF path, mtime_ns, width_px, height_px, metadata ON images BEGIN
    {_COUNT}
    DELETE FROM facts WHERE image_id = new.image_id;
    {_put("new")}
END;
CREATE TRIGGER IF NOT EXISTS facts_gone AFTER DELETE ON images BEGIN
    DELETE FROM facts WHERE image_id = old.image_id;
END;
"""
"""Tables and triggers, as the catalog makes them; `taken_s` is of the clock on the wall."""


def fill_facts(db: sqlite3.Connection) -> None:
    """Makes the rows that are missing: of images that an older version wrote. In a transaction."""
    db.execute(_COUNT)
    lacking = "FROM images WHERE image_id NOT IN (SELECT image_id FROM facts)"
    for statement in _put("images", lacking).split(";\n"):
        if statement.strip():
            db.execute(statement)


def has_facts(counter: Callable[[str], int]) -> bool:
    """Whether a catalog has a row of facts for each of its images; older ones have none.

    Args:
        counter: Gives a counter of the catalog.
    """
    return counter("fact_rules") == _RULES


def make_facts(db: sqlite3.Connection) -> None:
    """Gives an older catalog the facts of its images. Inside a transaction."""
    db.execute("DELETE FROM facts")
    fill_facts(db)
    db.execute("INSERT OR REPLACE INTO counters VALUES ('fact_rules', ?)", (_RULES,))
