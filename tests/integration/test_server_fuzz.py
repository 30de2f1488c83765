"""The API is fuzzed from its own OpenAPI document: no answer is a fault, each is as documented.

Every route gets a share of the examples. What exists on the server (a library, an image, a
session, a round, a judgement, a job, a picture) takes the place of most ids that are made up,
so that the examples reach past "there is no such thing".
"""

import io
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from patient_relook import PATIENCE_S
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_parts import Running, error_of, serving, small_library

from relook.testing import noise

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
N_EXAMPLES = int(os.environ.get("RELOOK_FUZZ_EXAMPLES", "12"))
ENDLESS = "/events"  # streams are tested where they are read


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fuzz")
    with serving(small_library(folder), cache=folder / "cache") as running:
        yield running


@pytest.fixture(scope="module")
def real(server: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What there is, by the names that addresses have for it."""
    client = server.client
    session_id = client.begin("library", "red")["session_id"]
    client.again("library", session_id)
    one = client.judge("library", session_id, 1, True, box=[0, 0, 0.5, 0.5])
    data = io.BytesIO()
    noise(1).save(data, "PNG")
    picture = tmp_path_factory.mktemp("fuzz") / "a.png"
    picture.write_bytes(data.getvalue())
    job_id = client.index("library")["job_id"]
    list(client.progress(job_id))
    return {
        "library_id": "library", "image_id": "1", "session_id": session_id, "number": "1",
        "judgement_id": str(one["judgement_id"]), "job_id": job_id,
        "picture_id": client.add_picture("library", picture)["picture_id"],
    }  # fmt: skip


def test_every_answer_is_as_documented_and_none_is_a_fault(
    server: Running, real: dict[str, str]
) -> None:
    schema = schemathesis.openapi.from_url(server.address + "/openapi.json", timeout=PATIENCE_S)
    seen = 0
    wrong: list[Exception] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(ENDLESS):
            continue
        try:
            _fuzz(operation, real)
        except Exception as error:  # the other routes are looked at as well
            wrong.append(error)
        seen += 1
    if wrong:
        raise ExceptionGroup("some answers are not as documented", wrong)
    assert seen >= 30


def _fuzz(operation: Any, real: dict[str, str]) -> None:
    @hypothesis.settings(
        max_examples=N_EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(), made_up=strategies.sampled_from([0, 0, 0, 1]))
    def run(case: Any, made_up: int) -> None:
        removes = case.method == "DELETE"  # what is real is needed again
        if not made_up and not removes:
            case.path_parameters = {**case.path_parameters, **_of(case.path_parameters, real)}
        response = case.call(timeout=PATIENCE_S)
        checks = list(CHECKS)
        if response.status_code == 503 and error_of(response)[1] == "too_busy":
            checks.remove(not_a_server_error)  # more jobs than wait: an answer, no fault
        case.validate_response(response, checks=checks)

    run()


def _of(wanted: dict[str, Any], real: dict[str, str]) -> dict[str, str]:
    return {name: real[name] for name in wanted if name in real}
