"""The JSON Schema of the protocol, from the models that frames are checked with."""

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from chat_app.wire.client_messages import MESSAGES
from chat_app.wire.server_messages import SERVER_MESSAGES
from sessions_app.json_types import JsonObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def protocol_schema() -> JsonObject:
    """Build the schema; `$defs` has `ClientMessage` and `ServerMessage`, a message is either."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation") for model in (*MESSAGES.values(), *SERVER_MESSAGES)
    ]
    references, schema = models_json_schema(models)
    client = [
        {**references[model, "validation"], "properties": {"type": {"const": type_}}}
        for type_, model in MESSAGES.items()
    ]
    server = [references[model, "validation"] for model in SERVER_MESSAGES]
    schema["$defs"]["ClientMessage"] = {
        "description": "What a client may send. Fields that are not named here are ignored.",
        "required": ["type"],
        "oneOf": client,
    }
    schema["$defs"]["ServerMessage"] = {
        "description": "What a server of this version sends. Later ones may have more.",
        "oneOf": server,
    }
    return {
        "$schema": DIALECT,
        "title": "The messages of the chat socket",
        "description": "See protocol.md. Made by `manage.py protocol_schema`.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("ClientMessage", "ServerMessage")],
        "$defs": schema["$defs"],
    }
