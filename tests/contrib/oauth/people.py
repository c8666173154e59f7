"""A person in their browser, who follows the link of a card, agrees elsewhere, and comes back."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.test import AsyncClient

from sessions_app.contrib.testing.hosted_run import HostedRun
from tests.contrib.oauth.provider import visit

SITE = "http://testserver"


@dataclass(frozen=True)
class Page:
    """A page that a person reads."""

    status: int
    text: str


@dataclass(frozen=True)
class Browser:
    """The browser of a person who is signed in here."""

    client: AsyncClient

    async def get(self, address: str) -> Any:
        """Get an address of this site."""
        return await self.client.get(address.removeprefix(SITE))

    async def leave(self, run: HostedRun) -> str:
        """Follow the link of the run's card; return the provider's address to which it leads."""
        answer = await self.get(await link_of(run))
        assert answer.status_code == 302, answer.content
        return str(answer["Location"])

    async def come_back(self, address: str) -> Page:
        """Come back to the address to which the provider sends the person."""
        assert address.startswith(f"{SITE}/oauth/")
        answer = await self.get(address)
        return Page(answer.status_code, " ".join(answer.content.decode().split()))

    async def consent(self, run: HostedRun, **fields: Any) -> Page:
        """Go to the provider, agree there, and come back; `fields` are as of `visit`."""
        return await self.come_back(await elsewhere(await self.leave(run), **fields))


async def elsewhere(address: str, **fields: Any) -> str:
    """Be at the provider; return where it sends the person."""
    return await asyncio.to_thread(visit, address, **fields)


async def link_of(run: HostedRun) -> str:
    """Return the address of the link on the run's card."""
    [prompt] = await run.prompts()
    return prompt.text


def changed(address: str, **parameters: str | None) -> str:
    """Return the address with parameters changed, or left out."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    kept = {name: text for name, text in query.items() if text is not None}
    return parts._replace(query=urlencode(kept)).geturl()
