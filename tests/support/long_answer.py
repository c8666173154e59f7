"""A long answer as models write them: Markdown, a few characters at a time."""

from itertools import count

SECTION = """\
## Part {number}

What follows is **important** for part {number}, and `code_{number}` is in it. See
[the page](https://example.org/{number}) for *more* of it; it goes on for a while, as such answers
do, until there is nothing left to say about it.

| Name | Value | Share |
| --- | ---: | ---: |
| first {number} | 12,345 | 40 % |
| second {number} | 23,456 | 60 % |

- one thing about {number}
- another thing, which is **longer** than the first
  - and one below it

```python
def part_{number}(value: int) -> int:
    # What it does.
    return value | {number}
```

"""


def report(length: int) -> str:
    """Return so many characters of a long answer."""
    text = ""
    for number in count(1):
        if len(text) >= length:
            break
        text += SECTION.format(number=number)
    return text[:length]


def tokens(text: str, size: int = 4) -> list[str]:
    """Return the text in pieces as a model produces them."""
    return [text[start : start + size] for start in range(0, len(text), size)]
