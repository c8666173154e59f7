"""The workflows that act for their person at the OAuth server."""

import os

import httpx2

from chat_app.contrib.oauth.access_token import AccessToken, access_token
from chat_app.contrib.oauth.errors import ConsentDeclined
from sessions_app.workflows import Context, Message, TextPrompt, workflow


async def read_notes(token: AccessToken, api: str) -> str:
    """Ask the API whose notes they are."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {await token.read()}"}
        answer = await client.get(api, headers=headers)
        answer.raise_for_status()
        return str(answer.json()["notes_of"])


@workflow(name="notes", title="Notes", second_message="parallel")
async def notes(message: Message, context: Context) -> str:
    """Read notes with the scopes that the message names; `later` waits before it uses the token."""
    words = message.text.split()
    scopes = [word for word in words if word != "later"]
    try:
        token = await access_token(context, "notes", scopes=scopes)
    except ConsentDeclined as error:
        return str(error)
    if "later" in words:
        await context.ask(TextPrompt(text="Now?"))
    return await context.step(read_notes, token, os.environ["NOTES_API"])
