"""How pages look and speak, as their reader has chosen. Page and templates import it."""
