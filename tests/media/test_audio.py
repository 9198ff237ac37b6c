"""Sound of any file as mono at 16 kHz."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from pipeline.media.decoding import MediaError, Span, audio_stream, decode
from pipeline.media.opening import open_media
from tests.media.seconds import second_heard, write_seconds
from tests.media.sounds import read_audio

RATE_HZ = 16000


def noise(samples: int, channels: int = 1) -> np.ndarray:
    """Full-scale int16 [samples, channels]."""
    return np.random.default_rng(0).integers(-32768, 32768, (samples, channels)).astype(np.int16)


def sine(hertz: float, rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(
        np.float32
    )


def level_db(samples: np.ndarray) -> float:
    """Of the middle, in dB of a sine of amplitude 0.5."""
    return float(20 * np.log10(samples[2000:-2000].std() / (0.5 / np.sqrt(2)) + 1e-12))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_a_mono_wav_at_16_khz_is_read_to_the_last_bit(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, noise(20000)[:, 0], RATE_HZ, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    [(_, samples)] = read_audio(path, RATE_HZ)
    np.testing.assert_array_equal(samples, expected)


def test_stereo_is_averaged_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, noise(20000, 2), RATE_HZ)
    expected, _ = soundfile.read(path, dtype="float32")
    [(_, samples)] = read_audio(path, RATE_HZ)
    np.testing.assert_array_equal(samples, expected.mean(axis=1))


# ITU-R BS.775 and its siblings: centre 1, left and right 0.7, surround 0.5, no LFE, scaled to the sum of 1.
R = np.sqrt(0.5)
WEIGHTS = {1: [1], 2: [1, 1], 6: [R, R, 1, 0, 0.5, 0.5], 9: [1] * 9, 20: [1] * 20}


@pytest.mark.parametrize("channels", WEIGHTS)
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_channels_are_mixed_with_weights_that_sum_to_one(tmp_path: Path, channels: int, rate_hz: int) -> None:
    path = tmp_path / "channels.wav"
    levels = np.arange(1, channels + 1) / 32
    soundfile.write(path, np.tile(levels, (rate_hz, 1)), rate_hz, subtype="FLOAT")
    [(_, samples)] = read_audio(path, RATE_HZ)
    expected = np.average(levels, weights=WEIGHTS[channels])
    np.testing.assert_allclose(samples[2000:-2000], expected, rtol=1e-5)
    assert len(samples) == RATE_HZ


@pytest.mark.parametrize(("channels", "heard"), [(1, 1), (2, 1.5), (6, 3), (20, 10.5)])
def test_the_centre_is_taken_alone_where_a_file_has_one(tmp_path: Path, channels: int, heard: float) -> None:
    path = tmp_path / "channels.wav"
    soundfile.write(path, np.tile(np.arange(1, channels + 1) / 32, (48000, 1)), 48000, subtype="FLOAT")
    if channels == 6:  # as MELD has it: coded, and its channels named
        with av.open(tmp_path / "named.mka", "w") as container:
            stream: Any = container.add_stream("flac", rate=48000, layout="5.1")
            samples = np.tile(np.arange(1, 7, dtype=np.int16) * 1024, 48000)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "5.1")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            container.mux([*stream.encode(frame), *stream.encode()])
        path = tmp_path / "named.mka"
    [(_, samples)] = read_audio(path, RATE_HZ, channels="centre")
    np.testing.assert_allclose(samples[2000:-2000], heard / 32, rtol=1e-3)


def test_more_than_eight_channels_that_lie_in_planes_of_their_own_count_alike(tmp_path: Path) -> None:
    """As of ambisonics in Opus; PyAV alone crashes."""
    levels = np.arange(12, dtype=np.int16) * 1000
    with av.open(tmp_path / "planes.wv", "w") as container:
        stream: Any = container.add_stream("wavpack", rate=RATE_HZ, layout="12 channels")
        stream.codec_context.format = "s16p"
        frame = av.AudioFrame.from_ndarray(np.tile(levels, (1, RATE_HZ)), "s16", "12 channels")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        container.mux([*stream.encode(frame), *stream.encode()])
    [(_, samples)] = read_audio(tmp_path / "planes.wv", RATE_HZ)
    np.testing.assert_allclose(samples, levels.mean() / 32768, rtol=1e-5)
    assert len(samples) == RATE_HZ


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_the_rate_changes_and_speech_keeps_its_level_and_length(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "sine.wav"
    for hertz in (100, 1000, 3000):
        soundfile.write(path, sine(hertz, rate_hz, 2), rate_hz, subtype="FLOAT")
        [(_, samples)] = read_audio(path, RATE_HZ)
        assert len(samples) == pytest.approx(2 * RATE_HZ, abs=1)
        assert level_db(samples) == pytest.approx(0, abs=0.05)
        assert np.abs(np.fft.rfft(samples)).argmax() / 2 == pytest.approx(hertz, abs=1)


@pytest.mark.parametrize("hertz", [9000, 12000, 15000, 20000])
def test_what_16_khz_cannot_hold_is_removed_and_not_folded_back(tmp_path: Path, hertz: int) -> None:
    path = tmp_path / "high.wav"
    soundfile.write(path, sine(hertz, 48000), 48000, subtype="FLOAT")
    [(_, samples)] = read_audio(path, RATE_HZ)
    assert level_db(samples) < -60


def test_sound_may_change_its_channels_and_rate_in_mid_stream(tmp_path: Path) -> None:
    parts = []
    for layout, channels, rate_hz in (("mono", 1, 32000), ("stereo", 2, 48000)):
        path = write_mp2(
            tmp_path / f"{layout}.mp2", np.tile(sine(440, rate_hz), (channels, 1)), layout, rate_hz
        )
        parts.append(path.read_bytes())
    (tmp_path / "both.mp2").write_bytes(b"".join(parts))
    [(_, samples)] = read_audio(tmp_path / "both.mp2", RATE_HZ)
    assert len(samples) == pytest.approx(2 * RATE_HZ, abs=4000)
    first, second = np.split(samples, 2)
    assert level_db(first) == pytest.approx(level_db(second), abs=0.5)


def test_a_span_counts_from_the_start_of_the_file_where_the_sound_begins_later(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        audio = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for _ in range(50):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        container.mux(video.encode())
        ramp = av.AudioFrame.from_ndarray(np.arange(24000, dtype=np.int16)[None], "s16", "mono")
        ramp.sample_rate, ramp.pts = RATE_HZ, 8000  # half a second late
        container.mux(audio.encode(ramp))
        container.mux(audio.encode())
    sounds = dict(read_audio(path, RATE_HZ, [Span(), Span(1.0, 1.5), Span(0, 0.4)]))
    assert [len(sounds[place]) for place in range(3)] == [24000, 8000, 0]
    np.testing.assert_array_equal(sounds[1] * 32768, np.arange(8000, 16000))


def heard(path: Path, seconds: int) -> list[int | None]:
    """What is heard in each second of a file."""
    sounds = dict(read_audio(path, RATE_HZ, [Span(s + 0.2, s + 0.8) for s in range(seconds)]))
    return [second_heard(sounds[place]) for place in range(seconds)]


def lose(packet: av.Packet) -> None:
    """No packet."""


def damage(packet: av.Packet) -> av.Packet:
    """A packet of the same time with other bytes."""
    damaged = av.Packet(bytes(range(256)) * (packet.size // 256 + 1))
    damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
    damaged.duration, damaged.stream = packet.duration, packet.stream
    return damaged


def damage_header(packet: av.Packet) -> av.Packet:
    """A packet of AAC that begins as one with a header of its own, which is none."""
    damaged = av.Packet(b"\xff" * 200)
    damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
    damaged.duration, damaged.stream = packet.duration, packet.stream
    return damaged


def between(
    start_s: float, end_s: float, change: Callable[[av.Packet], av.Packet | None]
) -> Callable[[av.Packet], av.Packet | None]:
    """Packets of this time changed."""
    return lambda packet: change(packet) if start_s <= packet.pts * packet.time_base < end_s else packet


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "change"),
    [
        ("lost.mkv", "aac", 48000, lose),
        ("lost.mp4", "aac", 44100, lose),
        ("lost.mkv", "pcm_s16le", 16000, lose),
        ("lost.ts", "mp2", 48000, lose),
        ("untransmitted_silence.webm", "libopus", 48000, lose),
        ("undecodable.mkv", "flac", 44100, damage),
        ("undecodable.mkv", "aac", 48000, damage_header),
    ],
)
def test_sound_is_heard_when_its_time_stamps_say_and_what_is_missing_is_silence(
    tmp_path: Path, name: str, codec: str, rate_hz: int, change: Callable[[av.Packet], av.Packet | None]
) -> None:
    path = write_seconds(
        tmp_path / name, range(12), sound=codec, rate_hz=rate_hz, change=between(4, 9, change)
    )
    assert heard(path, 12) == [0, 1, 2, 3, *[None] * 5, 9, 10, 11]
    [(_, whole)] = read_audio(path, RATE_HZ)
    assert len(whole) == pytest.approx(12 * RATE_HZ, abs=0.1 * RATE_HZ)
    parts = dict(read_audio(path, RATE_HZ, [Span(5, 6), Span(3.5, 9.5), Span(9.5), Span(0, 3.5)]))
    assert parts[0].tolist() == [0.0] * RATE_HZ
    np.testing.assert_array_equal(np.concatenate([parts[3], parts[1], parts[2]]), whole)


def test_a_packet_costs_only_its_own_sound_whatever_the_decoder_says_of_it(tmp_path: Path) -> None:
    path = write_seconds(
        tmp_path / "damaged.mkv", range(4), sound="aac", change=between(1.5, 1.6, damage_header)
    )
    with av.open(path) as container, pytest.raises(av.FFmpegError) as caught:
        list(container.decode(audio=0))
    assert not isinstance(caught.value, av.InvalidDataError)
    assert heard(path, 4) == [0, 1, 2, 3]


def test_where_every_packet_is_damaged_the_decoder_says_why(tmp_path: Path) -> None:
    later = between(0.1, math.inf, damage_header)  # nobody writes such a file whole
    path = write_seconds(tmp_path / "damaged.mkv", range(2), sound="aac", change=later)
    with open_media(path) as container:
        stream = audio_stream(container)
        container.seek(round(1 / stream.time_base), stream=stream)
        with pytest.raises(MediaError, match="sound cannot be decoded: its data make no sense"):
            list(decode(container, stream))


def test_sound_begins_with_the_first_packet_that_can_be_decoded(
    tmp_path: Path,
) -> None:
    damage_first = between(0, 1.5, damage)
    path = write_seconds(tmp_path / "late.mkv", range(4), sound="flac", change=damage_first)
    assert heard(path, 4) == [None, 1, 2, 3]
    [(_, whole)] = read_audio(path, RATE_HZ)
    assert len(whole) == pytest.approx(2.5 * RATE_HZ, abs=0.3 * RATE_HZ)
    assert whole[:100].any()


def test_stamps_that_stand_still_are_not_followed(tmp_path: Path) -> None:
    path = write_seconds(tmp_path / "still.rm", range(4), sound="real_144", rate_hz=8000)
    with av.open(path) as container:
        assert {packet.pts for packet in container.demux() if packet.size} == {0}
    assert heard(path, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_sound_whose_clock_drifts_is_never_a_tenth_of_a_second_off(tmp_path: Path, speed: float) -> None:
    """An hour at 1 part in 3,000, as sound cards have it, is off by a second; so is this minute."""

    def drift(packet: av.Packet) -> av.Packet:
        packet.pts = packet.dts = round(packet.pts * speed)
        return packet

    path = write_seconds(tmp_path / "drift.mkv", range(50), sound="pcm_s16le", change=drift)
    spans = [Span((s + 0.2) * speed, (s + 0.8) * speed) for s in range(50)]
    sounds = dict(read_audio(path, RATE_HZ, spans))
    assert [second_heard(sounds[place]) for place in range(50)] == list(range(50))
    [(_, whole)] = read_audio(path, RATE_HZ)
    assert len(whole) == pytest.approx(50 * speed * RATE_HZ, abs=0.1 * RATE_HZ)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_time_stamps_rounded_to_milliseconds_put_no_sample_in_or_out(tmp_path: Path, rate_hz: int) -> None:
    path = write_seconds(tmp_path / "rounded.mkv", range(4), sound="flac", rate_hz=rate_hz)
    with av.open(path) as container:
        packets = [packet for packet in container.demux() if packet.size]
        assert {packet.time_base for packet in packets} == {Fraction(1, 1000)}
        blocks = [frame.to_ndarray() for packet in packets for frame in packet.decode()]
    soundfile.write(tmp_path / "counted.wav", np.concatenate(blocks, axis=1)[0], rate_hz)
    [(_, samples)] = read_audio(path, RATE_HZ)
    [(_, counted)] = read_audio(tmp_path / "counted.wav", RATE_HZ)
    np.testing.assert_array_equal(samples, counted)


def test_a_jump_of_hours_is_no_silence_but_a_damaged_time_stamp(tmp_path: Path) -> None:
    def jump(packet: av.Packet) -> av.Packet:
        if packet.pts * packet.time_base >= 2:
            packet.pts = packet.dts = packet.pts + round(7200 / packet.time_base)
        return packet

    path = write_seconds(tmp_path / "jump.mkv", range(4), sound="pcm_s16le", change=jump)
    sounds = read_audio(path, RATE_HZ, [Span(0, 1), Span(1, 3)])
    assert len(next(sounds)[1]) == RATE_HZ
    with pytest.raises(MediaError, match="sound jumps from 2 to 7202 s"):
        next(sounds)


def test_sounds_come_in_the_order_in_which_their_utterances_end(tmp_path: Path) -> None:
    path = write_seconds(tmp_path / "long.wav", range(30), sound="pcm_s16le")
    spans = [Span(20, 21), Span(1, 2), Span(1.5, 3)]
    assert [place for place, _ in read_audio(path, RATE_HZ, spans)] == [1, 2, 0]


def test_a_truncated_file_is_heard_up_to_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, noise(40000), RATE_HZ)
    [(_, whole)] = read_audio(path, RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    [(_, half)] = read_audio(path, RATE_HZ)
    assert 12000 < len(half) < 24000
    np.testing.assert_array_equal(half, whole[: len(half)])


def test_a_file_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(noise(100).tobytes())
    with pytest.raises(MediaError, match="cannot be opened"):
        list(read_audio(path, RATE_HZ))


def write_mp2(path: Path, samples: np.ndarray, layout: str, rate_hz: int) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("mp2", rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16), "s16p", layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler("s16", layout, rate_hz, frame_size=1152)
        for block in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(block))
        container.mux(stream.encode())
    return path
