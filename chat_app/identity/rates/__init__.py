"""How much one user, or one address, may do in a time. Imported by the folders of the chat.

What is counted: `Rate`. Who asks: the way in (passwords, guests), messages, the HTTP interface.
"""

from chat_app.identity.rates.rate_limits import Rate, rate_limits
from chat_app.identity.rates.submission import submit

__all__ = ["Rate", "rate_limits", "submit"]
