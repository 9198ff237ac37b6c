"""Speech models of transformers, held against direct calls of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    WhisperForConditionalGeneration,
)

from pipeline import runtime
from pipeline.encoders import audio_vectors
from pipeline.encoders.audio import transformers
from pipeline.encoders.audio.transformers import Encoder, Params, find_encoder
from pipeline.encoders.audio_vectors import describe_audio_of_dialogue
from pipeline.encoders.layers import hidden_states
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.media.clips import Clip, audio_clip
from pipeline.media.decoding import MediaError
from tests.encoders.speech import hum
from tests.encoders.speech_models import BASE, CONFIGS, SIZE, save_model
from tests.media.sounds import read_audio

KEY = "corpora.demo.audio.encoder"


def encoder_in(folder: Path, **params: Any) -> Encoder:
    return find_encoder(KEY, Params(weights=str(folder), **params), find_local(KEY, str(folder)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_model(tmp_path_factory.mktemp("speech") / "model", name) for name in CONFIGS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "wavlm")


def directly(folder: Path, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What transformers itself says of a sound: each block [5, T, 16], and the network in the end [T, 16]."""
    processor, network = (
        AutoFeatureExtractor.from_pretrained(folder),
        AutoModel.from_pretrained(folder).eval(),
    )
    inputs = processor(samples, sampling_rate=16000, return_tensors="pt")
    frames = None
    if network.config.model_type == "whisper":
        network, frames = network.get_encoder(), -(-len(samples) // 320)
        inputs = {"input_features": inputs.input_features}
    blocks: list[torch.Tensor] = []
    for block in network.layers if frames else network.encoder.layers:
        block.register_forward_hook(lambda _, given, output: blocks.append(output))
    with torch.no_grad():
        last = network(**inputs).last_hidden_state
    states = [block[0] if isinstance(block, tuple) else block for block in blocks]
    return torch.cat(states)[:, :frames].numpy(), last[0, :frames].numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_vector_is_the_mean_over_layers_and_time_of_what_transformers_says(
    folders: dict[str, Path], name: str
) -> None:
    samples = hum(1.3)
    blocks, last = directly(folders[name], samples)
    expected = {
        (-4, -3, -2, -1): blocks[1:].mean(axis=(0, 1)),
        (1, -5): None,  # one layer by two names
        (2,): blocks[1].mean(axis=0),
        "last": last.mean(axis=0),
    }
    for layers, vector in expected.items():
        if vector is not None:
            encoder = encoder_in(folders[name], layers=layers)
            assert encoder.dimension == 16
            np.testing.assert_allclose(encoder.embed(samples), vector, atol=1e-5)
    both = encoder_in(folders[name], layers="last", pooling="mean_std")
    assert both.dimension == 32
    np.testing.assert_allclose(
        both.embed(samples), np.concatenate([last.mean(axis=0), last.std(axis=0)]), atol=1e-5
    )


def test_the_last_four_layers_are_the_default(folders: dict[str, Path]) -> None:
    assert Params(weights="some/model").layers == (-4, -3, -2, -1)


@pytest.mark.parametrize("name", ["wavlm, large", "whisper"])
def test_long_sound_is_cut_into_equal_pieces_and_every_frame_counts_alike(
    folders: dict[str, Path], name: str
) -> None:
    samples = hum(41.0)
    if name == "whisper":
        pieces = np.split(samples, 2)
    else:  # its level is that of the whole
        samples = (samples - samples.mean()) / samples.std()
        pieces = np.split(samples[: len(samples) // 3 * 3], 3)
        samples = np.concatenate(pieces)
    series = np.concatenate([directly_unscaled(folders[name], piece) for piece in pieces])
    vector = encoder_in(folders[name], layers="last").embed(samples)
    np.testing.assert_allclose(vector, series.mean(axis=0), atol=1e-5)


def directly_unscaled(folder: Path, samples: np.ndarray) -> np.ndarray:
    """The last layer [T, D] of sound that is on its level already."""
    network = AutoModel.from_pretrained(folder).eval()
    if network.config.model_type == "whisper":
        return directly(folder, samples)[1]
    with torch.no_grad():
        return network(torch.from_numpy(samples)[None].float()).last_hidden_state[0].numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_clips_vector_depends_on_nothing_beside_it(
    demo_root: Path, demo_media: dict[str, Medium], folders: dict[str, Path], name: str
) -> None:
    encoder = encoder_in(folders[name])
    clips = [audio_clip(medium) for medium in demo_media.values()][:4]
    together = describe_audio_of_dialogue(clips, demo_root, encoder, -70.0)
    assert together["device"].tolist() == ["cpu"]
    for clip, vector, reason in zip(clips, together["features"], together["reason"], strict=True):
        alone = describe_audio_of_dialogue([clip], demo_root, encoder, -70.0)
        np.testing.assert_array_equal(alone["features"][0], vector)
        if not reason:
            [(_, samples)] = read_audio(demo_root / clip.path, 16000)
            np.testing.assert_allclose(
                vector, directly(folders[name], samples)[0][1:].mean(axis=(0, 1)), atol=1e-5
            )


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Clips share passes as on a GPU; how many pieces went through the network in each pass."""
    monkeypatch.setattr(runtime, "shares_passes", lambda: True)
    widths: list[int] = []

    def listen(network: Any, layers: Any, **inputs: torch.Tensor) -> torch.Tensor:
        [values] = inputs.values()
        widths.append(len(values))
        return hidden_states(network, layers, **inputs)

    monkeypatch.setattr(transformers, "hidden_states", listen)
    return widths


@pytest.mark.parametrize("name", CONFIGS)
def test_clips_of_one_length_that_share_a_pass_give_what_each_gives_alone(
    folders: dict[str, Path], name: str, passes: list[int]
) -> None:
    encoder = encoder_in(folders[name], pooling="mean_std")
    loud = [hum(1.0), hum(0.6), 0.3 * hum(1.0), hum(0.6)[::-1].copy(), hum(0.8)]
    together = encoder.embed_together(loud)
    assert sorted(passes) == ([5] if name == "whisper" else [1, 2, 2])
    for samples, vector in zip(loud, together, strict=True):
        np.testing.assert_allclose(vector, encoder.embed(samples), atol=1e-5)


def test_a_dialogues_clips_share_passes_whatever_cannot_be_heard_among_them(
    folders: dict[str, Path], tmp_path: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [hum(1.0), hum(1.0)[:399], 0.5 * hum(1.0), 0 * hum(1.0), hum(0.6), *[hum(1.0)[::-1]] * 3]
    for number, samples in enumerate(sounds):
        soundfile.write(tmp_path / f"{number}.wav", samples, 16000, subtype="FLOAT")
    clips = [Clip(f"{number}.wav", "", "") for number in range(len(sounds))]
    clips.append(Clip("gone.wav", "", "clip missing"))
    encoder = encoder_in(folders["hubert, large"])

    def describe(clips: list[Clip]) -> dict[str, np.ndarray]:
        return describe_audio_of_dialogue(clips, tmp_path, encoder, -70.0)

    found = describe(clips)
    assert passes == [5, 1]
    assert [bool(reason) for reason in found["reason"]] == [False, True, False, True, *[False] * 4, True]
    assert found["reason"][1] == "too short for HuBERT (0.02 s)"
    alone = [describe([clip]) for clip in clips]
    assert found["reason"].tolist() == [str(each["reason"][0]) for each in alone]
    np.testing.assert_allclose(found["features"], [each["features"][0] for each in alone], atol=1e-5)
    passes.clear()
    monkeypatch.setattr(audio_vectors, "HELD_S", 2.0)  # a long dialogue is held in parts
    describe(clips)
    assert passes == [2, 1, 1, 2]


def test_sound_shorter_than_a_frame_is_no_observation(folders: dict[str, Path]) -> None:
    with pytest.raises(MediaError, match=r"^too short for WavLM \(0\.02 s\)$"):
        encoder_in(folders["wavlm, base"]).embed(hum(1.0)[:399])
    one_frame = encoder_in(folders["wavlm, base"], pooling="mean_std").embed(hum(1.0)[:400])
    assert not one_frame[16:].any()


def test_a_folder_in_half_precision_or_in_shards_gives_the_same(folder: Path, tmp_path: Path) -> None:
    network = AutoModel.from_pretrained(folder)
    save_model(tmp_path / "half", network=network.half())
    rounded = AutoModel.from_pretrained(tmp_path / "half", dtype=torch.float32)
    save_model(tmp_path / "single", network=rounded)
    rounded.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    AutoFeatureExtractor.from_pretrained(folder).save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("model-*-of-*.safetensors"))) > 1
    vectors = [encoder_in(tmp_path / name).embed(hum(1.0)) for name in ("half", "single", "shards")]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_a_recogniser_as_it_is_published_serves_as_encoder(tmp_path: Path) -> None:
    """With its head, without the weights of masking, and with the names of an older torch."""
    torch.manual_seed(0)
    folder = save_model(tmp_path, "wav2vec2, base", Wav2Vec2ForCTC(CONFIGS["wav2vec2, base"]))
    expected = directly(folder, hum(1.0))[1].mean(axis=0)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = load_file(folder / "model.safetensors")
    for new_name, name in old.items():
        found = next(each for each in tensors if each.endswith(new_name))
        tensors[found.replace(new_name, name)] = tensors.pop(found)
    del tensors["wav2vec2.masked_spec_embed"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_allclose(encoder_in(folder, layers="last").embed(hum(1.0)), expected, atol=1e-6)


def test_whisper_as_it_is_published_gives_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = save_model(tmp_path, "whisper", WhisperForConditionalGeneration(CONFIGS["whisper"]))
    expected = directly(folder, hum(1.0))[1].mean(axis=0)
    np.testing.assert_allclose(encoder_in(folder, layers="last").embed(hum(1.0)), expected, atol=1e-6)


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_cannot_be_used_is_one_line_that_names_the_key(folder: Path) -> None:
    for layers, complaint in (((6,), "there is no layer 6; WavLMModel has 5"), ((-6,), "no layer -6")):
        with pytest.raises(UserError, match=rf"^{KEY}\.layers: .*{complaint}"):
            encoder_in(folder, layers=layers)
    change_config(folder, num_hidden_layers=6)
    with pytest.raises(UserError, match=rf"^{KEY}: the weights in .* do not fit WavLMModel"):
        encoder_in(folder)
    change_config(folder, model_type="bert")
    with pytest.raises(
        UserError, match=rf"^{KEY}: .* is a bert, and no speech model that is known here \(wavlm"
    ):
        encoder_in(folder)
    (folder / "preprocessor_config.json").unlink()
    change_config(folder, model_type="wavlm", num_hidden_layers=5)
    with pytest.raises(UserError, match=rf"^{KEY}: .* holds no preprocessor_config\.json, which tells"):
        encoder_in(folder)


def test_code_in_a_folder_is_never_run_and_nobody_is_asked(folder: Path, tmp_path: Path) -> None:
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Net: pass\n")
    change_config(
        folder, model_type="own", auto_map={"AutoConfig": "modeling.Net", "AutoModel": "modeling.Net"}
    )
    with pytest.raises(UserError, match=rf"^{KEY}: .* cannot be loaded: .*custom code"):
        encoder_in(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_that_take_the_place_of_others_are_those_that_are_used(folder: Path) -> None:
    before = encoder_in(folder).embed(hum(1.0))
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    after = encoder_in(folder).embed(hum(1.0))
    assert not np.array_equal(before, after)


def test_a_model_with_an_adapter_whose_frames_are_fewer_than_its_layers_is_refused(tmp_path: Path) -> None:
    config = Wav2Vec2Config(**SIZE, **BASE, add_adapter=True, output_hidden_size=16)
    folder = save_model(tmp_path / "adapted", network=AutoModel.from_config(config))
    with pytest.raises(UserError, match=rf"^{KEY}: .*adapted has an adapter \(add_adapter\): choose"):
        encoder_in(folder)


def test_sound_of_another_rate_and_untrained_weights_are_refused(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sampling_rate": 8000}))
    with pytest.raises(UserError, match=rf"^{KEY}: .* wants sound at 8000 Hz, and gets 16000"):
        encoder_in(folder)
    with pytest.raises(UserError, match=rf"^{KEY}\.weights: this kind is not built untrained"):
        find_encoder(KEY, Params(weights="untrained"), None)


@pytest.mark.parametrize("layers", [[], [0], [1, 1], ["1"], "first", [True], 3])
def test_layers_are_numbers_each_once_or_last(layers: object) -> None:
    with pytest.raises(ValueError, match="give numbers of layers, each once, from 1, or from the end as -1"):
        Params(weights="some/model", layers=layers)


def test_what_defines_the_vectors_is_told_wherever_the_weights_lie(folder: Path, tmp_path: Path) -> None:
    here = encoder_in(folder)
    assert here.settings == encoder_in(folder.rename(tmp_path / "moved")).settings
    told = [here, *(encoder_in(tmp_path / "moved", **each) for each in ({"layers": "last"}, {"layers": [1]}))]
    assert len({json.dumps(each.settings) for each in told}) == 3
    assert here.description == f"WavLM from {folder} (layers -4, -3, -2, -1; mean over time)"
