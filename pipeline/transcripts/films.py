"""The film of a transcript, found by its name below the user's folder of media."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import NamedTuple

from pipeline.corpora.annotations.cells import one_line
from pipeline.errors import UserError
from pipeline.media.opening import MediaError, open_media
from pipeline.transcripts.content import MediaLink, Transcript

FILM_SUFFIXES = frozenset((
    ".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts",
    ".ts", ".wmv", ".asf", ".flv", ".3gp", ".vob", ".ogv", ".mxf", ".dv",
))  # fmt: skip
SOUND_SUFFIXES = frozenset((
    ".wav", ".mp3", ".m4a", ".flac", ".aac", ".ogg", ".oga", ".opus",
    ".aif", ".aiff", ".wma", ".amr", ".caf", ".w64", ".au",
))  # fmt: skip


class Film(NamedTuple):
    """A medium, and where in it the transcript's clock shows 0."""

    path: Path
    origin_ms: int = 0
    note: str = ""
    """Why it is not the one that the transcript names, in words; empty if it is."""


class Films:
    """The media below a folder, by what they are called."""

    def __init__(self, folder: Path) -> None:
        """UserError if there is no such folder."""
        if not folder.is_dir():
            raise UserError(f"--media {folder}: is no folder")
        self.folder = folder
        self._named: dict[str, list[Path]] = {}
        self._stems: dict[str, list[Path]] = {}
        for where, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                suffix = PurePath(name).suffix.lower()
                if suffix in FILM_SUFFIXES | SOUND_SUFFIXES and not name.startswith("._"):
                    path = Path(where, name)
                    self._named.setdefault(one_line(name), []).append(path)
                    self._stems.setdefault(one_line(path.stem), []).append(path)

    def find(self, transcript: Transcript, camera: str | None) -> Film:
        """The film; UserError where there is none, or where it may be either of several."""
        links = list({link.name: link for link in transcript.media}.values())
        films = [link for link in links if not _is_sound(link.name)]
        if len(films) > 1:
            films = [_choose(films, camera)]
        for link in films or links:
            if len(named := self._named.get(link.name, [])) > 1:
                raise UserError(f"{link.name} may be either of {named[0]} and {named[1]}: rename one")
            stem = one_line(PurePath(link.name).stem)
            if named and films:
                return Film(named[0], link.origin_ms)
            if same := _pictures(self._stems.get(stem, [])):
                path = _only(same, camera)
                return Film(path, link.origin_ms, f"it names {link.name}, and {path} was taken")
            if named:
                return Film(named[0], link.origin_ms, f"sound alone, {named[0]}: there is no film {stem}.*")
        return self._by_stem(transcript, (films or links)[:1], camera)

    def _by_stem(self, transcript: Transcript, links: Sequence[MediaLink], camera: str | None) -> Film:
        stem = one_line(transcript.path.stem)
        same = self._stems.get(stem, [])
        if not same:
            named = f"{links[0].name}, which it names, nor " if links else ""
            raise UserError(f"below {self.folder} there is no {named}{stem}.* with picture or sound")
        path = _only(_pictures(same) or same, camera)
        origin = links[0].origin_ms if links else 0
        return Film(path, origin, f"it names {links[0].name}, and {path} was taken" if links else "")


def length_s(path: Path) -> float | None:
    """How long a medium is by its header, roughly; None where that does not tell."""
    try:
        with open_media(path) as container:
            return container.duration / 1e6 if container.duration else None
    except (MediaError, UserError):  # the manifest says what is wrong with it
        return None


def _is_sound(name: str) -> bool:
    return PurePath(name).suffix.lower() in SOUND_SUFFIXES


def _pictures(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in FILM_SUFFIXES]


def _only(paths: Sequence[Path], camera: str | None) -> Path:
    if len(paths) == 1:
        return paths[0]
    return paths[_place([path.name for path in paths], camera)]


def _choose(links: Sequence[MediaLink], camera: str | None) -> MediaLink:
    return links[_place([link.name for link in links], camera)]


def _place(names: Sequence[str], camera: str | None) -> int:
    """Which of several cameras the user means."""
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
    if camera is None:
        raise UserError(f"several films: choose one by --camera NUMBER or NAME, of {listed}")
    if camera.isdecimal() and 1 <= int(camera) <= len(names):
        return int(camera) - 1
    fitting = [place for place, name in enumerate(names) if fnmatchcase(one_line(name), one_line(camera))]
    if len(fitting) != 1:
        raise UserError(f"--camera {camera} is {len(fitting) or 'none'} of {listed}")
    return fitting[0]
