"""The error tree is the one its docstring draws, and each error tells all it must."""

import pytest

from relook.core import errors
from relook.core.errors import RelookError


def _tree(base: type[RelookError]) -> list[type[RelookError]]:
    return [base, *(error for child in base.__subclasses__() for error in _tree(child))]


OURS = [error for error in _tree(RelookError) if error.__module__ == errors.__name__]


def test_all_names_are_exported_and_nothing_else() -> None:
    assert sorted([name for name in vars(errors) if name.endswith("Error")]) == sorted(
        error.__name__ for error in OURS
    )
    tree = {kind for kind in _tree(RelookError) if kind.__module__.startswith("relook.")}
    assert tree == set(OURS)


@pytest.mark.parametrize("error", OURS)
def test_every_error_tells_code_message_and_hint(error: type[RelookError]) -> None:
    raised = error("some_code", "what happened", "what to do")
    assert (raised.code, raised.message, raised.hint) == (
        "some_code",
        "what happened",
        "what to do",
    )
    assert str(raised) == "what happened (what to do)"
    assert str(error("some_code", "what happened")) == "what happened"
    expected = {"code": "some_code", "message": "what happened", "hint": "what to do"}
    assert raised.as_dict() == {"error": expected}


@pytest.mark.parametrize("error", OURS)
def test_every_error_stands_in_the_drawing_with_its_builtin_base(
    error: type[RelookError],
) -> None:
    drawn = [line for line in (errors.__doc__ or "").splitlines() if error.__name__ in line.split()]
    assert len(drawn) == 1
    for builtin in (ValueError, LookupError, OSError):
        assert (f"({builtin.__name__})" in drawn[0]) == (builtin in error.__bases__)
