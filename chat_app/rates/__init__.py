"""The limits on the requests of one user or one address: per time, and concurrently.

The callers are sign-in (passwords, guests), all entry points of messages, the HTTP API and sockets.
"""

from chat_app.rates.at_once import ConnectionSlot, acquire_socket, acquire_stream
from chat_app.rates.rate_limits import LimitedRate, Rate, Reservation, rate_limits
from chat_app.rates.submission import change_claim, submit

__all__ = [
    "ConnectionSlot",
    "LimitedRate",
    "Rate",
    "Reservation",
    "acquire_socket",
    "acquire_stream",
    "change_claim",
    "rate_limits",
    "submit",
]
