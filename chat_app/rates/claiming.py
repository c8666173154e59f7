"""Claims of prompts, within the rate of who claims: each leaves an entry in the audit."""

from chat_app.rates.rate_limits import Rate, rate_limits
from sessions_app.interactions import claims
from sessions_app.interactions.claims import Claimed
from sessions_app.models.people import Person


async def change_claim(what: str, interaction: str, *, to: str, by: Person, via: str) -> Claimed:
    """Claim a prompt, release it, or delegate it: `claims.change`.

    Raises:
        TooMany: that person has done so too often.
        NotFound, Invalid: as `claims.change`.
    """
    rate_limits.take((Rate.CLAIMS_USER, by.id))
    return await claims.change(what, interaction, to=to, by=by, via=via)
