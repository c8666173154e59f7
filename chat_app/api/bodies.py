"""The reading of JSON bodies: each user's bytes are counted, and the values of each body."""

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.types import DictStrAny

from chat_app.rates import Rate, rate_limits
from chat_app.wire.parsing import MOST_VALUES, TOO_MANY, has_too_many_values
from sessions_app.errors import Invalid


class BodyParser(Parser):
    """The parser of bodies, which parses only what holds up nobody."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Parse a body.

        Raises:
            TooMany: the user has sent too many bytes.
            Invalid: it has too many values.
        """
        if (identity := getattr(request, "auth", None)) is not None:
            rate_limits.take((Rate.BYTES_USER, identity.person.id), amount=len(request.body))
        if has_too_many_values(request.body.decode(errors="replace")):
            raise Invalid(TOO_MANY, max_values=MOST_VALUES)
        return super().parse_body(request)
