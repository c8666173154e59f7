"""The limits of what one user, or one address, may do in a time, and at once.

Who asks: the ways in (passwords, guests), messages by all doors, the HTTP interface, sockets.
"""

from chat_app.rates.at_once import Place, take_socket, take_stream
from chat_app.rates.rate_limits import LimitedRate, Rate, Reservation, rate_limits
from chat_app.rates.submission import change_claim, submit

__all__ = [
    "LimitedRate",
    "Place",
    "Rate",
    "Reservation",
    "change_claim",
    "rate_limits",
    "submit",
    "take_socket",
    "take_stream",
]
