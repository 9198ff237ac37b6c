"""Speak one line with espeak-ng: a program of its own, request on stdin, 16-bit mono sound on stdout.

The library keeps state from one line to the next that none of its calls resets, so only a fresh process
speaks a line the same way every time.  The request is a JSON object:
``text``, ``voice``, ``rate_wpm`` (80-450), ``pitch`` and ``pitch_range`` (0-99, 50 is the voice's own).
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from pathlib import Path

import espeakng_loader

SAMPLE_RATE_HZ = 22050

# Of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT_ON_ERROR = 0x8000
_CHARACTERS = 1
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    """Read the request, speak, write the sound; any failure ends in a message and status 1."""
    request = json.load(sys.stdin)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    with tempfile.TemporaryDirectory() as folder:
        # espeak-ng cuts paths after 160 characters; a virtual environment may well lie deeper.
        Path(folder, "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
        rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, folder.encode(), _DONT_EXIT_ON_ERROR)
        if rate != SAMPLE_RATE_HZ:
            sys.exit(f"espeak-ng does not load its data from {espeakng_loader.get_data_path()}")
        sys.stdout.buffer.write(_speak(library, **request))


def _speak(library: ctypes.CDLL, text: str, voice: str, rate_wpm: int, pitch: int, pitch_range: int) -> bytes:
    chunks: list[bytes] = []

    @_Callback
    def collect(samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"espeak-ng has no voice {voice!r}")
    for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, value, 0)
    # Breathy voices draw on a generator that is seeded with the time of day.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    encoded = text.encode()
    if library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _UTF8, None, None) != 0:
        sys.exit(f"espeak-ng does not speak {text!r}")
    library.espeak_Synchronize()
    return b"".join(chunks)


if __name__ == "__main__":
    main()
