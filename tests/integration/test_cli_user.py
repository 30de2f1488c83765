"""`relook user`: what each command does, prints and refuses."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from people_parts import PASSWORD, cheap

from relook.cli.main import main
from relook.people.people import People

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("relook.people.people.Passwords", cheap)
    monkeypatch.setenv("RELOOK_SERVE_PEOPLE", str(tmp_path / "people.sqlite3"))
    return tmp_path / "people.sqlite3"


@pytest.fixture
def people(path: Path) -> Iterator[People]:
    made = People(path)
    yield made
    made.close()


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        lines = SimpleNamespace(buffer=io.BytesIO(stdin), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", lines)
        code = main(["user", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def add(run: Run, name: str, *more: str) -> None:
    assert run("add", name, "--password-stdin", *more, stdin=f"{PASSWORD}\r\n".encode())[0] == 0


def test_somebody_is_added_listed_changed_and_removed(run: Run, people: People) -> None:
    assert run("list") == (0, "nobody; relook user add NAME --right mark adds somebody\n", "")
    code, out, err = run("add", "Zoë", "--password-stdin", stdin=PASSWORD.encode())
    assert (code, out) == (0, "Zoë: no library\n")
    assert "relook user rights 'Zoë' view" in err
    assert people.sign_in("zoë", PASSWORD, "here")
    code, out, err = run("rights", "ZOË", "mark", "private=none", "--json")
    assert json.loads(out)["rights"] == {"*": "mark", "private": "none"}
    code, out, _ = run("list", "--json")
    (zoe,) = json.loads(out)["people"]
    assert (zoe["name"], zoe["n_sessions"], zoe["is_disabled"]) == ("Zoë", 1, False)
    assert run("password", "zoë", "--password-stdin", stdin=b"another sentence\n")[0] == 0
    assert people.accounts.authenticate("zoë", "another sentence")
    assert people.accounts.all()[0].n_sessions == 0
    people.passes.share_album("photos", "Coast", 86_400, "Zoë")
    code, out, err = run("disable", "zoë")
    assert out == "Zoë may not sign in\n"
    assert "album-1, a link that Zoë made, goes on; relook user revoke album-1 ends it" in err
    assert "Zoë" in run("list")[1].splitlines()[-2]
    assert people.accounts.authenticate("zoë", "another sentence") is None
    assert run("disable", "zoë", "--undo")[1:] == ("Zoë may sign in again\n", "")
    assert people.accounts.authenticate("zoë", "another sentence")
    code, out, err = run("remove", "zoë")
    assert (code, out) == (0, "Zoë is removed\n")
    assert "nobody is left" in err
    assert "album-1, a link that Zoë made, goes on" in err
    assert not people.accounts.any()


@pytest.mark.parametrize("at", ["ftp://x", "pictures.example", "javascript:alert(1)", "https://"])
def test_an_address_that_no_browser_opens_is_refused(run: Run, people: People, at: str) -> None:
    add(run, "Anna")
    for command in (("invite", "--right", "mark"), ("share", "photos")):
        code, out, err = run(*command, "--at", at)
        assert (code, out) == (1, "")
        assert "error[bad_url]" in err
    assert not people.passes.all()


def test_addresses_carry_what_ends(run: Run, people: People) -> None:
    add(run, "Anna", "--right", "index")
    at = ("--at", "https://pictures.example/")
    code, out, err = run("invite", "--right", "photos=mark", "--ends", "2d", *at)
    base, _, token = out.strip().partition("#invitation=")
    assert (code, base) == (0, "https://pictures.example/")
    assert "invitation-1 ends" in err
    assert "relook user revoke invitation-1 ends it now" in err
    assert people.accept(token, "Bert", PASSWORD, "here")
    code, out, _ = run("share", "photos", "--json", *at)
    made = json.loads(out)
    base, _, token = made["address"].partition("?link=")
    assert (base, made["name"], made["rights"]) == (
        "https://pictures.example/", "link-1", {"photos": "view"},
    )  # fmt: skip
    assert people.who(None, token) is not None
    assert "link-1" in run("list")[1]
    assert run("revoke", "link-1") == (0, "link-1 has ended\n", "")
    assert people.who(None, token) is None
    code, out, err = run("share", "photos", "--album", "  Our  coast", *at)
    _, _, token = out.strip().partition("?link=")
    assert "album-1 ends" in err
    assert "shows nothing while there is none: photos, album Our coast" in err
    assert "photos, album Our coast: view" in run("list")[1]
    assert people.passes.of_album_link(token) is not None
    assert people.who(None, token) is None, "it is no link to the library"
    assert run("revoke", "album-1") == (0, "album-1 has ended\n", "")
    assert people.passes.of_album_link(token) is None
    code, out, err = run("share", "photos")
    assert out.startswith("http://127.0.0.1:8765/?link=")
    assert "--at URL" in err


def test_the_log_is_a_line_each(run: Run, people: People) -> None:
    add(run, "Anna", "--right", "index")
    people.sign_in("anna", PASSWORD, "10.0.0.7")
    _, out, _ = run("log")
    first, second = out.splitlines()
    assert first.endswith("  console  add Anna  done: index every library")
    assert second.endswith("  Anna  10.0.0.7  sign-in  done")
    assert run("log", "-n", "1")[1].splitlines() == [second]
    assert run("log", "--since", "1h")[1] == out
    assert run("log", "--since", "2999-01-01") == (0, "nothing\n", "")
    assert [line["what"] for line in json.loads(run("log", "--json")[1])["lines"]] == [
        "add Anna", "sign-in",
    ]  # fmt: skip
    assert PASSWORD not in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["rights", "anna", "mark"], "no_people"),
        (["log"], "no_people"),
        (["share", "photos"], "no_people"),
        (["invite", "--right", "view"], "no_people"),
        (["invite"], "no_right"),
        (["add", "Anna", "--right", "all", "--password-stdin"], "bad_right"),
        (["add", "Anna"], "no_terminal"),
        (["add", "Anna", "--password-stdin"], "bad_password"),
        (["add", "token", "--password-stdin"], "bad_password"),
    ],
)
def test_what_cannot_be_done_says_why_and_leaves_no_file(
    run: Run, path: Path, words: list[str], code: str
) -> None:
    ended, out, err = run(*words, stdin=b"short\n")
    assert (ended, out) == (1, "")
    assert err.startswith(f"error[{code}]: ")
    assert "hint: " in err
    assert not path.exists()


def test_names_and_times_that_are_none_are_told(run: Run) -> None:
    add(run, "Anna")
    for words in (["rights", "bert", "mark"], ["password", "bert"], ["remove", "bert"]):
        code, _, err = run(*words)
        assert (code, "error[no_person]: nobody is called 'bert'" in err) == (1, True)
    for words in (["share", "photos", "--ends", "3y"], ["share", "photos", "--ends", "400d"],
                  ["log", "--since", "yesterday"]):  # fmt: skip
        code, _, err = run(*words)
        assert (code, "is no time" in err) == (2, True)
