"""The corpus: what is in `corpus/`, by name.

An entry is a text, or `{"repeat": [piece, times, …]}`. In headers, frames and bodies a character is
a byte (Latin-1, or hexadecimal); elsewhere it may be half of a surrogate pair.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parents[1] / "corpus"

Entries = dict[str, str]


@cache
def entries(file: str, section: str = "") -> Entries:
    """Return the entries of a file, or of a section of it."""
    content = json.loads((CORPUS / f"{file}.json").read_text())
    return {
        name: _text(entry) for name, entry in (content[section] if section else content).items()
    }


def texts() -> Entries:
    """Return the texts for wherever a text may be given. Ids and names of conversations are texts
    as well.
    """
    return entries("texts") | entries("names") | entries("markdown")


def hostile_json() -> list[tuple[str, str]]:
    """Return the values for wherever JSON has one, as they are written there."""
    written = {name: json.dumps(text) for name, text in texts().items()}
    return [*(written | entries("json", "values")).items()]


def frames() -> dict[str, bytes]:
    """Return what comes after a handshake, as it is on the wire."""
    return {name: bytes.fromhex(entry) for name, entry in entries("frames").items()}


def _text(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    pieces, times = entry["repeat"][::2], entry["repeat"][1::2]
    return "".join(piece * number for piece, number in zip(pieces, times, strict=True))
