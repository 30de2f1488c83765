"""`relook user`: who may use a server, and for what. Layer: cli."""

import getpass
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from relook.app.configured import config_of
from relook.cli.config_flags import ConfigOption
from relook.cli.options import Commands, JsonOption
from relook.cli.output import clean_lines, print_json, print_notes, print_table
from relook.core.config_file import Config
from relook.core.errors import InputError, NotFoundError
from relook.core.registry import import_extra
from relook.core.web import check_url
from relook.library.album_values import album_name
from relook.people.people_file import CONSOLE, LONGEST_S
from relook.people.rights import Right, parse_right

if TYPE_CHECKING:
    from relook.people.people import People

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

app = Commands(
    help="Who may use relook serve, and for what. Without anybody here it is open to whoever"
    " reaches it, or has its token.",
    no_args_is_help=True,
)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Of the person; capitals do not matter.")
]
RightsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--right", metavar="[LIBRARY=]RIGHT",
        help="view, mark or index, for every library, or as photos=mark for one. Repeatable.",
    ),
]  # fmt: skip
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from a line of stdin.")
]
EndsOption = Annotated[
    str, typer.Option("--ends", metavar="TIME", help="When it ends: 30m, 24h, 7d, 4w from now.")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="URL", help="Address of the server, as others reach it."),
]


@app.command("add")
def add(
    name: NameArgument,
    right: RightsOption = None,
    password_stdin: StdinOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a person. With the first one, everybody has to sign in; scripts go on with the token.

    The password is asked for, or read from stdin.
    """
    rights = _rights(right)
    with _people(config, must_be_there=False) as people:
        people.accounts.add(name, _password(password_stdin), rights)
        _log(people, f"add {_shown(people, name)}", rights)
        if not any(rights.values()):
            print_notes([f"no library can be seen yet; run: relook user rights {quote(name)} view"])
        _tell(people, name, as_json)


@app.command("list")
def list_people(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everybody with their rights, and the invitations and links that have not ended."""
    with _people(config, must_be_there=False) as people:
        is_there = people.file.exists()
        persons = people.accounts.all() if is_there else []
        passes = people.passes.all() if is_there else []
    if as_json:
        print_json(
            {
                "people": [person.as_dict() for person in persons],
                "passes": [each.as_dict() for each in passes],
            }
        )
        return
    if not persons:
        sys.stdout.write("nobody; relook user add NAME --right mark adds somebody\n")
    else:
        rows = [
            (person.name, "may not sign in" if person.is_disabled else _words(person.rights),
             _minute(person.seen_s), str(person.n_sessions))
            for person in persons
        ]  # fmt: skip
        print_table(["name", "rights", "last seen", "browsers"], rows)
    if passes:
        gives = [f"{p.shows}: view" if p.shows else _words(p.rights) for p in passes]
        lines = [
            (p.name, words, _minute(p.ends_s), p.made_by)
            for p, words in zip(passes, gives, strict=True)
        ]
        print_table(["not yet ended", "gives", "ends", "made by"], lines)


@app.command("rights")
def rights(
    name: NameArgument,
    right: Annotated[
        list[str],
        typer.Argument(
            metavar="[LIBRARY=]RIGHT...",
            help="none, view, mark or index, for every library, or as photos=mark for one. What is"
            " said of one library counts before what is said of all.",
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what a person may do; it counts at once."""
    changed = _rights(right)
    with _people(config) as people:
        shown = people.accounts.set_rights(name, changed)
        _log(people, f"rights of {shown}", changed)
        _tell(people, name, as_json)


@app.command("password")
def password(
    name: NameArgument, password_stdin: StdinOption = False, config: ConfigOption = None
) -> None:
    """Give a person another password; browsers in which they are signed in are signed out."""
    with _people(config) as people:
        _known(people, name)
        shown = people.accounts.set_password(name, _password(password_stdin))
        _log(people, f"password of {shown}")
    sys.stdout.write(f"{shown} has another password and is signed out everywhere\n")


@app.command("remove")
def remove(name: NameArgument, config: ConfigOption = None) -> None:
    """Remove a person, and sign them out everywhere; what they marked stays."""
    with _people(config) as people:
        shown = people.accounts.remove(name)
        _log(people, f"remove {shown}")
        is_empty = not people.accounts.any()
        links = _links_of(people, shown)
    sys.stdout.write(f"{shown} is removed\n")
    print_notes(links)
    if is_empty:
        print_notes(["nobody is left: servers that are started from now on ask nobody to sign in"])


@app.command("disable")
def disable(
    name: NameArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Keep a person out for now, and sign them out everywhere."""
    with _people(config) as people:
        shown = people.accounts.set_disabled(name, not undo)
        _log(people, f"{'enable' if undo else 'disable'} {shown}")
        links = [] if undo else _links_of(people, shown)
    sys.stdout.write(f"{shown} {'may sign in again' if undo else 'may not sign in'}\n")
    print_notes(links)


@app.command("invite")
def invite(
    right: RightsOption = None,
    ends: EndsOption = "7d",
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an address at which one person chooses a name and a password, once."""
    rights, lasts_s = _rights(right), _lasts_s(ends)
    if not any(rights.values()):
        raise InputError(
            "no_right", "the invitation gives no right", "say which: --right mark, or photos=view"
        )
    with _people(config) as people:
        _must_have_somebody(people)
        server = _server(config, at)
        made, token = people.passes.invite(rights, lasts_s)
        _log(people, f"make {made.name}", rights)
    _tell_pass(made.as_dict(), f"{server}/#{urlencode({'invitation': token})}", as_json)


@app.command("share")
def share(
    library: Annotated[
        str, typer.Argument(metavar="LIBRARY", help="Its name in the page's address.")
    ],
    album: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Show the pictures of this album alone, small and without words."
        ),
    ] = None,
    ends: EndsOption = "24h",
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an address that shows a library, or an album of it, to whoever has it."""
    lasts_s = _lasts_s(ends)
    library_id, _ = parse_right(f"{library}=view")
    name = None if album is None else album_name(album)
    with _people(config) as people:
        _must_have_somebody(people)
        server = _server(config, at)
        if name is None:
            made, token = people.passes.share(library_id, lasts_s)
            _log(people, f"make {made.name}", {library_id: Right.VIEW})
        else:
            made, token = people.passes.share_album(library_id, name, lasts_s)
            _log(people, f"make {made.name} of {made.shows}")
    _tell_pass(made.as_dict(), f"{server}/?{urlencode({'link': token})}", as_json)


@app.command("revoke")
def revoke(
    name: Annotated[
        str, typer.Argument(metavar="PASS", help="As relook user list shows it: link-2.")
    ],
    config: ConfigOption = None,
) -> None:
    """End an invitation or a link now."""
    with _people(config) as people:
        people.passes.revoke(name)
        _log(people, f"revoke {name}")
    sys.stdout.write(f"{name} has ended\n")


@app.command("log")
def log(
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From then on: 2026-11-28, 24h, 7d."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="The newest so many lines.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who did what: sign-ins, indexing, deletions, exports, rights, questions sent elsewhere."""
    since_s = 0.0 if since is None else _since_s(since)
    with _people(config) as people:
        lines = people.file.lines(since_s, limit)
    if as_json:
        print_json({"lines": [line.as_dict() for line in lines]})
    elif not lines:
        sys.stdout.write("nothing\n")
    else:
        for line in lines:  # one line each, for people and for grep
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.at_s))
            words = [line.who, line.address, line.what, line.library_id, line.outcome]
            sys.stdout.write(clean_lines("  ".join([when, *filter(None, words)])) + "\n")


@contextmanager
def _people(config: Config | None, *, must_be_there: bool = True) -> Iterator["People"]:
    module: Any = import_extra("relook.people.people", "relook user", "serve")
    settings: Any = import_extra("relook.gateway.server_settings", "relook user", "serve")
    section = (config or config_of(None)).section("serve")
    path = section.get("people") or settings.ServerSettings().people
    people: People = module.People(path)
    if must_be_there and not people.file.exists():
        raise NotFoundError("no_people", "nobody was added yet", "run: relook user add NAME")
    try:
        yield people
    finally:
        people.close()


def _server(config: Config | None, at: str | None) -> str:
    """Address of the server that the settings describe, without a slash at its end.

    Raises:
        InputError: `bad_url` for one that no browser opens.
    """
    if at is not None:
        check_url(at)
        return at.strip().rstrip("/")
    section = (config or config_of(None)).section("serve")
    host, port = section.get("host", "127.0.0.1"), section.get("port", 8765)
    print_notes([f"the address is that of {host}; --at URL says how others reach the server"])
    scheme = "https" if section.get("tls_cert") else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _rights(words: list[str] | None) -> dict[str, Right]:
    return dict(parse_right(word) for word in words or ())


def _password(from_stdin: bool) -> str:
    """A password, never of the command line, which other users of the machine can read."""
    if from_stdin:
        return sys.stdin.buffer.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError(
            "no_terminal", "there is no terminal to ask for the password", "use --password-stdin"
        )
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise InputError("bad_password", "the two passwords differ", "try again")
    return first


def _lasts_s(text: str) -> float:
    match = _AGO.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_S:
        raise typer.BadParameter(
            f"{text!r} is no time of up to a year: 30m, 24h, 7d, 4w", param_hint="--ends"
        )
    return float(seconds)


def _since_s(text: str) -> float:
    if match := _AGO.fullmatch(text):
        return time.time() - int(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time: 2026-11-28, 24h, 7d", param_hint="--since"
        ) from error


def _known(people: "People", name: str) -> None:
    if people.accounts.known(name) is None:
        people.accounts.set_rights(name, {})  # says that there is nobody


def _shown(people: "People", name: str) -> str:
    return people.accounts.known(name) or name


def _must_have_somebody(people: "People") -> None:
    if not people.accounts.any():
        raise NotFoundError("no_people", "nobody was added yet", "run: relook user add NAME")


def _log(people: "People", what: str, rights: Mapping[str, Right] | None = None) -> None:
    outcome = f"done: {_words({k: right.word for k, right in rights.items()})}" if rights else ""
    people.file.write_line(CONSOLE, "", what, "", outcome or "done")


def _links_of(people: "People", shown: str) -> list[str]:
    """What to know of somebody who is kept out: the links that they made go on."""
    return [
        f"{made.name}, a link that {shown} made, goes on;"
        f" relook user revoke {quote(made.name)} ends it"
        for made in people.passes.all()
        if made.made_by == shown
    ]


def _tell(people: "People", name: str, as_json: bool) -> None:
    shown = _shown(people, name)
    (person,) = [person for person in people.accounts.all() if person.name == shown]
    if as_json:
        print_json(person.as_dict())
    else:
        sys.stdout.write(f"{person.name}: {_words(person.rights)}\n")


def _tell_pass(made: dict[str, Any], address: str, as_json: bool) -> None:
    if as_json:
        print_json({**made, "address": address})
    else:
        sys.stdout.write(f"{address}\n")
        name, ends = made["name"], _minute(made["ends_s"])
        print_notes([f"{name} ends {ends}; relook user revoke {quote(name)} ends it now"])
        if made.get("shows"):
            print_notes([f"it shows nothing while there is none: {made['shows']}"])


def _words(rights: Mapping[str, str]) -> str:
    """Rights in words: `mark everywhere, private: none`."""
    parts = [f"{word} every library" if key == "*" else f"{key}: {word}"
             for key, word in rights.items()]  # fmt: skip
    return ", ".join(parts) or "no library"


def _minute(seconds: float | None) -> str:
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
