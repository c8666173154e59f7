"""The webhook that reports questions to another system, for example to a team's chat.

The format is https://www.standardwebhooks.com; a retry keeps its `webhook-id`.
"""

import hmac
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from functools import partial
from hashlib import sha256
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from django.utils import timezone
from pydantic_core import to_json

from chat_app.contrib.notifications.settings import NotificationSettings
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.questions.question_view import QuestionView
from sessions_app.signals.daemon_calls import call_within

log = Log(__name__)
Outcome = PendingSignal.Outcome

TIMEOUT = 10.0  # seconds for a webhook in total
# Pauses between retries grow up to an hour, so 30 tries take about a day.
TRIES = 30


# The HTTP handlers of urllib without its redirect handler. A redirect counts as a failed delivery,
# because a request is signed for one address only.
HANDLERS = (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor)

_opener = OpenerDirector()
for _handler in HANDLERS:
    _opener.add_handler(_handler())


def post(interaction: Interaction, event: str, id_: str, attempts: int) -> Outcome:
    """Post an event of the interaction; a retry has the same id. Blocks.

    Raises:
        OSError, HTTPException: the receiver did not accept the event; the caller retries.
    """
    section = NotificationSettings.load()
    if not section.WEBHOOK_URL:
        return Outcome.NO_ADDRESS
    body = to_json({"type": event, "timestamp": timezone.now(), "data": _data(interaction)})
    timestamp = str(int(time.time()))
    signature = hmac.digest(
        _key(section.WEBHOOK_SECRET), f"{id_}.{timestamp}.".encode() + body, sha256
    )
    headers = {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }
    request = Request(section.WEBHOOK_URL, body, headers, method="POST")  # noqa: S310 - the setting is checked
    try:
        call_within(TIMEOUT, partial(_send, request), "webhook")
    except (OSError, HTTPException) as error:  # OSError: network; HTTPException: malformed HTTP
        if isinstance(error, HTTPError):
            error.close()  # otherwise the error would keep the connection open
        if attempts < TRIES:
            raise
        log.error("webhook.given_up", type=event, id=id_, reason=str(error))  # noqa: TRY400 - the reason is logged
        return Outcome.GIVEN_UP
    return Outcome.SENT


def _send(request: Request) -> None:
    # The timeout of urllib is for one operation of the socket.
    with _opener.open(request, timeout=TIMEOUT) as answer:
        answer.read(1)


def _data(interaction: Interaction) -> dict[str, object]:
    """Return the public part of a question: no details, no answer."""
    view = QuestionView.of(interaction)
    return {
        "interaction_id": interaction.pk,
        "workflow": interaction.run.workflow,
        "question": view.short_title,
        "status": interaction.status,
        "to": view.to,
        "assignee": view.assignee,
        "due_at": interaction.due_at,
        "expires_at": interaction.expires_at,
        "url": NotificationSettings.load().public_link("chat:prompt", interaction.pk),
    }


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return b64decode(secret.removeprefix("whsec_"), validate=True)
        except NotBase64:
            pass
    return secret.encode()
