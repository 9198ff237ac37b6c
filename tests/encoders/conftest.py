from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from pipeline.encoders.face_vectors import ClipFaces
from pipeline.encoders.resnets.network import ARCHITECTURES, Architecture, build_untrained
from pipeline.faces.dialogues import find_faces_of_dialogue
from pipeline.manifest import Medium
from pipeline.media.clips import image_clip
from pipeline.params import FacesParams


@pytest.fixture(scope="session")
def clip(demo_root: Path, sound_clip: Medium) -> ClipFaces:
    """A clip with six of the faces in it, each of another frame."""
    params = FacesParams(min_face_size_px=40)
    faces = find_faces_of_dialogue([image_clip(sound_clip)], demo_root, params)
    return ClipFaces(sound_clip.path, "", faces["frame_index"][:6], faces["box_px"][:6])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained network in a file, small enough for a test, as resnet50: a head of 7, 256 below it."""
    small = Architecture("small ResNet", (1, 1, 1, 1), width=8)
    monkeypatch.setitem(ARCHITECTURES, "resnet50", small)
    path = tmp_path / "faces.safetensors"
    save_file(build_untrained(small, 7, seed=3).state_dict(), path)
    return path
