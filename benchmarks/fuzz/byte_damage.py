"""Damage to a file's bytes as disks, cables and people who mean harm do it."""

from __future__ import annotations

from random import Random

PAGE_BYTES = 4096
ODD_NUMBERS = (0, 1, 2, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damage(random: Random, content: bytes) -> bytes:
    """The content with some of it zeroed, flipped, overwritten, copied elsewhere, cut off or added to."""
    spoilt = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        start = random.randrange(len(spoilt) + 1)
        kind = random.choice(("page", "page", "flip", "number", "number", "copy", "cut", "add"))
        if kind == "page":
            start -= start % random.choice((1, 512, PAGE_BYTES))
            end = min(len(spoilt), start + PAGE_BYTES)
            spoilt[start:end] = bytes(end - start)
        elif kind == "flip":
            for _ in range(random.choice((1, 10, 100))):
                if spoilt:
                    spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
        elif kind == "number":
            size, start = random.choice((1, 2, 4, 8)), start & ~7
            number = random.choice((*ODD_NUMBERS, random.randrange(len(spoilt) + 1))) % 256**size
            spoilt[start : start + size] = number.to_bytes(size, random.choice(("little", "big")))
        elif kind == "copy":
            other, size = random.randrange(len(spoilt) + 1), random.choice((8, 64, 512, PAGE_BYTES))
            spoilt[start : start + size] = spoilt[other : other + size]
        elif kind == "cut" and random.random() < 0.3:
            del spoilt[start:]
        elif random.random() < 0.3:
            spoilt[start:start] = random.randbytes(random.choice((1, 8, 4096)))
    return bytes(spoilt)
