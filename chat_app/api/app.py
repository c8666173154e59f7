"""The HTTP interface put together, with its OpenAPI document and page."""

from collections.abc import Callable

from django.contrib.auth.decorators import user_passes_test
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from ninja import NinjaAPI, Swagger

from chat_app.api import executions, generation_jobs, inbox, run_views
from chat_app.api.auth import ApiKey, Bearer, Guest, Rates, Session
from chat_app.api.bodies import BodyParser
from chat_app.api.large_results import spool_response
from chat_app.api.problems import HANDLERS
from chat_app.settings import ChatSettings


def _may_read_docs(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show the interface's description to people who are signed in, or to everybody (a setting)."""
    return user_passes_test(
        lambda user: user.is_authenticated or ChatSettings.load().API_DOCS_PUBLIC
    )(never_cache(view))


api = NinjaAPI(
    title="Human-in-the-loop workflows",
    version="1",
    description=(
        "Runs of workflows that stop to ask a person. The same runs, prompts and answers as on "
        "the page and the socket."
    ),
    # Its own is the last part; the first is that of `chat_app.urls`, which includes it.
    urls_namespace="chat:chat_api",
    auth=[Session(), Bearer(), ApiKey(), Guest()],
    throttle=[Rates()],
    parser=BodyParser(),
    # No badge of an outside validator.
    docs=Swagger(settings={"validatorUrl": None}),
    docs_decorator=_may_read_docs,
)
for error, handler in HANDLERS.items():
    api.add_exception_handler(error, handler)
api.add_decorator(never_cache, mode="view")
api.add_decorator(spool_response, mode="view")
api.add_router("", run_views.router)
api.add_router("", generation_jobs.router)
api.add_router("", executions.router)
api.add_router("", inbox.router)
