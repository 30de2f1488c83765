"""Which right each route needs, and which of them the log names. Layer: server.

The one place that says so. A route that is not listed here is closed to everybody but the token;
a test walks every route of the app and fails for one that is missing.
"""

import re
from collections.abc import Mapping

from starlette.types import Scope

from relook.gateway.admission import API, Need
from relook.people.rights import Right

_OPEN, _SIGNED, _VIEW, _MARK, _INDEX = None, Right.NONE, Right.VIEW, Right.MARK, Right.INDEX
_LIBRARY = f"{API}/libraries/{{library_id}}"
_SESSION, _CONCEPT = _LIBRARY + "/sessions/{session_id}", _LIBRARY + "/concepts/{concept_id}"
_ALBUM, _IMAGE = _LIBRARY + "/albums/{album_id}", _LIBRARY + "/images/{image_id}"
_JUDGEMENT = _SESSION + "/judgements/{judgement_id}"
Row = tuple[Right | None, str, bool]


def _row(right: Right | None, what: str = "", *, of_album_link: bool = False) -> Row:
    return right, what, of_album_link


RIGHTS: Mapping[str, Mapping[str, Row]] = {
    # The page's own code, and what leads to a sign-in.
    "/": {"GET": _row(_OPEN)},
    "/static": {"GET": _row(_OPEN)},
    f"{API}/health": {"GET": _row(_OPEN)},
    f"{API}/sign-in": {"POST": _row(_OPEN)},
    f"{API}/invitations/accept": {"POST": _row(_OPEN)},
    # Of no library.
    f"{API}/me": {"GET": _row(_SIGNED)},
    f"{API}/sign-out": {"POST": _row(_SIGNED, "sign-out")},
    "/openapi.json": {"GET": _row(_SIGNED)},
    f"{API}/docs": {"GET": _row(_SIGNED)},
    f"{API}/version": {"GET": _row(_SIGNED)},
    f"{API}/events": {"GET": _row(_SIGNED)},
    f"{API}/strategies": {"GET": _row(_SIGNED)},
    f"{API}/libraries": {"GET": _row(_SIGNED)},  # lists those that may be seen
    # By a link to an album alone, whatever else somebody may.
    f"{API}/shared": {"GET": _row(_VIEW, of_album_link=True)},
    f"{API}/shared/images/{{image_id}}/thumbnail": {"GET": _row(_VIEW, of_album_link=True)},
    # To look.
    _LIBRARY: {"GET": _row(_VIEW)},
    _LIBRARY + "/skipped": {"GET": _row(_VIEW)},
    _LIBRARY + "/fields": {"GET": _row(_VIEW)},
    _LIBRARY + "/search": {"POST": _row(_VIEW)},
    _LIBRARY + "/search/picture": {"POST": _row(_VIEW)},
    _LIBRARY + "/pictures": {"POST": _row(_VIEW)},
    _LIBRARY + "/pictures/{picture_id}/thumbnail": {"GET": _row(_VIEW)},
    _LIBRARY + "/embeddings": {"POST": _row(_VIEW)},
    _LIBRARY + "/facets": {"POST": _row(_VIEW)},
    _LIBRARY + "/browse": {"POST": _row(_VIEW)},
    _LIBRARY + "/copies": {"GET": _row(_VIEW)},
    _LIBRARY + "/copies/list": {"GET": _row(_VIEW, "export")},
    _LIBRARY + "/copies/group": {"POST": _row(_VIEW)},
    _LIBRARY + "/selection": {"GET": _row(_VIEW, "export")},
    _IMAGE: {"GET": _row(_VIEW)},
    _IMAGE + "/file": {"GET": _row(_VIEW)},
    _IMAGE + "/thumbnail": {"GET": _row(_VIEW)},
    _IMAGE + "/heatmap": {"GET": _row(_VIEW)},
    _IMAGE + "/video": {"GET": _row(_VIEW)},
    # To mark. What deletes a whole session, concept or album may take others' work away.
    _LIBRARY + "/sessions": {"GET": _row(_VIEW), "POST": _row(_MARK)},
    _LIBRARY + "/sessions/import": {"POST": _row(_MARK)},
    _SESSION: {
        "GET": _row(_VIEW), "PATCH": _row(_MARK), "DELETE": _row(_INDEX, "delete session"),
    },
    _SESSION + "/export": {"GET": _row(_VIEW, "export")},
    _SESSION + "/events": {"GET": _row(_VIEW)},
    _SESSION + "/judgements": {"POST": _row(_MARK)},
    _SESSION + "/judgements/several": {"POST": _row(_MARK)},
    _JUDGEMENT: {"PATCH": _row(_MARK), "DELETE": _row(_MARK)},
    _JUDGEMENT + "/caption": {"POST": _row(_MARK)},
    _SESSION + "/undo": {"POST": _row(_MARK)},
    _SESSION + "/redo": {"POST": _row(_MARK)},
    _SESSION + "/rounds": {"POST": _row(_MARK)},
    _SESSION + "/rounds/{number}": {"GET": _row(_VIEW)},
    _SESSION + "/why/{image_id}": {"GET": _row(_VIEW)},
    _SESSION + "/estimate": {"GET": _row(_VIEW)},
    _SESSION + "/influence/{judgement_id}": {"GET": _row(_VIEW)},
    _LIBRARY + "/concepts": {"GET": _row(_VIEW), "POST": _row(_MARK)},
    _LIBRARY + "/concepts/import": {"POST": _row(_MARK)},
    _LIBRARY + "/concepts/merge": {"POST": _row(_MARK)},
    _CONCEPT: {
        "GET": _row(_VIEW), "PATCH": _row(_MARK), "DELETE": _row(_INDEX, "delete concept"),
    },
    _CONCEPT + "/album": {"GET": _row(_VIEW)},
    _CONCEPT + "/export": {"GET": _row(_VIEW, "export")},
    _LIBRARY + "/albums": {"GET": _row(_VIEW), "POST": _row(_MARK)},
    _ALBUM: {
        "GET": _row(_VIEW), "PATCH": _row(_MARK), "DELETE": _row(_INDEX, "delete album"),
    },
    # What others may see without signing in is said by who may change the library.
    _LIBRARY + "/links": {"GET": _row(_INDEX)},
    _LIBRARY + "/links/{name}": {"DELETE": _row(_INDEX, "end link")},
    _ALBUM + "/links": {"POST": _row(_INDEX, "make link")},
    _ALBUM + "/images": {"POST": _row(_MARK)},
    _ALBUM + "/images/remove": {"POST": _row(_MARK)},
    _ALBUM + "/restore": {"POST": _row(_MARK)},
    _ALBUM + "/export": {"GET": _row(_VIEW, "export")},
    # Asking takes a model's time and may send something; the library is named in the body.
    f"{API}/ask": {"GET": _row(_SIGNED), "POST": _row(_MARK)},
    f"{API}/ask/screenshots/{{name}}": {"GET": _row(_MARK)},
    f"{API}/ask/{{ask_id}}/report": {"GET": _row(_MARK, "export")},
    # To change what is indexed, and to see the folders of the server's machine.
    _LIBRARY + "/folders": {"GET": _row(_INDEX)},
    _IMAGE + "/show-in-folder": {"POST": _row(_INDEX)},
    _LIBRARY + "/index": {"POST": _row(_INDEX, "index")},
    _LIBRARY + "/uploads": {"POST": _row(_INDEX, "upload")},
    _LIBRARY + "/upgrade": {"GET": _row(_INDEX), "POST": _row(_INDEX, "upgrade")},
    # A job's library is known to its route.
    f"{API}/jobs/{{job_id}}": {"GET": _row(_VIEW)},
    f"{API}/jobs/{{job_id}}/events": {"GET": _row(_VIEW)},
    f"{API}/jobs/{{job_id}}/{{action}}": {"POST": _row(_INDEX, "job")},
}  # fmt: skip
"""Path -> method -> the right that it needs (None: open to everybody), its name in the log, and
whether a link to an album opens it, and nothing else does."""

_PATTERNS = [
    (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), rows)
    for path, rows in RIGHTS.items()
]
_STATIC = re.compile(r"/static/.*", re.DOTALL)


def need_of(scope: Scope) -> Need | None:
    """What a request needs; None where nothing is listed.

    Where several rows fit, the one that needs most counts.
    """
    path = "/static" if _STATIC.fullmatch(scope["path"]) else scope["path"]
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    needs = [
        Need(right, match.groupdict().get("library_id"), what, of_album_link)
        for pattern, rows in _PATTERNS
        if method in rows and (match := pattern.fullmatch(path))
        for right, what, of_album_link in [rows[method]]
    ]
    return max(needs, key=lambda need: -1 if need.right is None else need.right, default=None)
