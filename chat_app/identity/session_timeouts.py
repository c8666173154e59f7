"""The time-outs of sessions: people sign in again after being idle, and at the latest after a
while.

Django's sessions have one end. The middleware puts it off when the person does something, up to the
latest end, which is set once; what a person does on a socket puts it off too.
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

from chat_app.settings import ChatSettings
from sessions_app.logs import Log
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# In the data of the session.
LATEST = "signed_in_until"
# There while the browser's cookie ends before the session, which was put off on a socket.
OUTLIVES_COOKIE = "outlives_cookie"
# Of requests that no person has made: a page that keeps itself up to date.
BACKGROUND = "X-Background"
# Seconds by which an end may be put off too little, so that not every request writes the session.
PRECISION = 60.0

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def session_timeouts(get_response: GetResponse) -> GetResponse:
    """Wrap the session's timeouts: a middleware below Django's, which stores what this changes."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        # Who has not looked at the session has not acted for its person either.
        session = request.session
        if session.accessed and await _is_read(session):
            was_modified = session.modified
            is_put_off = BACKGROUND not in request.headers and _put_off(session)
            is_cookie_late = session.pop(OUTLIVES_COOKIE, False)
            if (is_put_off or is_cookie_late) and not was_modified:
                session.modified = await _store(session)
        return response

    return middleware


async def _is_read(session: SessionBase) -> bool:
    """Return whether the request could read the session: a failed database counts as access too."""
    try:
        await session.aget(SESSION_KEY)
    except DatabaseError:
        return False
    return True


async def _store(session: SessionBase) -> bool:
    """Store it before Django does, which would fail the request; a full disk can still be read."""
    try:
        await session.asave()
    except (UpdateError, DatabaseError) as error:  # it has ended meanwhile, or cannot be stored
        log.warning("session.not_put_off", error=str(error))
        return False
    return True


async def put_off(session: SessionBase) -> None:
    """Put off the end of a socket's session, read before: its person did something."""
    if LATEST not in session or not _put_off(session):  # the middleware is not in use, or not yet
        return

    def store(tx: Transaction) -> None:
        fresh = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)
        if _put_off(fresh):
            fresh[OUTLIVES_COOKIE] = True
            with suppress(UpdateError):  # it has ended meanwhile
                fresh.save()

    await writer.write(store)


def _put_off(session: SessionBase) -> bool:
    """Put the end off in the data of a signed-in session; False if that would change little."""
    chat = ChatSettings.load()
    idle, absolute = chat.SESSION_IDLE_TIMEOUT, chat.SESSION_ABSOLUTE_TIMEOUT
    if SESSION_KEY not in session or not (idle or absolute):
        return False
    now = timezone.now()
    # One that has begun while there was none gets its latest end now.
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
