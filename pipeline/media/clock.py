"""Time in a media file: seconds on a player's clock, which shows 0 where the file starts."""

from __future__ import annotations

from typing import Any

import av
from av.format import Flags

# Packets stand in the order of decoding, but a key frame is shown after all before it.  One that is not, give
# or take a rounding, begins another recording.
BACKWARDS_S = 1.0
# Where clocks may start anew, a longer pause of everything is such a start: ffmpeg's dts_delta_threshold.
PAUSE_S = 10.0


def origin_s(container: av.container.InputContainer) -> float:
    """The time stamp where the file starts."""
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def start_s(container: av.container.InputContainer, stream: Any) -> float:
    """When a stream starts, in seconds from the start of the file."""
    if stream.start_time is None or container.start_time is None:
        return 0.0
    return max(0.0, float(stream.start_time * stream.time_base) - origin_s(container))


def stamp(packet: av.Packet) -> int | None:
    """When a packet is shown, in units of its time base; None if it has no time stamp."""
    return packet.pts if packet.pts is not None else packet.dts


class Clock:
    """Sets the stamps of a file's packets to one clock, where theirs starts anew.

    That happens in recordings joined end to end (MPEG-TS, MPEG-PS and Ogg allow it), and one follows the
    other as in a player.  All packets of the sound and the picture that are used must pass, in the file's
    order, so that both stay in step.
    """

    def __init__(self, container: av.container.InputContainer) -> None:
        self._may_start_anew = Flags.ts_discont in Flags(container.format.flags)
        self._shift_s = 0.0
        self._end_s = origin_s(container)
        self._last_s: dict[int, float] = {}

    def set(self, packet: av.Packet) -> None:
        """Move a packet's stamps.

        Raises ValueError where time goes back in a format that knows no such thing: players differ there.
        """
        shown = stamp(packet)
        if shown is None:
            return
        time_s = float(shown * packet.time_base) + self._shift_s
        last_s = self._last_s.get(packet.stream_index, time_s)
        if packet.is_keyframe and self._is_new_start(time_s, last_s):
            self._shift_s += self._end_s - time_s
            time_s = self._end_s
        if packet.is_keyframe or time_s < self._end_s + PAUSE_S:  # else, in all likelihood, a damaged stamp
            self._last_s[packet.stream_index] = max(last_s, time_s)
            self._end_s = max(self._end_s, time_s + float((packet.duration or 0) * packet.time_base))
        shift = round(self._shift_s / packet.time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def _is_new_start(self, time_s: float, last_s: float) -> bool:
        if self._may_start_anew:
            return time_s < last_s - BACKWARDS_S or time_s > self._end_s + PAUSE_S
        if time_s < last_s - BACKWARDS_S:
            raise ValueError(f"its time goes back from {last_s:.1f} to {max(0.0, time_s):.1f} s")
        return False
