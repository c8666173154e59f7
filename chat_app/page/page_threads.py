"""Page and file rendering in separate threads, one at a time for each reader.

Long texts take long to render, and databases may be slow. Such work delays only its own reader; no
socket, no `/health` and no page of another person waits. Files are produced as fast as the client
reads, and count as streams.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from chat_app.identity.request_facts import address_of
from chat_app.page.markdown import work
from chat_app.rates import acquire_stream
from sessions_app.errors import TooMany
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.connections import yield_response
from sessions_app.storage.spool import PIECE_BYTES, pieces, spool

T = TypeVar("T")

THREADS = 2

_executor = reads.make_threads(THREADS, "page")
_turns = reads.Shares(1)


async def make(function: Callable[[], T], *, reader: UserId) -> T:
    """Run a function that reads and renders in a thread, when the reader's turn comes."""
    within_limit = work.of_page()(function)
    return await _turns.run(reader, lambda: reads.begin_in(_executor, within_limit))


def download(
    request: HttpRequest,
    content: AsyncIterator[bytes],
    *,
    reader: UserId,
    headers: Mapping[str, str],
) -> HttpResponse | StreamingHttpResponse:
    """Answer with a file, or 429 and a retry time if reader or address has too many streams."""
    try:
        slot = acquire_stream(user=reader, address=address_of(request))
    except TooMany as error:
        return HttpResponse(
            f"{error}\n",
            status=HTTPStatus.TOO_MANY_REQUESTS,
            content_type="text/plain; charset=utf-8",
            headers={"Retry-After": str(error.seconds)},
        )
    # The response holds the reader's stream slot, so dropping an unread response frees the slot.
    chunks = yield_response(content, at_end=lambda: slot.release())
    return StreamingHttpResponse(chunks, headers=dict(headers))


async def yield_texts(texts: Iterator[str], reader: UserId) -> AsyncIterator[bytes]:
    """Yield texts; each text is produced after the client has taken the previous one."""
    goes_on = True
    while goes_on:
        goes_on = False
        async for piece in pieces(await make(partial(spool, texts, PIECE_BYTES), reader=reader)):
            goes_on = True
            yield piece
