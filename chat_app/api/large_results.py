"""Results that wait on the disk, not in memory, for clients that read slowly."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from sessions_app.storage.connections import yield_response
from sessions_app.storage.spool import PIECE, pieces, spool

View = Callable[..., Awaitable[HttpResponseBase]]


def spool_response(view: View) -> View:
    """Decorate a view: what is large of its responses is sent from a file, piece by piece."""

    @wraps(view)
    async def spooled_view(*args: object, **kwargs: object) -> HttpResponseBase:
        response = await view(*args, **kwargs)
        if not isinstance(response, HttpResponse) or len(response.content) <= PIECE:
            return response
        file = await asyncio.to_thread(partial(spool, iter([response.content])))
        return StreamingHttpResponse(
            yield_response(pieces(file)),
            status=response.status_code,
            headers={**response.headers, "Content-Length": str(len(response.content))},
        )

    return spooled_view
