"""The types of JSON in rows, payloads and frames."""

from typing import Any, TypeAlias

# An object of JSON. What it holds is known to who reads it: as a type of all JSON, each step into
# it would have to be narrowed first.
JsonObject: TypeAlias = dict[str, Any]
