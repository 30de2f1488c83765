"""Signing in and out, accepting an invitation, and who one is. Layer: server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from relook.core.errors import InputError
from relook.core.json_form import Longest, Shortest
from relook.gateway.admission import WHO, address_of, forget_cookies, set_session
from relook.people.passes import SESSION_S
from relook.people.rights import Kind, Who
from relook.server.state import AnswerRoute, State, WhoOf
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

router = APIRouter(tags=["people"], route_class=AnswerRoute)
_Name = Annotated[str, Shortest(1), Longest(200)]
_Password = Annotated[str, Shortest(1), Longest(2000)]


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """Who wants in.

    Args:
        name: Capitals do not matter.
        password: As it was given to `relook user add`, or with the invitation.
    """

    name: _Name
    password: _Password


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """Who accepts an invitation.

    Args:
        invitation: Its token, from the address that `relook user invite` printed.
        name: How one wants to be called.
        password: At least eight characters.
    """

    invitation: Annotated[str, Shortest(1), Longest(200)]
    name: _Name
    password: _Password


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks.

    Args:
        kind: `person`; `link` for a visitor who has one; `token`; `everyone` where nobody has to
            sign in.
        name: Of the person.
        rights: Library to `view`, `mark` or `index`.
        links_open: Whether links can be made for others here: where people sign in.
    """

    kind: Kind
    name: str
    rights: Mapping[str, str]
    links_open: bool


@router.post("/sign-in", status_code=204)
async def sign_in(
    body: Annotated[SignInRequest, Checked()], request: Request, state: State
) -> Response:
    """Signs somebody in, by a cookie; a session that the browser had before ends."""
    _check_needed(state)
    token = await state.signing.run(
        state.people.sign_in, body.name, body.password, address_of(request.scope)
    )
    return await _with_session(request, state, token)


@router.post("/invitations/accept", status_code=204)
async def accept(
    body: Annotated[AcceptRequest, Checked()], request: Request, state: State
) -> Response:
    """Makes a person of an invitation, which ends with it, and signs them in."""
    _check_needed(state)
    token = await state.signing.run(
        state.people.accept, body.invitation, body.name, body.password, address_of(request.scope)
    )
    return await _with_session(request, state, token)


@router.post("/sign-out", status_code=204)
async def sign_out(request: Request, state: State, who: WhoOf) -> Response:
    """Ends the session, and takes every cookie of this server from the browser."""
    if who.session is not None:
        await state.signing.run_to_end(state.people.passes.end, who.session)
    response = Response(status_code=204)
    forget_cookies(response, request.scope, state.settings)
    return response


@router.get("/me", response_model=answer_model(Me))
async def me(state: State, who: WhoOf) -> dict[str, Any]:
    """Who asks, and what they may do with each library that they may see."""
    rights = {volume.library_id: who.right(volume.library_id) for volume in state.libraries}
    shown = {library_id: right.word for library_id, right in rights.items() if right}
    # Only where there is a file it is read, and that once.
    links_open = state.people.may_be_there() and await state.core.run(state.people.links_open)
    name = who.name if who.kind == "person" else ""
    return served(Me(who.kind, name, shown, links_open))


def _check_needed(state: State) -> None:
    if not state.people.may_be_there():
        raise InputError(
            "no_people",
            "this server knows nobody, and asks nobody to sign in",
            "on its machine run: relook user add NAME --right mark",
        )


async def _with_session(request: Request, state: State, token: str) -> Response:
    """The answer that sets the cookie of a new session; the one before has ended."""
    before: Who = request.scope[WHO]
    if before.session is not None:
        await state.signing.run_to_end(state.people.passes.end, before.session)
    response = Response(status_code=204)
    set_session(response, request.scope, state.settings, token, SESSION_S)
    return response
