"""The file of people: names, passwords, rights, sessions, invitations, links, the log."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from people_parts import PASSWORD, Clock, cheap, people_of

from relook.core.errors import (
    InputError,
    NotFoundError,
    SignInError,
    StorageError,
    TriesError,
)
from relook.people.accounts import Accounts
from relook.people.passes import IDLE_S, SESSION_S
from relook.people.passwords import Passwords, name_key
from relook.people.people import People, Tries
from relook.people.rights import EVERYONE, NOBODY, Right, Who, parse_right

DAY_S = 86_400.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(tmp_path: Path, clock: Clock) -> People:
    made = people_of(tmp_path, clock)
    yield made
    made.close()


def test_rights_are_read_and_the_librarys_own_counts_before_that_of_all() -> None:
    assert parse_right("mark") == ("*", Right.MARK)
    assert parse_right("a=b=view") == ("a=b", Right.VIEW)
    for wrong in (
        "",
        "=view",
        "photos",
        "photos=",
        "photos=all",
        "photos=View",
        "x" * 201 + "=view",
    ):
        with pytest.raises(InputError, match="no right"):
            parse_right(wrong)
    anna = Who("person", "Anna", {"*": Right.MARK, "private": Right.NONE, "own": Right.INDEX})
    assert [anna.right(name) for name in ("x", "private", "own")] == [
        Right.MARK, Right.NONE, Right.INDEX,
    ]  # fmt: skip
    assert (anna.most, NOBODY.most, EVERYONE.most) == (Right.INDEX, Right.NONE, Right.INDEX)


def test_the_file_is_its_owners_alone_and_holds_no_password_and_no_token(people: People) -> None:
    people.accounts.add("Anna", PASSWORD, {"*": Right.MARK})
    session = people.sign_in("anna", PASSWORD, "here")
    _, invitation = people.passes.invite({"*": Right.VIEW}, DAY_S)
    _, link = people.passes.share("photos", DAY_S)
    assert people.file.path.stat().st_mode & 0o777 == 0o600
    data = people.file.path.read_bytes()
    for secret in (PASSWORD, session, invitation, link):
        assert secret.encode() not in data
    assert b"$argon2id$" in data


def test_a_file_that_others_may_read_is_closed_to_them(people: People) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    people.close()
    people.file.path.chmod(0o644)
    assert people.accounts.known("anna") == "Anna"
    assert people.file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "variant",
    ["zoë", "ZOË", "Zoe\u0308", " Zoë ", "\uff3aoë"],
)
def test_a_name_is_one_person_however_it_is_written(people: People, variant: str) -> None:
    people.accounts.add("Zoë", PASSWORD, {})
    assert people.sign_in(variant, PASSWORD, "here")
    with pytest.raises(InputError, match="called"):
        people.accounts.add(variant, PASSWORD, {})


@pytest.mark.parametrize(
    "name",
    ["", "  ", "x" * 65, "a\u200bb", "a\u202eb", "a\x00b", "Token", "console", "Link 1", "\ud800"],
)
def test_names_that_could_be_taken_for_others_are_refused(people: People, name: str) -> None:
    with pytest.raises(InputError, match="a name has"):
        people.accounts.add(name, PASSWORD, {})
    assert not people.accounts.any()


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1001])
def test_passwords_have_bounds(people: People, password: str) -> None:
    with pytest.raises(InputError, match="8 to 1000"):
        people.accounts.add("Anna", password, {})


def test_a_long_password_counts_to_its_last_letter(people: People) -> None:
    longest = "x" * 999 + "é"
    people.accounts.add("Anna", longest, {})
    assert people.sign_in("anna", "x" * 999 + "e\u0301", "here")  # the same letter
    for wrong in (longest + "x", longest[:-1], "x" * 100_000):
        assert people.accounts.authenticate("anna", wrong) is None


def test_a_name_that_is_not_there_costs_a_hash_as_well_and_answers_the_same(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    people.accounts.add("Off", PASSWORD, {})
    people.accounts.set_disabled("off", True)
    verified: list[str] = []
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

    class Counting:
        hash, check_needs_rehash = hasher.hash, hasher.check_needs_rehash

        def verify(self, kept: str, password: str) -> bool:
            verified.append(kept)
            return hasher.verify(kept, password)

    accounts = Accounts(people.file, Passwords(Counting()))
    people.accounts = accounts
    answers = set()
    for name, password in (("anna", "wrong one"), ("nobody here", PASSWORD), ("off", PASSWORD)):
        with pytest.raises(SignInError) as refused:
            people.sign_in(name, password, "here")
        answers.add((refused.value.code, refused.value.message, refused.value.hint))
    assert (len(verified), len(answers)) == (3, 1)
    # Of one cost: none of them is told apart by how long it takes.
    assert len({kept.split("$")[3] for kept in verified}) == 1


def test_a_hash_of_another_cost_is_made_anew_when_its_password_comes(
    people: People, clock: Clock
) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    other = People(people.file.path, clock, clock, dearer)
    assert other.sign_in("anna", PASSWORD, "here")
    with other.file.read() as connection:
        assert "m=16,t=2" in connection.execute("SELECT hash FROM users").fetchone()[0]
    other.close()


def test_tries_are_counted_by_name_and_by_address_and_forgotten_after_a_while(
    clock: Clock,
) -> None:
    tries = Tries(clock, by_name=2, by_address=3)
    tries.begin("anna", "a")
    tries.begin("anna", "b")
    with pytest.raises(TriesError):
        tries.begin("anna", "c")
    tries.begin("bert", "a")
    tries.begin("carl", "a")
    with pytest.raises(TriesError):
        tries.begin("dora", "a")
    tries.succeeded("carl", "a")  # that one was none
    tries.begin("dora", "a")
    clock.now_s += 901
    tries.begin("anna", "a")


def test_a_right_password_does_not_help_after_too_many_wrong_ones(people: People) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    for at in range(10):
        with pytest.raises(SignInError):
            people.sign_in("ANNA", "wrong one", f"address {at}")
    with pytest.raises(TriesError):
        people.sign_in("anna", PASSWORD, "elsewhere")


def test_memory_of_tries_is_bounded(clock: Clock) -> None:
    tries = Tries(clock, by_address=10**6)
    for number in range(10_050):
        tries.begin(str(number), "a")
    assert len(tries._tries) == 10_000


def test_a_session_ends_by_itself_by_hand_and_with_what_it_rests_on(
    people: People, clock: Clock
) -> None:
    people.accounts.add("Anna", PASSWORD, {"*": Right.VIEW})

    def who(token: str) -> Who | None:
        return people.who(token, None)

    token = people.sign_in("anna", PASSWORD, "here")
    anna = who(token)
    assert anna is not None
    assert (anna.name, anna.rights) == ("Anna", {"*": Right.VIEW})
    people.accounts.set_rights("anna", {"*": Right.MARK})
    assert who(token).rights == {"*": Right.MARK}
    clock.now_s += IDLE_S - 1
    assert who(token) is not None  # and counts as seen now
    clock.now_s += IDLE_S - 1
    assert who(token) is not None
    clock.now_s += SESSION_S - 2 * IDLE_S + 3
    assert who(token) is None
    ends = (
        people.passes.end,
        lambda session: people.accounts.set_password("anna", PASSWORD),
        lambda session: people.accounts.set_disabled("anna", True),
    )
    for end in ends:
        people.accounts.set_disabled("anna", False)
        token = people.sign_in("anna", PASSWORD, "here")
        end(who(token).session)
        assert who(token) is None
    people.accounts.set_disabled("anna", False)
    assert who(token) is None  # what has ended does not come back
    token = people.sign_in("anna", PASSWORD, "here")
    people.accounts.remove("anna")
    assert who(token) is None
    assert who("") is None
    assert who("x" * 10_000) is None


def test_a_session_that_nobody_uses_ends(people: People, clock: Clock) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    token = people.sign_in("anna", PASSWORD, "here")
    clock.now_s += IDLE_S
    assert people.who(token, None) is None


def test_an_invitation_makes_one_person_with_its_rights(people: People, clock: Clock) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    _, token = people.passes.invite({"photos": Right.MARK}, DAY_S)
    with pytest.raises(InputError, match="called"):
        people.accept(token, "ANNA", PASSWORD, "here")  # it can be accepted by another name
    with pytest.raises(InputError, match="8 to 1000"):
        people.accept(token, "Bert", "short", "here")
    session = people.accept(token, "Bert", PASSWORD, "here")
    assert people.who(session, None).rights == {"photos": Right.MARK}
    with pytest.raises(InputError, match="was used"):
        people.accept(token, "Carl", PASSWORD, "here")
    made, late = people.passes.invite({"*": Right.INDEX}, DAY_S)
    clock.now_s += DAY_S
    with pytest.raises(InputError, match="was used"):
        people.accept(late, "Carl", PASSWORD, "here")
    clock.now_s -= DAY_S
    people.passes.revoke(made.name)
    with pytest.raises(InputError, match="was used"):
        people.accept(late, "Carl", PASSWORD, "here")
    assert [person.name for person in people.accounts.all()] == ["Anna", "Bert"]


def test_a_link_shows_one_library_until_it_ends(people: People, clock: Clock) -> None:
    people.file.make()
    made, token = people.passes.share("photos", DAY_S)
    guest = people.who(None, token)
    assert (guest.kind, guest.rights) == ("link", {"photos": Right.VIEW})
    assert people.who(token, None) is None  # a link is no session
    clock.now_s += DAY_S
    assert people.who(None, token) is None
    clock.now_s -= DAY_S
    people.passes.revoke(made.name)
    assert people.who(None, token) is None
    for wrong in (made.name, "link-99", "invitation-1; DROP", "users-1", "link-", "x"):
        with pytest.raises(NotFoundError):
            people.passes.revoke(wrong)


def test_a_link_to_an_album_gives_no_right(people: People, clock: Clock) -> None:
    people.file.make()
    made, token = people.passes.share_album("photos", "Coast", DAY_S)
    assert (made.name, made.kind, made.rights) == ("album-1", "album", {})
    guest = people.passes.of_album_link(token)
    assert (guest.album.library_id, guest.album.name, guest.rights) == ("photos", "Coast", {})
    assert guest.is_limited
    assert guest.right("photos") is guest.most is Right.NONE
    assert people.who(token, token) is None
    _, link = people.passes.share("photos", DAY_S)
    assert people.passes.of_album_link(link) is None
    clock.now_s += DAY_S
    assert people.passes.of_album_link(token) is None


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_file_is_taken_on(people: People, version: int) -> None:
    """1 had no links to albums, 2 did not say who made a link: the console made all of them."""
    people.file.make()
    _, link = people.passes.share("photos", DAY_S, "Anna")
    people.close()
    with sqlite3.connect(people.file.path) as connection:
        connection.execute("ALTER TABLE links DROP COLUMN made_by")
        connection.execute("ALTER TABLE album_links DROP COLUMN made_by")
        if version == 1:
            connection.execute("DROP TABLE album_links")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    _, token = people.passes.share_album("photos", "Coast", DAY_S, "Anna")
    assert people.passes.of_album_link(token) is not None
    assert people.who(None, link) is not None
    links = people.passes.links("photos")
    assert {(made.made_by, album) for made, album in links} == {("console", ""), ("Anna", "Coast")}
    assert people.passes.links("others") == []
    people.close()
    assert len(people.passes.all()) == 2  # the second time it is of this version


def test_somebody_who_is_signed_in_sees_what_a_link_shows_as_well(people: People) -> None:
    people.accounts.add("Anna", PASSWORD, {"own": Right.INDEX, "photos": Right.NONE})
    session = people.sign_in("anna", PASSWORD, "here")
    _, link = people.passes.share("photos", DAY_S)
    _, own = people.passes.share("own", DAY_S)
    both = people.who(session, link)
    assert (both.name, both.right("photos"), both.right("own")) == ("Anna", Right.VIEW, Right.INDEX)
    assert people.who(session, own).right("own") is Right.INDEX


def test_the_log_names_who_and_what_and_nothing_secret_and_is_bounded(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.accounts.add("Anna", PASSWORD, {})
    people.sign_in("ANNA", PASSWORD, "10.0.0.7")
    with pytest.raises(SignInError):
        people.sign_in("hunter2 typed here", "anna", "10.0.0.8")
    lines = [(line.who, line.address, line.what, line.outcome) for line in people.file.lines()]
    assert lines == [
        ("Anna", "10.0.0.7", "sign-in", "done"),
        ("somebody", "10.0.0.8", "sign-in", "refused: wrong name or password"),
    ]
    monkeypatch.setattr("relook.people.people_file._LOGGED", 5)
    for number in range(20):
        people.note(f"w{number}", "a" * 1000, "x", "", "done")
    kept = people.file.lines()
    assert [line.who for line in kept] == ["w15", "w16", "w17", "w18", "w19"]
    assert len(kept[0].address) == 200
    assert [line.who for line in people.file.lines(limit=2)] == ["w18", "w19"]
    assert people.file.lines(since_s=people.file.clock() + 1) == []


def test_who_has_seen_people_opens_nothing_when_their_file_is_gone(people: People) -> None:
    assert not people.are_there()
    people.accounts.add("Anna", PASSWORD, {})
    assert people.are_there()
    people.file.path.unlink()
    assert people.are_there()
    with pytest.raises(StorageError):
        people.who("x", None)


def test_a_file_that_is_none_is_told_and_opens_nothing(people: People) -> None:
    people.file.path.write_bytes(b"no database" * 100)
    with pytest.raises(StorageError) as told:
        people.are_there()
    assert told.value.code == "people_unreadable"
    people.file.path.unlink()
    sqlite3.connect(people.file.path).execute("PRAGMA user_version = 99").connection.close()
    with pytest.raises(StorageError, match="newer Relook"):
        people.are_there()


def test_a_change_that_fails_changes_nothing(people: People) -> None:
    people.accounts.add("Anna", PASSWORD, {"*": Right.VIEW})
    with pytest.raises(StorageError), people.file.change() as connection:
        connection.execute("DELETE FROM users").connection.execute("no SQL")
    assert people.accounts.known("anna") == "Anna"


def test_the_usual_cost_of_a_hash_is_that_of_the_rfc() -> None:
    kept = Passwords().hash(PASSWORD)
    memory, times, lanes = map(int, re.search(r"m=(\d+),t=(\d+),p=(\d+)", kept).groups())
    assert kept.startswith("$argon2id$")
    assert memory >= 64 * 1024
    assert (times, lanes) == (3, 4)


def test_keys_of_names_are_stable() -> None:
    for name in ("Straße", "ΣΊΣΥΦΟΣ", "İstanbul", "ﬁ"):
        assert name_key(name_key(name)) == name_key(name)
    assert cheap().matches(PASSWORD, None) is False


def test_what_agents_are_served_by_does_without_the_package_of_passwords() -> None:
    modules = "relook.gateway.guard, relook.gateway.listen, relook.cli.user"
    look = f"import sys, {modules}; sys.exit('argon2' in sys.modules or 'fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
