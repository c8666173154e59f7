"""The section of the shop in the project's `HITL` settings."""

from pathlib import Path

from pydantic import Field

from sessions_app.settings import Section


class ShopSettings(Section):
    """The settings of the shop."""

    PRINTER: Path | None = Field(default=None, description="the path of a printer")
