"""Damage to a text as editors, exporters, disks and people who mean harm do it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

# Pieces that readers of text stumble over, whatever the format.
PIECES = (
    *('"', "'", "\\", ",", ";", "\t", "\n", "\r", "\r\n"),
    *("\n\n", " ", ":", "#", "[", "]", "{", "}", "-", "%"),
    *("\0", "\x1b[2J", "\x9b31m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\u00a0", "\u200b", "\ud800"),
    *("NaN", "nan", "inf", "-1", "1e999", "1,5", "9" * 5000, "0x" + "f" * 5000, "null", "None", "~", "true"),
    *("2026-99-99", "../../x", "/etc/passwd", "a" * 300, "a" * 150_000, "é", "e\u0301", "😀", "=1+1"),
)


def damage(random: Random, text: str, pieces: Sequence[str] = PIECES, most: int = 3) -> bytes:
    """The text with up to ``most`` places damaged, and now and then as bytes that are no UTF-8."""
    for _ in range(random.randint(1, most)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 0, 1, 2, 10, 100)))
        other = random.randrange(len(text) + 1)
        piece = random.choice(
            (
                random.choice(pieces),
                random.choice(pieces),
                "",
                text[other : other + random.choice((1, 20, 500))],
                text[start:end] * 2,
            )
        )
        text = text[:start] + piece + text[end:]
    content = text.encode("utf-8", "surrogatepass")
    kind = random.random()
    if kind < 0.03:
        return text.encode("utf-16", "surrogatepass")
    if kind < 0.06:
        return text.encode("latin-1", "replace")
    if kind < 0.1 and content:
        place = random.randrange(len(content))
        return content[:place] + random.randbytes(1) + content[place + 1 :]
    if kind < 0.13:
        return content[: random.randrange(len(content) + 1)]
    return content
