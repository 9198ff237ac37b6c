"""Which frames are read, held against the number that every frame carries in its picture."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from pipeline.media.decoding import MediaError, Span
from pipeline.media.frames import frames_at, read_frames, sample_indices
from pipeline.media.probe import probe
from tests.media.numbered_video import number_shown, remux_from, write_numbered_video

FRAMES = 77
X264 = {"g": "12", "crf": "20", "preset": "ultrafast"}
B_FRAMES = {"g": "24", "bf": "3", "crf": "20", "preset": "veryfast", "b_strategy": "0"}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
UNEVEN_MS = np.cumsum(np.random.default_rng(0).integers(5, 120, FRAMES)).tolist()


def shown(images: list[np.ndarray]) -> list[int]:
    return [number_shown(image) for image in images]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("constant_rate.mp4", {"options": X264}),
        ("b_frames.mp4", {"options": B_FRAMES}),
        ("b_frames.ts", {"options": B_FRAMES}),
        ("b_frames.avi", {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}),
        ("variable_rate.mp4", {"options": B_FRAMES, "times_ms": UNEVEN_MS}),
        ("variable_rate.mkv", {"options": B_FRAMES, "times_ms": UNEVEN_MS}),
        (
            "fragments.mp4",
            {"options": B_FRAMES, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
        ),
        ("odd_size.mp4", {"options": X264, "pixel_format": "yuv444p", "size_px": (161, 97)}),
        ("odd_size_420.mkv", {"codec": "ffv1", "size_px": (163, 95)}),
        ("grey.mp4", {"options": X264, "pixel_format": "gray"}),
        ("ten_bits.mp4", {"options": X264, "pixel_format": "yuv420p10le"}),
        ("grey_16_bits.mkv", {"codec": "ffv1", "pixel_format": "gray16le"}),
        ("full_range.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
        ("turned_left.mp4", {"options": X264, "turn_degrees": 90}),
        ("upside_down.mp4", {"options": X264, "turn_degrees": 180}),
        ("turned_right.mp4", {"options": X264, "turn_degrees": 270}),
        ("mirrored.mp4", {"options": X264, "mirrored": True}),
    ],
)
def test_frames_are_those_at_the_paper_s_step_upright_and_whole(tmp_path: Path, name: str, how: dict) -> None:
    path = write_numbered_video(tmp_path / name, FRAMES, **how)
    width_px, height_px = how.get("size_px", (160, 96))
    [(_, frames)] = read_frames(path, 20)
    assert frames.indices == sample_indices(FRAMES, 20)
    assert shown(frames.images) == frames.indices
    assert {image.shape for image in frames.images} == {(height_px, width_px, 3)}
    again = dict(frames_at(path, frames.indices[::3]))
    assert list(again) == shown(list(again.values())) == frames.indices[::3]
    found = probe(path)
    assert (found.frame_count, found.width_px, found.height_px) == (FRAMES, width_px, height_px)
    assert found.image_problem == ""


@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_colours_follow_the_matrix_and_range_that_the_video_names(
    tmp_path: Path, matrix: Colorspace, colour_range: ColorRange
) -> None:
    skin = np.array([200, 140, 110])
    red, green, blue = skin / 255
    of_red, of_blue = (0.2126, 0.0722) if matrix == Colorspace.ITU709 else (0.299, 0.114)
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    chroma = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    low, high, wide = (16, 219, 224) if colour_range == ColorRange.MPEG else (0, 255, 255)
    levels = [low + high * luma, *(128 + wide * value for value in chroma)]
    frame = av.VideoFrame(64, 64, "yuv420p")
    frame.colorspace, frame.color_range = matrix, colour_range
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes([round(level)]) * plane.buffer_size)
    path = tmp_path / "skin.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=64, pix_fmt="yuv420p")
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, colour_range
        container.mux([*stream.encode(frame), *stream.encode()])
    [(_, frames)] = read_frames(path, 20)
    np.testing.assert_allclose(frames.images[0][32, 32], skin, atol=4)


def test_a_cut_that_an_edit_list_makes_is_where_the_video_begins(tmp_path: Path) -> None:
    whole = write_numbered_video(tmp_path / "whole.mp4", FRAMES, options=B_FRAMES)
    cut = remux_from(whole, tmp_path / "cut.mp4", start_s=1.4)
    # At 25 frames/s the cut begins with frame 35; frames 24 to 34 are in the file, but hidden.
    [(_, frames)] = read_frames(cut, 20)
    assert frames.indices == sample_indices(FRAMES - 35, 20)
    assert shown(frames.images) == [35 + index for index in frames.indices]
    [(_, part)] = read_frames(cut, 5, [Span(0.2, 0.4)])
    assert shown(part.images) == [40, 41, 42, 43, 44]
    assert probe(cut).frame_count == FRAMES - 35


def test_a_span_of_a_video_of_variable_rate_holds_the_frames_that_are_shown_in_it(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "uneven.mkv", FRAMES, options=B_FRAMES, times_ms=UNEVEN_MS)
    from_start_s = (np.array(UNEVEN_MS) - UNEVEN_MS[0]) / 1000
    [(_, part)] = read_frames(path, 100, [Span(1.0, 2.5)])
    inside = np.flatnonzero((from_start_s >= 1.0) & (from_start_s < 2.5)).tolist()
    assert part.indices == shown(part.images) == inside


def test_a_frame_count_that_lies_in_the_container_is_not_believed(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "liar.avi", FRAMES, codec="mpeg4")
    header = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # dwTotalFrames, dwLength
        place = header.index(chunk) + offset
        assert int.from_bytes(header[place : place + 4], "little") == FRAMES
        header[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(header)
    [(_, frames)] = read_frames(path, 20)
    assert frames.indices == shown(frames.images) == sample_indices(FRAMES, 20)
    assert probe(path).frame_count == FRAMES


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("cut.mp4", {"options": B_FRAMES, "container_options": {"movflags": "faststart"}}),
        ("cut.mkv", {"options": B_FRAMES, "times_ms": UNEVEN_MS}),
        ("cut.ts", {"options": B_FRAMES}),
        ("cut.avi", {"codec": "mpeg4"}),
    ],
)
def test_a_truncated_file_is_sampled_up_to_where_it_ends(tmp_path: Path, name: str, how: dict) -> None:
    path = write_numbered_video(tmp_path / name, FRAMES, **how)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    [(_, everything)] = read_frames(path, 1000)
    left = len(everything.images)
    assert 20 < left < FRAMES - 5
    # The decoder may fill in the very last picture, whose data is cut.
    assert everything.indices[:-1] == shown(everything.images[:-1]) == list(range(left - 1))
    [(_, frames)] = read_frames(path, 20)
    assert frames.indices == sample_indices(left, 20)
    assert shown(frames.images) == frames.indices
    assert probe(path).image_problem == ""


def test_a_damaged_frame_costs_only_itself_and_the_others_are_numbered_without_it(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "damaged.avi", 30, codec="png", pixel_format="rgb24")
    damage_pictures(path, [7])
    [(_, frames)] = read_frames(path, 100)
    assert frames.indices == list(range(29))
    assert shown(frames.images) == [number for number in range(30) if number != 7]
    assert shown(list(dict(frames_at(path, [6, 7])).values())) == [6, 8]


@pytest.mark.parametrize("lost", [range(5), [3, 12]])
def test_where_frames_are_lost_a_span_still_holds_those_that_are_shown_in_it(
    tmp_path: Path, lost: Sequence[int]
) -> None:
    path = write_numbered_video(tmp_path / "damaged.avi", 30, codec="png", pixel_format="rgb24")
    damage_pictures(path, lost)
    parts = dict(read_frames(path, 100, [Span(0.6, 0.8), Span(0, 0.4), Span()]))
    left = [number for number in range(30) if number not in lost]
    assert shown(parts[0].images) == list(range(15, 20))
    assert shown(parts[1].images) == [number for number in left if number < 10]
    assert shown(parts[2].images) == left
    for part in parts.values():
        assert part.indices == [left.index(number) for number in shown(part.images)]


def test_a_recording_that_begins_between_key_frames_counts_time_from_its_beginning(tmp_path: Path) -> None:
    whole = write_numbered_video(tmp_path / "whole.ts", FRAMES, options=B_FRAMES)
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[188 * (whole.stat().st_size // 188 // 2) :])
    with av.open(whole) as container, av.open(cut) as later:
        begin_s = (later.start_time - container.start_time) / av.time_base
    [(_, part)] = read_frames(cut, 100, [Span(1.21, 1.59)])
    assert shown(part.images) == [n for n in range(FRAMES) if 1.21 <= n / 25 - begin_s < 1.59]
    [(_, frames)] = read_frames(cut, 100)
    assert shown(frames.images)[0] / 25 > begin_s + 0.1  # what stands before the first key frame is lost


@pytest.mark.parametrize("name", ["decoding_stamps.avi", "raw.h264"])
def test_frames_whose_stamps_say_nothing_of_their_order_are_counted(tmp_path: Path, name: str) -> None:
    path = write_numbered_video(tmp_path / name, FRAMES, options=B_FRAMES)
    [(_, frames)] = read_frames(path, 20)
    assert frames.indices == shown(frames.images) == sample_indices(FRAMES, 20)


def test_a_span_of_a_video_without_time_stamps_is_refused(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "raw.h264", FRAMES, options=B_FRAMES)
    assert probe(path).duration_s == 0
    with pytest.raises(MediaError, match="the picture has no time stamps"):
        list(read_frames(path, 20, [Span(1, 2)]))


def test_a_file_without_one_good_frame_says_why(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "dark.avi", 5, codec="png", pixel_format="rgb24")
    damage_pictures(path, range(5))
    with pytest.raises(MediaError, match="picture cannot be decoded: Invalid data"):
        list(read_frames(path, 20))
    assert probe(path).image_problem.startswith("picture cannot be decoded: Invalid data")


def damage_pictures(path: Path, numbers: Iterable[int]) -> None:
    """Make pictures of a video of PNGs 0 pixels wide and high."""
    header, *pictures = path.read_bytes().split(PNG_SIGNATURE)
    for number in numbers:
        picture = pictures[number]
        assert picture[4:8] == b"IHDR"
        pictures[number] = picture[:8] + bytes(8) + picture[16:]
    path.write_bytes(PNG_SIGNATURE.join([header, *pictures]))


def test_a_header_cut_in_the_middle_stops_nothing(tmp_path: Path) -> None:
    whole = write_numbered_video(tmp_path / "whole.mp4", FRAMES, options=X264).read_bytes()
    for missing in range(0, len(whole) // 4, 97):  # the header stands at the end of the file
        path = tmp_path / "cut.mp4"
        path.write_bytes(whole[: len(whole) - missing])
        found = probe(path)
        assert found.image_problem or found.frame_count == FRAMES


def test_memory_grows_neither_with_the_length_of_the_video_nor_with_its_utterances(tmp_path: Path) -> None:
    short = write_numbered_video(tmp_path / "short.mp4", 40, options=X264, size_px=(640, 480))
    long = write_numbered_video(tmp_path / "long.mp4", 400, options=X264, size_px=(640, 480))
    # 20 pictures of 0.9 MiB each are kept, and those before until then; all 400 would be 350 MiB.
    expected_mib = peak_mib(short, 1)
    assert peak_mib(long, 1) - expected_mib < 30
    assert peak_mib(long, 20) - expected_mib < 30


def peak_mib(video: Path, utterances: int) -> float:
    """Most memory of a process of its own that samples a video of as many utterances end to end."""
    code = (
        "import sys; from pathlib import Path; from pipeline.media.decoding import Span\n"
        "from pipeline.media.frames import read_frames\n"
        "path, count = Path(sys.argv[1]), int(sys.argv[2])\n"
        "spans = [Span(16 * n / count, 16 * (n + 1) / count) for n in range(count)]\n"
        "assert [len(frames.images) for _, frames in read_frames(path, 20, spans)] == [20] * count\n"
        # Not ru_maxrss, which counts from the memory of the process that started this one.
        "[peak] = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "print(int(peak.split()[1]) / 1024)"
    )
    command = [sys.executable, "-c", code, str(video), str(utterances)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
