"""Answers one question about one picture, with evidence and citations. Layer: rag.

    asker = Asker(answerer, gatherer)
    answer = asker.ask(subject, "What country does this building belong to?")
    again = asker.ask(subject, answer.question, evidence=answer.evidence.strike(2))

Asking again with edited evidence calls no provider. Nothing is sent before consent is checked.
`lookup` asks providers and `prompt` shows evidence; this module decides when, and adds up costs.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from relook.answerers.base import Answerer, Prompt, Reply, Shown, Tell
from relook.core.errors import AccessError, AnswerError, InputError
from relook.core.json_writer import to_json
from relook.core.settings import AskSettings, EvidenceSettings
from relook.providers.base import ProviderResult, Subject
from relook.providers.match import Sent
from relook.rag.answer import Answer, Written
from relook.rag.answer_text import cite, decision_of, hedge_of
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence, check_subject, evidence_text, unseen, why_no_evidence
from relook.rag.lookup import Gatherer
from relook.rag.prompt import EVERYTHING, PromptTexts, Shows, build_prompt, weighing_prompt
from relook.rag.weighing import Ask, Picked, inspected, picked

WHEN = ("always", "never", "auto", "decide")
Edit = Callable[[Evidence], Evidence]
Hear = Callable[[str, Mapping[str, Any]], None]
"""Called with each stage: `providers`, `provider`, `evidence`, `model`, `thinking`, `text`, `note`.

An exception that it raises ends the question: it waits for no provider and closes a model's stream.
"""

_MAX_QUESTION = 4000


@dataclass
class _Run:
    """One question on its way."""

    subject: Subject
    question: str
    evidence: Evidence
    hear: Hear
    edit: Edit
    looked_up: bool = False
    sent: list[Sent] = field(default_factory=list)
    others_s: float = 0.0
    decided: str = ""


class Asker:
    """Answers questions about pictures. It may be used again, and by several threads.

    Args:
        answerer: What writes.
        gatherer: Looks pictures up; None when evidence is always given or never used.
        settings: Whether and how evidence is used.
        texts: The prompt's sentences.
        trimmed: How long an item's text may be in a prompt.
        consent: Which services may get pictures of this machine; the per-user file when None.
        shows: What of a question the model sees; experiments leave parts of it out.

    Raises:
        InputError: `bad_when`, `nothing_to_ask` when there is neither model nor evidence.
    """

    def __init__(
        self,
        answerer: Answerer,
        gatherer: Gatherer | None = None,
        *,
        settings: AskSettings | None = None,
        texts: PromptTexts | None = None,
        trimmed: EvidenceSettings | None = None,
        consent: Consent | None = None,
        shows: Shows = EVERYTHING,
    ) -> None:
        self.answerer, self.gatherer, self.shows = answerer, gatherer, shows
        self.settings, self.texts = settings or AskSettings(), texts or PromptTexts()
        self.trimmed, self.consent = trimmed, consent or Consent()
        if self.settings.when not in WHEN:
            raise InputError(
                "bad_when",
                f"evidence is not used {self.settings.when!r}",
                f"one of {', '.join(WHEN)}",
            )
        if self.settings.when == "never" and not self._has_model:
            raise InputError(
                "nothing_to_ask",
                "without evidence and without a model there is nothing to answer with",
                "name a --model, or let evidence be used",
            )

    def ask(
        self,
        subject: Subject,
        question: str,
        *,
        evidence: Evidence | None = None,
        edit: Edit | None = None,
        hear: Hear | None = None,
    ) -> Answer:
        """Answers a question.

        Args:
            subject: The picture.
            question: When empty, the question is what the picture shows.
            evidence: Of an earlier answer, perhaps edited; looked up now when None.
            edit: Strikes and pins evidence before a model sees it.
            hear: Called with each stage, in this thread and, with `compare`, in one more.

        Raises:
            InputError: `long_question`, `other_picture` for evidence of another one, and what
                `build_prompt` raises.
            AccessError: `upload_not_allowed` when the model's service may not get the picture.
            AnswerError: when there is no reply.
        """
        began = time.perf_counter()
        if evidence is not None:
            check_subject(evidence, subject)
        if len(question) > _MAX_QUESTION:
            raise InputError(
                "long_question", f"the question has {len(question):,} characters",
                f"at most {_MAX_QUESTION:,}",
            )  # fmt: skip
        # A terminal may pass on half a character, which no service can read in JSON.
        question = question.encode("utf-8", "replace").decode()
        if evidence is not None and edit is not None:
            evidence = edit(evidence)
        self._check_consent(subject, evidence)
        known = Evidence() if evidence is None else evidence
        run = _Run(
            subject, question, known, hear or (lambda *_: None), edit or (lambda evidence: evidence)
        )
        answer = self._answer(run, given=evidence is not None)
        took = time.perf_counter() - began
        return self._with_costs(answer, run, took)

    def _answer(self, run: _Run, *, given: bool) -> Answer:
        if self._has_model and not given and self.settings.when in ("auto", "decide"):
            return self._only_if_needed(run) if self.settings.when == "auto" else self._asked(run)
        if self.settings.when == "never":
            written = self._write(run, None, "with")
            return self._answered(run, written, why="evidence was not to be used")
        with ThreadPoolExecutor(1, "compare") as pool:
            beside = self._begin_comparison(run, pool)
            if not given:
                self._look_up(run)
            written = self._write(run, run.evidence, "with")
            without = self._compared(run, beside)
        why = "" if run.evidence.shown else why_no_evidence(run.evidence)
        if run.evidence.shown and not self._has_model:
            weighed = inspected(run.evidence, "", "")
            why = "" if weighed.is_good else f"this evidence is weak: {weighed.why}"
        return self._answered(run, written, without=without, why=why)

    def _only_if_needed(self, run: _Run) -> Answer:
        """Asks without evidence first, and looks the picture up when that answer hedges."""
        first = self._write(run, None, "without")
        hedge = hedge_of(first.text)
        if not hedge and first.finish == "done":
            return self._answered(run, first, why="the answer without evidence does not hedge")
        why = f"the answer without evidence hedges ({hedge!r})" if hedge else "it broke off"
        self._look_up(run)
        if not run.evidence.shown:
            return self._answered(run, first, why=f"{why}; {why_no_evidence(run.evidence)}")
        seen, _ = self._without_own(run.evidence)
        body = evidence_text(seen or run.evidence, self.trimmed)
        weighed = inspected(run.evidence, self.texts.inspect, body, self._weigher(run))
        if not weighed.is_good:
            why = f"{why}; the evidence was looked up and not used: {weighed.why}"
            return self._answered(run, first, why=why)
        written = self._write(run, run.evidence, "with")
        return self._answered(run, written, without=first, why=f"{why}; {weighed.why}")

    def _weigher(self, run: _Run) -> Ask:
        """Asks the model one short question about evidence, beside the picture."""

        def ask(rules: str, body: str) -> Reply:
            bare = build_prompt(
                run.subject, run.question, None, self.settings, self.texts, shows=self.shows
            )
            reply = self._reply(run, weighing_prompt(bare, rules, body), "decision")
            run.others_s += reply.took_s
            return reply

        return ask

    def _asked(self, run: _Run) -> Answer:
        """Asks the model whether it wants the picture looked up, then for its answer."""
        shown = build_prompt(run.subject, run.question, None, self.settings, self.texts)
        reply = self._reply(run, replace(shown, system=self.texts.decide), "decision")
        run.others_s, run.decided = reply.took_s, reply.text.strip()
        wants = decision_of(reply.text)
        if wants is False:
            written = self._write(run, None, "with")
            return self._answered(run, written, why="the model chose to answer without a look-up")
        why = "the model chose a look-up"
        if wants is None:
            why = "the model said neither, so the picture was looked up"
        self._look_up(run)
        return self._answered(run, self._write(run, run.evidence, "with"), why=why)

    def _look_up(self, run: _Run) -> None:
        if self.gatherer is None:
            raise InputError(
                "no_provider", "no provider is named, so nothing can be looked up",
                "name one: --provider library",
            )  # fmt: skip
        run.hear("providers", {"names": list(self.gatherer.providers)})

        def on_result(result: ProviderResult) -> None:
            run.hear("provider", to_json(result, without={"matches"}))

        run.evidence = run.edit(self.gatherer.gather(run.subject, on_result=on_result))
        run.looked_up = True
        run.hear("evidence", run.evidence.as_dict(pictures=True))

    def _write(self, run: _Run, evidence: Evidence | None, which: str) -> Written:
        """One prompt and its reply."""
        if evidence is not None and evidence.shown:
            self._check_pictures(evidence)
        form, notes = self._form(evidence)
        evidence, kept_here = self._without_own(evidence)
        notes += kept_here
        choice = Picked(evidence or Evidence())
        if form == "names" and evidence is not None and evidence.shown and self._has_model:
            choice = picked(evidence, self.texts.pick, self._weigher(run))
            evidence, notes = choice.evidence, (*notes, choice.note)
        settings = replace(self.settings, form=form)
        prompt = build_prompt(
            run.subject, run.question, evidence, settings, self.texts, self.trimmed,
            shows=self.shows,
        )  # fmt: skip
        reply = self._reply(run, prompt, which)
        notes += unseen(evidence)
        reply = replace(reply, notes=(*notes, *reply.notes))
        return replace(_written(reply, prompt, self._has_model), picked=choice.name)

    def _reply(self, run: _Run, prompt: Prompt, which: str) -> Reply:
        """What the model says to a prompt; notes what is sent to whom."""
        run.hear("model", {"which": which, "answerer": self.answerer.name,
                           "model": self.answerer.model})  # fmt: skip
        tell: Tell = lambda kind, text: run.hear(kind, {"which": which, "text": text})  # noqa: E731
        reply = self.answerer.reply(prompt, None if which == "decision" else tell)
        if self.answerer.third_party:
            pictured = any(isinstance(part, Shown) for part in prompt.parts)
            what = "the prompt, with the picture" if pictured else "the prompt"
            run.sent.append(Sent(self.answerer.host, _n_bytes(prompt), what))
            note = self.consent.was_used(self.answerer.host) if pictured else ""
            reply = replace(reply, notes=(*reply.notes, note)) if note else reply
        return reply

    def _without_own(self, evidence: Evidence | None) -> tuple[Evidence | None, tuple[str, ...]]:
        """Evidence as this model may see it: a service elsewhere gets no place and no time."""
        own = evidence.own if evidence is not None else None
        if evidence is None or own is None or not self.answerer.third_party:
            return evidence, ()
        note = f"item 0, what the picture's own file says, was not sent to {self.answerer.host}"
        return replace(evidence, own=None), (note,) if own.says_something else ()

    def _form(self, evidence: Evidence | None) -> tuple[str, tuple[str, ...]]:
        """How evidence can be shown, and a note where that is not the configured way."""
        form = self.settings.form
        if form != "screenshot" or evidence is None or not evidence.shown:
            return form, ()
        if evidence.screenshot is None:
            return "text", ("no provider kept a screenshot: the evidence was shown as text",)
        if len(evidence.shown) < len(evidence):
            why = "a screenshot would show what was struck out: the evidence was shown as text"
            return "text", (why,)
        return form, ()

    def _begin_comparison(self, run: _Run, pool: ThreadPoolExecutor) -> Future[Written] | None:
        """Starts the answer without evidence while the picture is looked up."""
        if not (self.settings.compare and self.answerer.host):
            return None
        return pool.submit(self._write, run, None, "without")

    def _compared(self, run: _Run, beside: Future[Written] | None) -> Written | None:
        if not self.settings.compare:
            return None
        if not self._has_model:
            return Written("No model was asked, so there is no answer without evidence.")
        began = time.perf_counter()
        try:
            return beside.result() if beside else self._write(run, None, "without")
        except AnswerError as error:  # the main answer does not depend on this one
            return Written("", notes=(f"no answer without evidence: {error}",))
        finally:
            run.others_s += time.perf_counter() - began

    def _answered(
        self, run: _Run, written: Written, *, without: Written | None = None, why: str = ""
    ) -> Answer:
        return Answer(
            question=run.question,
            written=written,
            evidence=run.evidence,
            without=without,
            answerer=self.answerer.name,
            when=self.settings.when,
            why=why,
            decided=run.decided,
        )

    def _with_costs(self, answer: Answer, run: _Run, took_s: float) -> Answer:
        """The answer with what it sent and how long each stage took."""
        without_s = answer.without.took_s if answer.without else 0.0
        slowest_s = max((result.took_s for result in run.evidence.results), default=0.0)
        providers_s = slowest_s if run.looked_up else 0.0
        in_turn_s = run.others_s + (without_s if answer.when == "auto" else 0.0)
        ours_s = took_s - providers_s - answer.written.took_s - in_turn_s
        stages = {"providers": providers_s, "model": answer.written.took_s, "without": without_s,
                  "ours": max(ours_s, 0.0)}  # fmt: skip
        looked_up = [sent for _, sent in run.evidence.sent] if run.looked_up else []
        return replace(answer, sent=(*looked_up, *run.sent), stages=stages, took_s=took_s)

    @property
    def _has_model(self) -> bool:
        return bool(self.answerer.model)

    def _check_consent(self, subject: Subject, evidence: Evidence | None) -> None:
        if self.shows.picture and subject.local and not self._may_send():
            raise _not_allowed(self.answerer.host, "a picture of this machine")
        if evidence is not None:
            self._check_pictures(evidence)

    def _check_pictures(self, evidence: Evidence) -> None:
        """Checks consent for evidence that holds pictures of this machine."""
        if self._may_send():
            return
        if any(item.match.picture is not None for item in evidence.shown):
            raise _not_allowed(self.answerer.host, "saved files of this machine")
        own = any(item.match.image_id is not None for item in evidence.shown)
        if own and self.settings.form == "sheet":
            raise _not_allowed(self.answerer.host, "pictures of your library")

    def _may_send(self) -> bool:
        return not self.answerer.third_party or self.consent.allows(self.answerer.host)


def _not_allowed(host: str, what: str) -> AccessError:
    return AccessError(
        "upload_not_allowed",
        f"nothing was sent: the model's service {host} would get {what}",
        "agree with --allow-upload; it is remembered, and relook consent takes it back",
    )


def _written(reply: Reply, prompt: Prompt, has_model: bool) -> Written:
    known = {number for number, _ in prompt.matches} | ({0} if prompt.own_report else set())
    cited = cite(reply.text, known)
    notes = list(reply.notes)
    if cited.invented:
        gone = ", ".join(map(str, cited.invented))
        notes.append(f"cited evidence that does not exist: {gone}; taken out")
    return Written(
        text=cited.text,
        citations=cited.numbers,
        invented=cited.invented,
        finish=reply.finish,
        model=reply.model,
        usage=reply.usage,
        prompt=prompt.as_dict() if has_model else {},
        with_evidence=bool(prompt.matches),
        notes=tuple(notes),
        took_s=reply.took_s,
        first_s=reply.first_s,
        thinking=reply.thinking,
    )


def _n_bytes(prompt: Prompt) -> int:
    return len(prompt.system) + sum(
        len(part.encode()) if isinstance(part, str) else len(part.data) * 4 // 3
        for part in prompt.parts
    )
