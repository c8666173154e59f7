"""The timeouts of sessions: people sign in again after idling, and after an absolute limit.

A Django session has one expiry time. The middleware postpones the expiry after each action of the
person, up to the absolute limit, which is set once; actions on a socket postpone it, too.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.decorators import async_only_middleware

from chat_app.identity.request_facts import PERSON_HEADER, is_for_another
from chat_app.settings import ChatSettings
from sessions_app.logs import Log
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# Key of the absolute limit in the session's data.
LATEST = "signed_in_until"
# Key in the session's data, set when a socket has extended the session. The browser's cookie then
# expires before the session, because a socket cannot set cookies.
OUTLIVES_COOKIE = "outlives_cookie"
# Header of requests that a page sends by itself, such as a refresh of its content.
BACKGROUND = "X-Background"
# Minimum seconds of an extension, so that not every request writes the session.
PRECISION = 60.0

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def session_timeouts(get_response: GetResponse) -> GetResponse:
    """Apply the timeouts: a middleware below Django's SessionMiddleware, which saves sessions."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        # Requests that never read the session do not count as actions of the session's person.
        session = request.session
        if not (session.accessed and await _is_read(session)):
            return response
        # A page that was made for another person keeps sending requests by itself. They must not
        # extend this session, nor may a response set its cookie again after the other person has
        # signed in.
        if not await _is_of_another_page(request):
            was_modified = session.modified
            is_extended = BACKGROUND not in request.headers and _extend(session)
            is_cookie_late = session.pop(OUTLIVES_COOKIE, False)
            if (is_extended or is_cookie_late) and not was_modified:
                session.modified = await _store(session)
        return response

    return middleware


async def _is_of_another_page(request: HttpRequest) -> bool:
    if PERSON_HEADER not in request.headers:
        return False
    return is_for_another(request, (await request.auser()).pk)


async def _is_read(session: SessionBase) -> bool:
    """Return whether the session could be read. `accessed` is set even after a failure."""
    try:
        await session.aget(SESSION_KEY)
    except DatabaseError:
        return False
    return True


async def _store(session: SessionBase) -> bool:
    """Save the session before Django does, so that an error, as of a full disk, is only logged."""
    try:
        await session.asave()
    except (UpdateError, DatabaseError) as error:  # session ended or disk full: keep the old expiry
        log.warning("session.not_put_off", error=str(error))
        return False
    return True


async def extend(session: SessionBase) -> None:
    """Extend a socket's session, which is already loaded, after an action of the person."""
    if LATEST not in session or not _extend(session):  # no timeouts apply without the middleware
        return

    def store(tx: Transaction) -> None:
        fresh = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)
        if _extend(fresh):
            fresh[OUTLIVES_COOKIE] = True
            with suppress(UpdateError):  # ignore a session that ended meanwhile
                fresh.save()

    await writer.write(store)


def _extend(session: SessionBase) -> bool:
    """Set a new expiry in a signed-in session's data; return False if the change would be small."""
    chat = ChatSettings.load()
    idle, absolute = chat.SESSION_IDLE_TIMEOUT, chat.SESSION_ABSOLUTE_TIMEOUT
    if SESSION_KEY not in session or not (idle or absolute):
        return False
    now = timezone.now()
    # Set the absolute limit now for a session that began before the limit was configured.
    if LATEST not in session or (absolute and session[LATEST] is None):
        session[LATEST] = (now + timedelta(seconds=absolute)).timestamp() if absolute else None
    ends = [datetime.fromtimestamp(latest, UTC)] if (latest := session[LATEST]) else []
    if idle:
        ends.append(now + timedelta(seconds=idle))
    end = min(ends)
    shift = abs(end - session.get_expiry_date())
    if "_session_expiry" in session and shift.total_seconds() <= min(PRECISION, idle / 10):
        return False
    session.set_expiry(end)
    return True
