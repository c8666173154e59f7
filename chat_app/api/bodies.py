"""The reading of JSON bodies: each user's bytes are counted, and the values of each body."""

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.types import DictStrAny

from chat_app.rates import Rate, rate_limits
from chat_app.wire.parsing import MOST_VALUES, TOO_MANY, has_too_many_values
from sessions_app.errors import Invalid
from sessions_app.json_types import load_json


class BodyParser(Parser):
    """The parser of bodies, which parses only what holds up nobody."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Parse a body.

        Raises:
            TooMany: the user has sent too many bytes.
            Invalid: it has too many values.
            ValueError: it is not JSON, or an object has the same name twice.
        """
        if (identity := getattr(request, "auth", None)) is not None:
            rate_limits.take((Rate.BYTES_USER, identity.person.id), amount=len(request.body))
        if has_too_many_values(request.body.decode(errors="replace")):
            raise Invalid(TOO_MANY, max_values=MOST_VALUES)
        body: DictStrAny = load_json(request.body)
        return body
