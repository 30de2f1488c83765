"""Found, nothing found, blocked, failed and not asked are told apart, everywhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from ask_parts import local as subject
from cli_ask_parts import Run, run

from relook.answerers.evidence_only import EvidenceOnlyAnswerer
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.rag.asker import Asker
from relook.rag.batch import Question, run_batch
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence, LookedUp
from relook.rag.lookup import Gatherer

_MATCH = Match("x", MatchKind.SIMILAR, "A bus")
_ENDS = {
    Outcome.BLOCKED: LookedUp.BLOCKED,
    Outcome.CONSENT_PAGE: LookedUp.BLOCKED,
    Outcome.NOT_ALLOWED: LookedUp.NOT_ASKED,
    Outcome.OVER_BUDGET: LookedUp.NOT_ASKED,
    Outcome.UNSUPPORTED: LookedUp.NOT_ASKED,
    Outcome.NOTHING: LookedUp.NOTHING,
}
__all__ = ["run"]  # the fixture
CODES = {"found": 0, "nothing": 4, "blocked": 5, "not_asked": 6, "failed": 1}


class Service:
    """Answers as it is told, elsewhere."""

    name, remote, takes_files, cost_usd, variant = "service", True, True, 0.0, ""

    def __init__(self, outcome: Outcome, *sent: Sent) -> None:
        self._result = ProviderResult(self.name, outcome, sent=sent)

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        return self._result

    def close(self) -> None:
        pass


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.FOUND])
def test_one_provider_says_how_looking_up_ended(outcome: Outcome) -> None:
    evidence = Evidence(results=(ProviderResult("x", outcome),))
    assert evidence.outcome is _ENDS.get(outcome, LookedUp.FAILED)
    assert evidence.as_dict()["outcome"] == evidence.outcome.value
    assert Evidence.from_dict(evidence.as_dict()).outcome is evidence.outcome


def test_one_that_looked_counts_more_than_those_that_did_not() -> None:
    blocked, nothing = ProviderResult("a", Outcome.BLOCKED), ProviderResult("b", Outcome.NOTHING)
    assert Evidence(results=(blocked, nothing)).outcome is LookedUp.NOTHING
    assert Evidence(results=(ProviderResult("c", Outcome.BAD_KEY), blocked)).outcome == "blocked"
    assert Evidence().outcome is LookedUp.NOT_ASKED


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_script_tells_them_apart_by_the_exit_code(
    run: Run, tmp_path: Path, outcome: Outcome
) -> None:
    result: dict[str, Any] = {"provider": "x", "outcome": outcome.value, "matches": []}
    if outcome is Outcome.FOUND:
        result["matches"] = [_MATCH.as_dict()]
    values = {"items": [], "providers": [result]}
    if outcome is Outcome.FOUND:
        values["items"] = [{"number": 1, **_MATCH.as_dict()}]
    (tmp_path / "e.json").write_text(json.dumps({"evidence": values}))
    code, out, _ = run("ask", "asked.png", "What?", "--evidence", str(tmp_path / "e.json"))
    looked_up = "found" if outcome is Outcome.FOUND else _ENDS.get(outcome, "failed")
    assert code == CODES[str(looked_up)]
    assert ("nothing was found" in out) is (outcome is Outcome.NOTHING)


@pytest.mark.parametrize(
    ("outcome", "sent", "remembered"),
    [
        (Outcome.NOTHING, True, True),
        (Outcome.BAD_KEY, True, False),
        (Outcome.FAILED, False, False),
        (Outcome.BLOCKED, True, False),
    ],
)
def test_consent_is_remembered_after_a_send_that_was_answered(
    tmp_path: Path, outcome: Outcome, sent: bool, remembered: bool
) -> None:
    file = tmp_path / "consent.json"
    consent = Consent(file, once=["service"], remember=["service"])
    what = [Sent("service.example", 10, "the picture")] if sent else []
    gatherer = Gatherer({"service": Service(outcome, *what)}, consent=consent)
    evidence = gatherer.gather(subject())
    assert ("service" in Consent(file).given()) is remembered
    told = " ".join(evidence.notes)
    assert ("relook consent --revoke service" in told) is remembered
    again = " ".join(gatherer.gather(subject()).notes)
    assert "consent" not in again  # it is told once, or there is nothing to tell


def test_a_question_whose_look_ups_failed_is_no_answer_of_a_batch(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "consent.json", once=["service"])
    service = Gatherer({"service": Service(Outcome.BAD_KEY)}, consent=consent)
    asker = Asker(EvidenceOnlyAnswerer(), service)
    done = run_batch(asker, [Question("1", "p", "?")], tmp_path / "out", lambda _: subject())
    assert (done.n_answered, [failed.code for failed in done.failed]) == (0, ["not_looked_up"])
