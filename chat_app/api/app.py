"""The HTTP interface put together, with its OpenAPI document and page."""

from ninja import NinjaAPI, Swagger

from chat_app.api import executions, views
from chat_app.api.auth import ApiKey, Bearer, Guest, Session
from chat_app.api.problems import HANDLERS

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
    # No badge of an outside validator.
    docs=Swagger(settings={"validatorUrl": None}),
)
for error, handler in HANDLERS.items():
    api.add_exception_handler(error, handler)
api.add_router("", views.router)
api.add_router("", executions.router)
