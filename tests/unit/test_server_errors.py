"""Every error has a status of its own in the one table, and one shape."""

import json

import pytest

from relook.core.errors import ImageError, OverloadError, RelookError, TokenError
from relook.gateway.error_answers import STATUS, answer, internal


def _tree(base: type[RelookError]) -> list[type[RelookError]]:
    return [base, *(error for child in base.__subclasses__() for error in _tree(child))]


OURS = [error for error in _tree(RelookError) if error.__module__ == "relook.core.errors"]


@pytest.mark.parametrize("error", OURS)
def test_every_error_is_in_the_table(error: type[RelookError]) -> None:
    assert error in STATUS
    told = answer(error("a_code", "what happened", "what to do"))
    assert told.status_code == STATUS[error]
    expected = {"code": "a_code", "message": "what happened", "hint": "what to do"}
    assert json.loads(told.body) == {"error": expected}


def test_the_table_names_nothing_else() -> None:
    assert set(STATUS) == set(OURS)


def test_an_error_of_somebody_elses_counts_as_its_nearest_known_parent() -> None:
    class TheirError(ImageError):
        pass

    assert answer(TheirError("a", "b")).status_code == 422


def test_some_answers_say_what_to_do_in_their_headers() -> None:
    assert answer(OverloadError("a", "b")).headers["retry-after"] == "2"
    assert answer(TokenError("a", "b")).headers["www-authenticate"] == 'Bearer realm="relook"'


def test_a_fault_of_ours_tells_nothing_of_itself() -> None:
    told = internal(ValueError("secret"))
    assert told.status_code == 500
    assert b"secret" not in told.body


def test_odd_bytes_of_a_file_name_do_not_break_the_answer() -> None:
    told = answer(RelookError("a", "no \udcff.png"))
    assert json.loads(told.body)["error"]["message"] == "no \ufffd.png"
