"""The workflows that use text which they did not choose, by the first word of the message."""

from collections.abc import AsyncGenerator
from urllib.parse import quote

from pydantic import JsonValue

from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    DropdownPrompt,
    FormPrompt,
    Message,
    NotificationPrompt,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
    workflow,
)
from tests.hostile.attack.entries import texts
from tests.support.workflows.forms import TOOL_CALL

# As a server of the Model Context Protocol would ask it.
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 1, "maximum": 30},
        "sure": {"type": "boolean"},
        "kind": {"type": "string", "enum": ["holiday", "care"]},
        "note": {"type": "string", "maxLength": 100},
        "tell": {"type": "array", "items": {"type": "string", "enum": ["team", "boss"]}},
    },
    "required": ["days"],
}
DECIDED: dict[str, AnyPrompt] = {
    "tool call": TOOL_CALL,
    "form": FormPrompt(SCHEMA, text="When are you off?", submit="Send", reject="Decline"),
    "choice": RadioPrompt(text="Which?", options=["yes", "no"]),
    "text": TextPrompt(text="Why?"),
}


@workflow(name="hostile", title="Hostile", second_message="parallel")
async def hostile(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """`prompts N` opens so many, `decide KIND` asks what is to be decided; else `WAY ENTRY` does
    that with the entry of the corpus.
    """
    way, _, rest = message.text.partition(" ")
    if way == "prompts":
        await context.ask_all([TextPrompt(text=f"prompt {n}") for n in range(int(rest))])
        return
    if way == "decide":
        await context.ask(DECIDED[rest])
        return
    text = texts()[rest]
    match way:
        case "say":
            yield text
            context.show(text, text)
            yield str(await context.step(len, text, title=text))
        case "return":
            yield str(len(await context.step(str, text)))
        case "raise":
            raise ValueError(text)
        case "ask":
            answers = await context.ask_all(prompts(text))
            yield "|".join(answer.value for answer in answers)


def prompts(text: str) -> list[AnyPrompt]:
    """Return a prompt of each type, with the text wherever it takes one."""
    visible = text or " "
    choice = Option(value="yes", label=text, id=text, description=text)
    options = [choice, Option(value="no", destructive=True)]
    quoted = quote(text, safe="<>\"'&()[]", errors="surrogatepass")
    details: dict[str, JsonValue] = {text: text, "list": [text], "object": {text: [text]}}
    return [
        TextPrompt(text=visible, placeholder=text, error=text, details=details),
        NotificationPrompt(text=visible, details=details),
        *(
            kind(text=visible, options=options, error=text, details=details)
            for kind in (BinaryPrompt, RadioPrompt, DropdownPrompt, CheckboxPrompt)
        ),
        OAuthPrompt(text=f"https://login.example/?x={quoted}", details=details),
    ]
