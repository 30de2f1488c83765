"""The table of images: its columns, and filters on it as SQL. Layer: library.

A filter compares metadata and paths with patterns, whatever their case and Unicode form; a key
that ends in `>=`, `<=`, `>`, `<` or `!=` compares numbers and dates, and `place~` distances.
"""

import json
import math
import numbers
import re
import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date

from relook.core.errors import InputError, is_no
from relook.core.picture_paths import printable
from relook.library.records import FileFacts, ImageRecord

IMAGES = """
CREATE TABLE IF NOT EXISTS images (
    image_id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content BLOB NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    format TEXT NOT NULL,
    dhash INTEGER NOT NULL,
    first_row INTEGER NOT NULL UNIQUE,
    n_tiles INTEGER NOT NULL,
    tiling_id INTEGER NOT NULL REFERENCES tilings,
    title TEXT NOT NULL,
    caption TEXT NOT NULL,
    metadata TEXT NOT NULL,
    added_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS images_content ON images (content);
CREATE INDEX IF NOT EXISTS images_rows ON images (first_row, n_tiles);
CREATE TRIGGER IF NOT EXISTS images_gone AFTER DELETE ON images BEGIN
    INSERT INTO counters VALUES ('rewrites', 1)
        ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER IF NOT EXISTS images_moved AFTER UPDATE OF first_row, n_tiles ON images
WHEN old.first_row IS NOT new.first_row OR old.n_tiles IS NOT new.n_tiles BEGIN
    INSERT INTO counters VALUES ('rewrites', 1)
        ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER IF NOT EXISTS images_between AFTER INSERT ON images
WHEN new.first_row < (SELECT value FROM counters WHERE name = 'end_row') BEGIN
    INSERT INTO counters VALUES ('rewrites', 1)
        ON CONFLICT (name) DO UPDATE SET value = value + 1;
END;
"""
"""The table, as the catalog makes it, with triggers that count what changes rows of vectors."""
COLUMNS = (
    "path, size_bytes, mtime_ns, content, width_px, height_px, format, dhash,"
    " first_row, n_tiles, tiling_id, title, caption, metadata"
)
"""What the table keeps of a record."""
UNENCODED = "first_row < 0 AND first_row = -image_id AND n_tiles = 0"
"""Which images have no vectors, in SQL: an upgrade to another encoder could not read them."""


def column_values(record: ImageRecord) -> tuple[object, ...]:
    """A record in the order of the columns."""
    facts = record.facts
    metadata = json.dumps(record.metadata, ensure_ascii=False, default=str)
    return (
        facts.path, facts.size_bytes, facts.mtime_ns, record.content, record.width_px,
        record.height_px, record.format, record.dhash, record.first_row, record.n_tiles,
        record.tiling_id, record.title, record.caption, metadata,
    )  # fmt: skip


def read_columns(row: Sequence[object]) -> ImageRecord:
    """The record made of a row: the image's id, then the columns."""
    image_id, path, size_bytes, mtime_ns, *fields, metadata = row
    facts = FileFacts(path, size_bytes, mtime_ns)  # type: ignore[arg-type]
    extra = {} if metadata == "{}" else json.loads(str(metadata))
    assert isinstance(image_id, int)
    return ImageRecord(facts, *fields, extra, image_id)  # type: ignore[arg-type, call-arg]


NEAR = "place~"
"""The filter's key for distances; its value is "48.85,2.35,5km"."""
MAX_KEY, MAX_PATTERN = 100, 300
"""Characters of a filter's key and pattern; SQLite takes no pattern above 50,000 bytes."""
_MOST_FILTERS = 100  # SQLite's expressions are at most 1,000 deep
KEYWORDS = "keywords"
"""The field of which a filter may name one of several."""
_COLUMNS = ("title", "caption", "format")
_TIME = "taken_at"
_EARTH_KM = 6371.0
_OPERATOR = re.compile(r"(.+?)(>=|<=|!=|>|<)")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?")
_NUMBER = r"\s*([-+]?\d+(?:\.\d+)?)\s*"
_PLACE = re.compile(rf"{_NUMBER},{_NUMBER},\s*(\d+(?:\.\d+)?)\s*(km|m)\s*", re.IGNORECASE)
# When a picture was taken; libraries of older versions have "2019:07:14 12:30:00". Members of
# archives have no time of a file.
_TAKEN = (
    "CASE WHEN {field} GLOB '[0-9][0-9][0-9][0-9]:[0-9][0-9]:*'"
    " THEN replace(substr({field}, 1, 10), ':', '-') || 'T' || substr({field}, 12)"
    " WHEN {field} IS NOT NULL THEN {field} WHEN instr(path, CAST('!/' AS BLOB)) = 0"
    " THEN strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch') END"
)


def prepare(db: sqlite3.Connection) -> None:
    """Gives a connection the functions that filters call."""
    db.create_function("plain", 1, plain, deterministic=True)
    db.create_function("km_between", 4, _km_between, deterministic=True)


def matching_sql(where: Mapping[str, str], path: str | None) -> tuple[str, list[object]]:
    """A SELECT of the ids of the images that fit, sorted, and its values.

    Args:
        where: Metadata key -> pattern, see `Catalog.matching`.
        path: A pattern of the path.

    Raises:
        InputError: `bad_filter` for a key that cannot be one, for too many of them, and as
            `check_pattern` does.
    """
    if len(where) > _MOST_FILTERS:
        what = f"{len(where):,} fields are filtered by at once"
        raise InputError("bad_filter", what, f"at most {_MOST_FILTERS}")
    clauses, values = ["1"], list[object]()
    for key, value in where.items():
        name, operator = key_of(key)
        if len(key) > MAX_KEY:
            raise InputError("bad_filter", f"{key[:40]!r}… is too long for a metadata key")
        if not name.strip("<>=!") or '"' in name or "\0" in name or printable(name) != name:
            raise InputError("bad_filter", f"{key!r} is not a metadata key")
        check_pattern(value)
        if key == NEAR:
            clauses.append(_is_near(value, values))
            continue
        field = name
        if name not in _COLUMNS:
            values.append(f'$."{name}"')
            field = f"json_extract(metadata, ?{len(values)})"
        if operator:
            clauses.append(_compares(name, field, operator, value, values))
        else:
            clauses.append(_fits(field, value, values, one_of=name == KEYWORDS))
    if path is not None:
        check_pattern(path)
        clauses.append(_fits("path", whole_path(path), values))
    return f"SELECT image_id FROM images WHERE {' AND '.join(clauses)} ORDER BY image_id", values


def patterns_of(where: Mapping[str, object]) -> dict[str, str]:
    """A filter's patterns as text: what programs may give as a number or a date, too.

    Raises:
        InputError: `bad_filter` for a value that is neither text, a number nor a date.
    """
    patterns = {}
    if not isinstance(where, Mapping):
        hint = 'name fields and what they must be: {"city": "Os*"}'
        raise InputError("bad_filter", is_no(where, "filter"), hint)
    for key, value in where.items():
        if isinstance(value, bool) or not isinstance(value, str | numbers.Real | date):
            kind = type(value).__name__
            what = f"the filter {key!r} has a value that is no text, but {kind}"
            raise InputError("bad_filter", what, 'give text, a number or a date: {"rating>=": 4}')
        patterns[key] = value.isoformat() if isinstance(value, date) else str(value)
    return patterns


def key_of(key: str) -> tuple[str, str]:
    """The metadata key and the operator of a filter's key ("rating>="); no operator: a pattern."""
    if key == NEAR:
        return NEAR[:-1], NEAR[-1]
    match = _OPERATOR.fullmatch(key)
    return (match[1].strip(), match[2]) if match else (key, "")


def _compares(name: str, field: str, operator: str, value: str, values: list[object]) -> str:
    """A condition that a field compares so with a number or a date; other fields do not fit.

    A picture without a time of its own has the time of its file.

    Raises:
        InputError: `bad_filter` for a value that is neither.
    """
    text = value.strip()
    if operator == "!=":
        return f"NOT coalesce({_fits(field, text, values, one_of=name == KEYWORDS)}, 0)"
    if name == _TIME:
        if not _DATE.fullmatch(text):
            raise InputError(
                "bad_filter",
                f"{value!r} is not a date",
                "write 2019, 2019-07, 2019-07-14 or with T12:30",
            )
        values.append(text + ("\uffff" if operator in ("<=", ">") else ""))
        return f"{_TAKEN.format(field=field)} {operator} ?{len(values)}"
    number = _number(text)
    if number is None:
        raise InputError("bad_filter", f"{value!r} is no number", f"as in {name}{operator}4")
    values.append(number)
    kind = f"(typeof({field}) IN ('integer', 'real') OR CAST({field} AS TEXT) GLOB '[-0-9]*')"
    return f"({kind} AND CAST({field} AS REAL) {operator} ?{len(values)})"


def _is_near(value: str, values: list[object]) -> str:
    """A condition that a picture was taken near a place.

    Raises:
        InputError: `bad_filter` for a value that is none.
    """
    values += place_of_filter(value)
    at = len(values)
    latitude, longitude = (
        f"json_extract(metadata, '$.{key}')" for key in ("latitude", "longitude")
    )
    return f"km_between({latitude}, {longitude}, ?{at - 2}, ?{at - 1}) <= ?{at}"


def place_of_filter(value: str) -> tuple[float, float, float]:
    """Latitude and longitude in degrees, and a distance in km, of "48.85,2.35,5km".

    Raises:
        InputError: `bad_filter` for a value that is none.
    """
    match = _PLACE.fullmatch(value)
    north, east = (float(match[1]), float(match[2])) if match else (math.inf, math.inf)
    if match is None or abs(north) > 90 or abs(east) > 180:
        raise InputError(
            "bad_filter", f"{value!r} is not a place", 'as in "48.85,2.35,5km": degrees, distance'
        )
    return north, east, float(match[3]) * (1.0 if match[4].lower() == "km" else 0.001)


def _km_between(north: object, east: object, to_north: float, to_east: float) -> float | None:
    """Kilometres between two places on a sphere; None where one of them is none.

    Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).
    """
    if not isinstance(north, int | float) or not isinstance(east, int | float):
        return None
    a, b = math.radians(north), math.radians(to_north)
    half_east = math.radians(to_east - east) / 2
    square = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(half_east) ** 2
    return 2 * _EARTH_KM * math.asin(min(math.sqrt(square), 1.0))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def check_pattern(pattern: str) -> None:
    """Refuses what is too long to compare, and a NUL: SQLite ignores whatever stands behind it.

    Raises:
        InputError: `bad_filter`.
    """
    if len(pattern) > MAX_PATTERN:
        raise InputError(
            "bad_filter",
            f"a filter has {len(pattern):,} characters: {pattern[:40]!r}…",
            f"at most {MAX_PATTERN}; a part with a * before and behind it will do",
        )
    if "\0" in pattern:
        raise InputError("bad_filter", f"{pattern!r} has a NUL in it", "no name or path has one")


def whole_path(pattern: str) -> str:
    """A pattern of the whole path: without a `*` it may stand anywhere in it."""
    return pattern if "*" in pattern else f"*{pattern}*"


def plain(value: object) -> str | None:
    """A value as filters compare it: composed text in lower case, odd bytes as U+FFFD."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None:
        return None
    text = str(value)
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).lower()


def _fits(field: str, pattern: str, values: list[object], *, one_of: bool = False) -> str:
    """A condition that a field fits a pattern; appends the pattern to the values.

    With `one_of` it may also be that one of several fits, parted by commas or in a JSON list.

    Calling `plain` for a million images takes a second. For plain ASCII (as many bytes as
    letters) SQLite's LIKE gives the same answer in a fifth of that time.
    """
    if one_of:
        several = ((f"(', ' || {field} || ', ')", f"*, {pattern}, *"), (field, f'[*"{pattern}"*]'))
        each = [_fits(field, pattern, values), *(_fits(f, text, values) for f, text in several)]
        return f"({' OR '.join(each)})"
    text = str(plain(printable(pattern)))
    escaped = re.sub(r"([\\%_])", r"\\\1", text).replace("*", "%").replace("?", "_")
    values += [escaped, text.replace("[", "[[]")]  # of LIKE, and of GLOB
    like, glob = len(values) - 1, len(values)
    return (
        f"CASE WHEN typeof({field}) <> 'real'"
        f" AND length(CAST({field} AS BLOB)) = length(CAST({field} AS TEXT))"
        f" THEN CAST({field} AS TEXT) LIKE ?{like} ESCAPE '\\'"
        f" ELSE plain({field}) GLOB ?{glob} END"
    )
