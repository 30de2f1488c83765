"""The service of questions: what may be asked with, who agreed, and what is remembered."""

from pathlib import Path

import pytest
from PIL import Image

from relook.app.asking import Asking
from relook.app.models import make_captioner
from relook.captioners import CAPTIONERS
from relook.core.errors import AccessError, InputError, NotFoundError
from relook.core.registry import Adapter
from relook.core.settings import CaptionerSettings, PromptSettings
from relook.providers import Subject
from relook.rag.answer import Answer, Written
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence
from relook.serving.questions import Question, Questions, Uploads
from relook.testing import ColourCaptioner
from relook.testing.web_server import picture_bytes


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RELOOK_CACHE", str(tmp_path / "cache"))


def test_overrides_replace_settings_and_none_leaves_them() -> None:
    asking = Asking().with_(ask={"when": "auto", "form": None}, gather={"timeout_s": 5.0})
    assert (asking.ask.when, asking.ask.form, asking.gather.timeout_s) == ("auto", "text", 5.0)
    assert Asking().ask.when == "always"


def test_a_contact_sheet_has_small_pictures_whatever_the_settings_say() -> None:
    assert Asking().with_(ask={"form": "sheet"}).shown_evidence.thumbnails
    assert not Asking().shown_evidence.thumbnails


def test_a_library_is_needed_when_a_provider_says_so_and_is_asked() -> None:
    assert Asking().needs_library
    assert not Asking().with_(ask={"when": "never"}).needs_library
    assert not Asking().with_(ask={"providers": ("replay:a.jsonl",)}).needs_library


def test_only_what_is_offered_may_be_named() -> None:
    questions = Questions(models=["hf:a"], providers=[])
    assert (questions.models, questions.providers) == (("evidence-only", "hf:a"), ("library",))
    for question in (Question(model="gpt-4o"), Question(providers=["serpapi"])):
        with pytest.raises(AccessError) as raised:
            questions.configured(question)
        assert raised.value.code == "not_offered"
    assert questions.configured(Question(model="hf:a")).ask.model == "hf:a"
    assert Questions().configured(Question(model="gpt-4o")).ask.model == "gpt-4o"


def test_a_question_agrees_for_itself_only_where_it_may() -> None:
    agrees = Question(allow_upload=True)
    Questions(uploads=Uploads.QUESTION).configured(agrees)
    for uploads in (Uploads.PERSON, Uploads.NOBODY):
        with pytest.raises(AccessError) as raised:
            Questions(uploads=uploads).configured(agrees)
        assert raised.value.code == "no_consent_here"


def test_where_nobody_agrees_no_earlier_agreement_counts_and_no_page_is_read() -> None:
    Consent().allow("serpapi")
    asking = Asking().with_(ask={"providers": ()}, evidence={"pages": 3})
    with Questions(asking, Uploads.NOBODY).asker() as asker:
        assert not asker.consent.allows("serpapi")
        assert asker.gatherer is not None
        assert asker.gatherer.evidence_settings.pages == 0
    with Questions(asking.with_(evidence={"pages": 0})).asker() as asker:
        assert asker.consent.allows("serpapi")


def test_choices_say_what_sends_something_elsewhere() -> None:
    questions = Questions(providers=["replay:a.jsonl", "serpapi", "nonsense"], models=["hf:a"])
    choices = questions.choices()
    remote = {choice.name: choice.remote for choice in choices.providers}
    assert remote == {"library": False, "replay:a.jsonl": False, "serpapi": True}
    assert choices.hosts == {}


def test_the_newest_questions_are_remembered() -> None:
    questions = Questions()
    subject = Subject.of(picture_bytes())
    ids = [questions.keep(subject, Answer("", Written(""), Evidence())) for _ in range(40)]
    assert questions.kept(ids[-1]).subject is subject
    with pytest.raises(NotFoundError) as raised:
        questions.kept(ids[0])
    assert raised.value.code == "no_ask"


class Speaker(ColourCaptioner):
    """A captioner of a plugin that keeps how it was opened."""

    takes_prompt = True
    opened: tuple[object, ...] = ()

    @classmethod
    def open(cls, spec: str, settings: CaptionerSettings, prompt: str = "") -> "Speaker":
        cls.opened = (spec, settings.device, prompt)
        return cls()


def test_a_captioner_of_a_plugin_gets_its_model_and_its_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CAPTIONERS.builtin, "own", Adapter(f"{__name__}:Speaker", "for tests"))
    settings = CaptionerSettings("own:org/model@http://x", device="cpu")
    captioner = make_captioner(settings, PromptSettings("What is it?"))
    assert Speaker.opened == ("org/model@http://x", "cpu", "What is it?")
    assert captioner.caption([Image.new("RGB", (8, 8), "red")])


def test_a_captioner_that_takes_no_question_is_not_opened_with_one() -> None:
    with pytest.raises(InputError, match="cannot be asked anything") as raised:
        make_captioner("builtin", PromptSettings("What is it?"))
    assert raised.value.code == "bad_prompt"
