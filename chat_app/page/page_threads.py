"""Making pages and files: in threads of their own, and for each reader one at a time.

What people and workflows write may be much work to show, and databases may be slow: that holds up
who asked for it, and no socket, no `/health` and no other's page. Files are made as their clients
take them, and counted with the streams.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from chat_app.identity.request_facts import address_of
from chat_app.page.markdown import work
from chat_app.rates import take_stream
from sessions_app.errors import TooMany
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.connections import yield_response
from sessions_app.storage.spool import PIECE, pieces, spool

T = TypeVar("T")

THREADS = 2

_executor = reads.make_threads(THREADS, "page")
_turns = reads.Shares(1)


async def make(function: Callable[[], T], *, reader: UserId) -> T:
    """Run a function that reads and renders in one of the threads, once it is the reader's turn."""
    within_limit = work.of_page()(function)
    return await _turns.run(reader, lambda: reads.begin_in(_executor, within_limit))


def download(
    request: HttpRequest,
    content: AsyncIterator[bytes],
    *,
    reader: UserId,
    headers: Mapping[str, str],
) -> HttpResponse | StreamingHttpResponse:
    """Answer with a file; or say when to come back, as the reader or their address has too many."""
    try:
        place = take_stream(user=reader, address=address_of(request))
    except TooMany as error:
        return HttpResponse(
            f"{error}\n",
            status=HTTPStatus.TOO_MANY_REQUESTS,
            content_type="text/plain; charset=utf-8",
            headers={"Retry-After": str(error.seconds)},
        )
    # Whoever holds the response holds the place, which is given back with it, too.
    chunks = yield_response(content, at_end=lambda: place.leave())
    return StreamingHttpResponse(chunks, headers=dict(headers))


async def yield_texts(texts: Iterator[str], reader: UserId) -> AsyncIterator[bytes]:
    """Yield texts, each made when those before it have been taken."""
    goes_on = True
    while goes_on:
        goes_on = False
        async for piece in pieces(await make(partial(spool, texts, PIECE), reader=reader)):
            goes_on = True
            yield piece
