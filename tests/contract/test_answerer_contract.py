"""Every answerer passes the answerer suite, and the suite rejects answerers that are broken."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relook.answerers import Finish, Prompt, Reply, Tell
from relook.answerers.evidence_only import EvidenceOnlyAnswerer
from relook.answerers.local import LocalAnswerer
from relook.core.settings import ModelSettings
from relook.testing import ContractError, check_answerer
from relook.testing.checkpoints import tiny_llava


def test_evidence_only_keeps_its_promises() -> None:
    check_answerer(EvidenceOnlyAnswerer())


def test_a_local_model_keeps_its_promises(tmp_path: Path) -> None:
    model = str(tiny_llava(tmp_path / "llava"))
    check_answerer(LocalAnswerer(model, ModelSettings(max_tokens=6)))


class Good:
    """Keeps every promise; each broken one below breaks one."""

    name, model, host, third_party = "good", "m", "", False

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        if tell:
            tell("text", "Red.")
        return Reply("Red.", Finish.DONE, "m", took_s=0.1, first_s=0.05)

    def close(self) -> None:
        pass


def broken(change: Callable[[Reply], Reply]) -> Good:
    class Broken(Good):
        def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
            return change(super().reply(prompt, tell))

    return Broken()


class Nameless(Good):
    name = ""


class Nowhere(Good):
    third_party = True


class Chatty(Good):
    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        if tell:
            tell("progress", "50%")
        return super().reply(prompt, tell)


BROKEN = {
    "nameless": Nameless(),
    "third party without a host": Nowhere(),
    "hears of other things": Chatty(),
    "another text than was told": broken(lambda reply: replace(reply, text="Blue.")),
    "blanks": broken(lambda reply: replace(reply, text=" Red.\n")),
    "no model": broken(lambda reply: replace(reply, model="")),
    "first after last": broken(lambda reply: replace(reply, first_s=1.0)),
    "an end of its own": broken(lambda reply: replace(reply, finish="over")),  # type: ignore[arg-type]
    "a string": broken(lambda reply: reply.text),  # type: ignore[arg-type, return-value]
}


def test_the_suite_passes_what_is_right() -> None:
    check_answerer(Good())


@pytest.mark.parametrize("name", BROKEN)
def test_the_suite_rejects(name: str) -> None:
    with pytest.raises(ContractError):
        check_answerer(BROKEN[name])
