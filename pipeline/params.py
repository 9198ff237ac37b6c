"""Typed, validated view of ``params.yaml``, and the only reader of that file.

Every stage reads the whole file first, so that a typo in a key, a wrong type or an impossible value
stops the run before any work, in one line that names the key.  Every field says its unit, where its
default comes from and what it does; the JSON schema made from these classes documents the file in
an editor.  Sections and equations in brackets are those of the MultiEMO paper (ACL 2023).
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import UserError

PARAMS_FILE = Path("params.yaml")
UNTRAINED = "untrained"

Modality = Literal["text", "audio", "visual"]
MODALITIES: tuple[Modality, ...] = ("text", "audio", "visual")

# YAML has lists only; strict mode would refuse them where the field is a tuple.
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(min_length=1)]
CorpusName = Annotated[str, Field(pattern=r"^[\w-]+$")]  # it is part of paths and of shell commands


def _without_repetition(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not name anything twice")
    return values


Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), AfterValidator(_without_repetition)]
ModalitySet = Annotated[
    tuple[Modality, ...], Field(strict=False, min_length=1), AfterValidator(_without_repetition)
]


class Section(BaseModel):
    """A mapping in params.yaml: no unknown keys, no silent conversion, immutable."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DemoParams(Section):
    """How the built-in demo corpus is made."""

    seed: Seed = 0
    """Seed of everything random in the corpus: who speaks, which line, how heads move."""
    train_dialogues: Annotated[int, Field(ge=1)] = 10
    """Dialogues in the training split."""
    dev_dialogues: Annotated[int, Field(ge=1)] = 3
    """Dialogues in the validation split."""
    test_dialogues: Annotated[int, Field(ge=1)] = 3
    """Dialogues in the test split."""
    utterances_per_dialogue: Annotated[int, Field(ge=2, le=12)] = 5
    """Utterances in each dialogue."""
    faults: bool = True
    """Also make the clips that go wrong in real corpora: two faces, no face, silence, no sound
    track, a truncated file, a missing file.  Needs at least six training utterances."""


class FacesParams(Section):
    """Which frames are looked at, and MTCNN's settings (facenet-pytorch's names and defaults)."""

    frames_per_utterance: Annotated[int, Field(ge=1)] = 20
    """Frames sampled from each utterance, evenly, at step n/20 [3.3.3]."""
    min_face_size_px: Annotated[int, Field(ge=12)] = 20
    """Smallest face searched for, in pixels of the original picture.  Larger is much faster."""
    thresholds: Annotated[tuple[Fraction, Fraction, Fraction], Field(strict=False)] = (0.6, 0.7, 0.7)
    """Face probability needed to pass each of the three networks."""
    scale_factor: Annotated[float, Field(gt=0, lt=1)] = 0.709
    """Ratio between neighbouring levels of the image pyramid."""


class VisualParams(Section):
    """From faces to one vector per utterance [3.3.3]."""

    architecture: Literal["resnet101", "resnet50", "senet50"] = "resnet101"
    """Face encoder, which ``weights`` must fit: the paper's ResNet-101, or one of those that were
    published for VGGFace2, ResNet-50 and SE-ResNet-50."""
    weights: Name
    """A file (.safetensors, .pt, .pth), a transformers model folder or hub id, or ``untrained`` to build
    random weights on purpose.  docs/checkpoints.md shows what is recognised."""
    layout: Literal["auto", "torchvision", "authors", "transformers", "vggface2"] = "auto"
    """How the weights name their tensors and what they want as input; ``auto`` tells by the names."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest that the weights file must have.  DVC sees it change, as it does not see a file replaced."""
    features_file: Name | None = None
    """A feature file (features.h5 of another entry, or one made elsewhere) whose visual features are taken,
    by utterance id, instead of extracting any: the ablation "w/o VisExtNet" [5.3].  The rest of this
    section is then without effect."""
    features_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Content digest of ``features_file``, which ``multiemo inspect`` shows; needed beside it, so that these
    params say which features were taken, and DVC sees it when they change."""
    seed: Seed = 0
    """Seed of the weights when they are ``untrained``; without effect otherwise."""
    output: Literal["head", "penultimate"] = "head"
    """Which layer gives the feature: the classification head (the paper, 1000 values; as many as the
    head has), or the one below it (2048)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's arithmetic.  ``bfloat16`` is faster where the hardware has it (GPUs since Ampere,
    CPUs with AMX or AVX512-BF16), much slower elsewhere, and changes the features by about half a percent."""
    crop_size_px: Annotated[int, Field(ge=32)] = 224
    """Side of the square that each face is resized to."""
    crop_margin: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Added around the box on each side, as a fraction of the box's longer side."""
    pooling: Literal["faces", "frames", "largest"] = "faces"
    """``faces``: mean over all faces of all frames (the authors' code); ``frames``: mean within a
    frame, then over frames (the paper's text); ``largest``: only the largest face of each frame."""

    @model_validator(mode="after")
    def _features_file_with_its_digest(self) -> Self:
        if (self.features_file is None) != (self.features_sha256 is None):
            raise ValueError("features_file and features_sha256 must stand together")
        return self


class AudioParams(Section):
    """openSMILE's settings [3.3.2]."""

    feature_set: Literal["ComParE_2016", "eGeMAPSv02", "GeMAPSv01b"] = "ComParE_2016"
    """openSMILE feature set; ComParE_2016 has 6373 functionals, eGeMAPSv02 88, GeMAPSv01b 62."""
    level: Literal["functionals", "lld_mean_std"] = "functionals"
    """``functionals``: openSMILE's statistics over the utterance (the paper); ``lld_mean_std``: mean and
    standard deviation over time of each low-level descriptor, 130 values for ComParE_2016."""
    sample_rate_hz: Literal[16000] = 16000
    """Rate of the mono sound that openSMILE gets."""
    silence_dbfs: Annotated[float, Field(le=0)] = -70.0
    """A clip whose loudest sample lies below this level, in dB of full scale, counts as silent."""


class WindowParams(Section):
    """The text that the encoder reads for one utterance [3.3.1]."""

    past_utterances: Annotated[int, Field(ge=0)] = 12
    """Most utterances before the current one; 0 for none."""
    future_utterances: Annotated[int, Field(ge=0)] = 12
    """Most utterances after the current one; 0 for none."""
    max_tokens: Annotated[int, Field(ge=16)] = 512
    """Longest window, special tokens included; the farthest utterances are dropped first."""
    speaker_names: Literal["upper", "as_is", "none"] = "upper"
    """How the speaker's name before each utterance is written; EmoBERTa writes upper case."""


class UntrainedTextEncoder(Section):
    """Size of the RoBERTa that is built when ``finetune.encoder`` is ``untrained``."""

    seed: Seed = 0
    """Seed of the initial weights."""
    hidden_size: Annotated[int, Field(ge=16)] = 256
    """Width of the network and of the text feature."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Transformer layers."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; must divide ``hidden_size``."""
    dropout: Decay = 0.1
    """Dropout rate of hidden states and attention (RoBERTa's); more where there is little to learn from."""
    vocabulary: Annotated[int, Field(ge=300)] = 2000
    """Most tokens of the byte-level BPE that is trained on the corpus's own training lines."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide hidden_size: {self.hidden_size}")
        return self


class FinetuneParams(Section):
    """The text encoder and its fine-tuning on the training split [3.3.1]."""

    encoder: Name
    """An encoder of transformers by folder or hub id, or ``untrained`` to build a small RoBERTa."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    untrained: UntrainedTextEncoder = UntrainedTextEncoder()
    """Size of the encoder when it is ``untrained``; without effect otherwise."""
    epochs: Annotated[int, Field(ge=0)] = 10
    """Passes over the training split; 0 uses the encoder as it is."""
    batch_utterances: Annotated[int, Field(ge=1)] = 16
    """Utterances per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Peak rate of AdamW (EmoBERTa's order of magnitude)."""
    warmup_fraction: Decay = 0.2
    """Share of all steps in which the rate climbs linearly; it falls linearly after."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW's decoupled weight decay."""
    class_weight_exponent: Fraction = 0.0
    """How much more a rare class counts in the loss: 0 not at all, 1 in inverse proportion to its
    utterances (scikit-learn's ``balanced``), 0.5 by the square root of that."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: mixed precision, about twice as fast on GPUs since Ampere; slower on most CPUs."""
    seed: Seed = 0
    """Seed of the classifier head, of dropout and of the order of utterances."""


class TextParams(Section):
    """From the encoder's hidden states to one vector per utterance [3.3.1]."""

    pooling: Literal["first", "mean"] = "first"
    """``first``: the first token's last hidden state ([CLS] in the paper); ``mean``: over tokens."""


class ContextParams(Section):
    """How each modality sees the rest of the dialogue before fusion."""

    text: Literal["none", "dialogue_rnn"] = "none"
    """The text encoder has read the context already [3.3.1]."""
    audio: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.2]"""
    visual: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.3]"""


class LossParams(Section):
    """Weights and constants of the training objective [3.6, 4.3]."""

    swfc_weight: Fraction = 0.4
    """mu_1 of Eq. 22."""
    soft_hgr_weight: Fraction = 0.3
    """mu_2 of Eq. 22; cross-entropy gets what the two leave."""
    temperature: Annotated[float, Field(gt=0)] = 0.8
    """tau of Eq. 18."""
    sample_weight_exponent: Annotated[float, Field(ge=0)] = 0.8
    """alpha of Eq. 19: how much more a rare class counts."""
    focus: Annotated[float, Field(ge=0)] = 2.0
    """gamma of Eq. 19: how much more a hard pair counts."""
    normalise_z: bool = False
    """Scale z of Eq. 14 to unit length before Eq. 18; the paper does not.  Where training stays at one class
    for long, this helps (docs/results.md)."""

    @model_validator(mode="after")
    def _weights_leave_cross_entropy(self) -> Self:
        if self.swfc_weight + self.soft_hgr_weight > 1:
            raise ValueError("swfc_weight + soft_hgr_weight must not exceed 1 (Eq. 22)")
        return self


class TrainParams(Section):
    """The fusion model and its training [3.4-3.6, 4.3]."""

    modalities: ModalitySet = MODALITIES
    """Which modalities the model sees (Table 3)."""
    context: ContextParams = ContextParams()
    fusion: Literal["multiattn", "concat"] = "multiattn"
    """MultiAttn [3.4], or plain concatenation (the ablation "w/o MultiAttn")."""
    layers: Annotated[int, Field(ge=1)] = 6
    """T, layers of MultiAttn [4.3]."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; the paper does not say how many."""
    hidden_size: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    """Width of each modality's context vector and of fusion [3.3]."""
    audio_size: Annotated[int, Field(ge=1)] = 512
    """Width that the audio features are brought to before their context [3.3.2]."""
    feedforward_size: Annotated[int, Field(ge=1)] = 1024
    """Inner width of Eq. 10; the paper does not say."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout rate [4.3]."""
    loss: LossParams = LossParams()
    epochs: Annotated[int, Field(ge=1)] = 100
    """Passes over the training split [4.3]."""
    batch_dialogues: Annotated[int, Field(ge=1)] = 100
    """Dialogues per step: 100 on MELD, 64 on IEMOCAP [4.3]."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Initial rate of Adam [4.3]."""
    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Factor on the rate after every ``decay_every_epochs`` [4.3]."""
    decay_every_epochs: Annotated[int, Field(ge=1)] = 10
    """[4.3]"""
    adam_betas: Annotated[tuple[Decay, Decay], Field(strict=False)] = (0.9, 0.99)
    """[4.3]"""
    l2: Annotated[float, Field(ge=0)] = 1e-5
    """lambda of Eq. 22 [4.3]."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products and attention; ``bfloat16`` is faster on GPUs and on CPUs with AMX or
    AVX512-BF16, far slower on other CPUs.  Weights, recurrences and losses stay float32."""
    seeds: Seeds = (0,)
    """One training run per seed; metrics give their mean and standard deviation."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide hidden_size: {self.hidden_size}")
        return self


class ReportParams(Section):
    """What report.html shows."""

    study: CorpusName
    """The entry whose reports compare this entry with others: entries with the same ``study`` stand in one
    table, such as one per set of modalities.  By itself an entry names itself."""
    contact_sheet: bool = False
    """Show faces in the report.  They are personal data: whoever gets the page sees them."""


class MaxUnobserved(Section):
    """Largest share of utterances, per modality, that may lack it before the run stops."""

    text: Fraction
    audio: Fraction
    visual: Fraction


class CorpusParams(Section):
    """One corpus: where it is, and what every stage does with it."""

    format: Literal["meld", "iemocap", "table"]
    """Layout of the raw data set; docs/corpora.md describes them."""
    root: Name
    """Folder of the raw data set."""
    outside_media: bool = False
    """Whether media files may lie outside ``root``; only a table's paths can lead there."""
    modalities: ModalitySet
    """Which modalities are extracted."""
    # DVC tracks each of these keys, so every corpus must have them all.
    max_unobserved: MaxUnobserved
    faces: FacesParams
    visual: VisualParams
    audio: AudioParams
    window: WindowParams
    finetune: FinetuneParams
    text: TextParams
    train: TrainParams
    report: ReportParams

    @property
    def folder(self) -> Path:
        """``root`` as workers may use it, who need not run where the stage does."""
        return Path(self.root).absolute()

    @model_validator(mode="after")
    def _model_uses_what_is_extracted(self) -> Self:
        absent = [m for m in self.train.modalities if m not in self.modalities]
        if absent:
            raise ValueError(
                f"train.modalities asks for {', '.join(absent)}, which modalities does not extract"
            )
        return self


class Defaults(Section):
    """Blocks that the corpora refer to by YAML anchors; every block is complete by itself."""

    max_unobserved: MaxUnobserved | None = None
    faces: FacesParams | None = None
    visual: VisualParams | None = None
    audio: AudioParams | None = None
    window: WindowParams | None = None
    finetune: FinetuneParams | None = None
    text: TextParams | None = None
    train: TrainParams | None = None


class Params(Section):
    """The whole of params.yaml."""

    demo: DemoParams = DemoParams()
    defaults: Defaults = Defaults()
    corpora: Annotated[dict[CorpusName, CorpusParams], Field(min_length=1)]

    def corpus(self, name: str) -> CorpusParams:
        """The entry ``corpora.<name>``; UserError where there is none."""
        if name not in self.corpora:
            raise UserError(
                f"{PARAMS_FILE}: no corpus {name!r} under 'corpora' (there are: {', '.join(self.corpora)})"
            )
        return self.corpora[name]


def read_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate params.yaml; UserError with one line per mistake, each naming its key."""
    try:
        # DVC's own YAML reader, so that a value such as 1e-4 means the same to both.
        raw = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise UserError(f"{path} not found: run from the folder that holds dvc.yaml") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: it should hold the keys {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {_explain(mistake)}" for mistake in error.errors())) from None


def _explain(mistake: Any) -> str:
    """One validation error as ``key: what is wrong (value given)``."""
    location = mistake["loc"]
    key = ".".join(str(part) for part in location if part != "[key]")
    if mistake["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1)
        return f"{key}: unknown key" + (f" (did you mean {close[0]!r}?)" if close else "")
    if mistake["type"] == "missing":
        return f"{key}: missing"
    message = mistake["msg"].removeprefix("Value error, ")
    given = mistake["input"]
    shown = "" if isinstance(given, dict) else f" (it is {given!r})"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """Field names of the section at ``location``, for the hint after a typo."""
    section: type[BaseModel] = Params
    if location[:1] == ("corpora",) and len(location) > 1:  # corpora.<name> is named by the user
        section, location = CorpusParams, location[2:]
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(section.model_fields)
