"""The brand of a project on all pages: name, logo and colour."""

from functools import cache
from hashlib import sha256

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from chat_app.settings import ChatSettings

Colour = tuple[float, float, float]
WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
# Backgrounds, copied from base.css, on which text in the accent colour has to be readable:
# `--hover` of the light and of the dark theme, and `--page` of the dark theme.
LIGHT_GROUND, DARK_GROUND, DARK_PAGE = "#e9ebe7", "#272d2b", "#121514"
ON_DARK_ACCENT = "#0b0f0e"
LEAST_CONTRAST = 4.6  # minimum contrast of text to background; WCAG requires 4.5
STEP = 0.04


@require_safe
def style_sheet(_: HttpRequest) -> HttpResponse:
    """Return the style sheet of the project's accent colour, which browsers cache for a year."""
    accent = ChatSettings.load().BRAND.accent
    if not accent:
        raise Http404
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return HttpResponse(colours(accent), content_type="text/css", headers=headers)


@cache
def version(accent: str) -> str:
    """Return the version in the URL of an accent's style sheet: a hash of the contents."""
    return sha256(colours(accent).encode()).hexdigest()[:12]


@cache
def colours(accent: str) -> str:
    """Return a style sheet for an accent colour, darkened or lightened until text is readable."""
    colour = parse(accent)
    tints = _mix(colour, WHITE, 0.9), _mix(colour, parse(DARK_PAGE), 0.86)
    light = _readable(colour, BLACK, (tints[0], parse(LIGHT_GROUND)))
    dark = _readable(colour, WHITE, (tints[1], parse(DARK_GROUND)))
    pairs = {
        "accent": (light, dark),
        "accent-strong": (_mix(light, BLACK, 0.25), _mix(dark, WHITE, 0.35)),
        "on-accent": (WHITE, parse(ON_DARK_ACCENT)),
        "tint": tints,
    }
    lines = (f"--{name}:light-dark({_hex(a)},{_hex(b)})" for name, (a, b) in pairs.items())
    return f":root{{{';'.join(lines)}}}\n"


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, as WCAG defines it: from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def parse(text: str) -> Colour:
    """Return the colour that is written as `#rrggbb`."""
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _readable(colour: Colour, towards: Colour, grounds: tuple[Colour, ...]) -> Colour:
    """Mix the colour with another until its contrast to each background suffices for text."""
    share = 0.0
    while share < 1 and any(
        contrast(_mix(colour, towards, share), ground) < LEAST_CONTRAST for ground in grounds
    ):
        share += STEP
    return _mix(colour, towards, min(share, 1))


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)
