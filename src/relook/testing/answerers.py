"""Checks that every answerer passes. Layer: testing."""

from __future__ import annotations

import io

from relook.answerers.base import Answerer, Finish, Prompt, Reply, Shown
from relook.testing.contract import require
from relook.testing.fakes import solid

__all__ = ["check_answerer"]


def check_answerer(answerer: Answerer) -> None:
    """Runs the contract of `Answerer` on one that answers; closes it.

    Raises:
        ContractError: naming the first promise that is not kept.
    """
    require(bool(answerer.name), "an answerer has a name")
    require(bool(answerer.host) or not answerer.third_party, "a third party has a host")
    heard: list[tuple[str, str]] = []
    reply = answerer.reply(_prompt(), lambda kind, text: heard.append((kind, text)))
    require(isinstance(reply, Reply), "reply returns a Reply")
    require(isinstance(reply.finish, Finish), "a reply says how it ended")
    require({kind for kind, _ in heard} <= {"text", "note"}, "tell hears texts and notes only")
    pieces = "".join(text for kind, text in heard if kind == "text")
    require(pieces.split() == reply.text.split(), "the pieces told make up the text")
    require(reply.text == reply.text.strip(), "a text has no blanks around it")
    require(bool(reply.model) == bool(answerer.model), "a reply says which model wrote it")
    require(reply.took_s >= 0 and (reply.first_s or 0) <= reply.took_s, "times are in order")
    again = answerer.reply(_prompt())
    require(isinstance(again, Reply), "it can be asked again, and nobody need listen")
    answerer.close()
    answerer.close()


def _prompt() -> Prompt:
    out = io.BytesIO()
    solid("red", 64, 48).save(out, "PNG")
    picture = Shown(out.getvalue(), "image/png", "a picture")
    return Prompt("Be brief.", ("Look at it.", picture, "What colour is it?"), "What colour is it?")
