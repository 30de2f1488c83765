"""What the tests of sessions share."""

import relook
from relook.core.types import Box
from relook.search.session import Session

CORNER = Box(0.0, 0.0, 0.5, 0.5)


def ids(page: relook.Page) -> list[int]:
    return [hit.image_id for hit in page]


def id_of(library: relook.Library, name: str) -> int:
    return next(r.image_id for r in library.files.catalog.each_image() if r.path.name == name)


def make_session(library: relook.Library) -> Session:
    session = library.look("red", limit=3, name="to share")
    session.judge(2, relevant=True, box=CORNER, caption="blue", weight=2.0)
    session.judge(4, relevant=False)
    session.again("rocchio", limit=2)
    session.go(0)
    session.again("probe", limit=2)
    return session
