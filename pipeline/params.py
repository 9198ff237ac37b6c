"""Typed, validated view of ``params.yaml``, and the only reader of that file.

Every stage reads the whole file first, so that a typo in a key, a wrong type or an impossible value
stops the run before any work, in one line that names the key.  Every field says its unit, where its
default comes from and what it does; the JSON schema made from these classes documents the file in
an editor.  Sections and equations in brackets are those of the MultiEMO paper (ACL 2023).

What there are several kinds of (encoders, networks, corpus formats) has its params beside its code, as
``Params`` of the module that is named like the kind.  Here stands only that a kind is chosen.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from pipeline.errors import UserError, shorten
from pipeline.params_file.first_version import explain_outdated
from pipeline.params_file.reading import read_yaml

PARAMS_FILE = Path("params.yaml")
UNTRAINED = "untrained"
LAST = "last"
SPEAKER = "speaker"
"""Pooling of faces that looks for the speaker."""

Modality = Literal["text", "audio", "visual"]
MODALITIES: tuple[Modality, ...] = ("text", "audio", "visual")
MISTAKES_SHOWN = 20
# Folders of data/ that are no corpus's.
RESERVED = ("code", "joined", "models", "raw")
DEMO_ROOT = "data/raw/demo"
"""Where the demo corpus is made."""

# YAML has lists only; strict mode would refuse them where the field is a tuple.
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
EntryName = Annotated[str, Field(pattern=r"^[\w-]{1,80}$")]  # it is part of paths and of shell commands


def _without_repetition(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not name anything twice")
    return values


def _as_files_are_named(path: str) -> str:
    if longest := max((name for name in path.split("/") if len(name.encode()) > 255), key=len, default=""):
        raise ValueError(f"no file has a name of {len(longest)} characters")
    return path


def _as_dvc_reads_it(path: str) -> str:
    if path.startswith("~"):
        raise ValueError(f"~ is no home folder to DVC; write {os.path.expanduser(path)}")  # noqa: PTH111
    return path


def _as_layers(given: Any) -> Any:
    if given == LAST:
        return LAST
    numbers = isinstance(given, list | tuple) and all(type(each) is int and each != 0 for each in given)
    if not given or not numbers or len(set(given)) < len(given):
        raise ValueError("give numbers of layers, each once, from 1, or from the end as -1; or last")
    return tuple(given)


Name = Annotated[str, Field(min_length=1), AfterValidator(_as_files_are_named)]
TrackedPath = Annotated[Name, AfterValidator(_as_dvc_reads_it)]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), AfterValidator(_without_repetition)]
ModalitySet = Annotated[
    tuple[Modality, ...], Field(strict=False, min_length=1), AfterValidator(_without_repetition)
]

Layers = Annotated[
    Any,
    AfterValidator(_as_layers),
    WithJsonSchema({"anyOf": [{"const": LAST}, {"type": "array", "items": {"type": "integer"}}]}),
]
"""``last``, or numbers of layers, whose mean is taken."""


class Section(BaseModel):
    """A mapping in params.yaml: no unknown keys, no silent conversion, immutable."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Kind(Section):
    """One of several ways to do a thing; beside its name stand the params that it alone has."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(pattern=r"^[a-z]\w*$")]
    """Which of them: the name of its module."""


class FormatParams(Section):
    """What every corpus format has."""

    outside_sha256: Sha256 | None = None
    """Digest of the media files that lie outside of ``root``, such as behind links, where DVC does not watch;
    needed where there are some.  ``multiemo pin`` writes it here."""


class WeightsParams(Section):
    """Where the weights of an encoder come from, and which they are."""

    weights: Name
    """A file, a model folder as transformers writes it, a hub id, or ``untrained`` to build random weights
    on purpose.  docs/weights.md shows what is recognised."""
    revision: Name | None = None
    """Commit, tag or branch of a hub model.  What is no commit is asked for one once, which is kept to;
    ``multiemo pin`` writes the commit here."""
    sha256: Sha256 | None = None
    """Digest of the file or folder, which it must have; ``multiemo pin`` writes it here."""

    def defining(self) -> dict[str, Any]:
        """What defines an encoder beside its weights' content, as JSON values: not where they are from."""
        return self.model_dump(mode="json", exclude={"weights", "revision", "sha256"})


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
    """Smallest face searched for, in pixels of the original image.  Larger is much faster."""
    thresholds: Annotated[tuple[Fraction, Fraction, Fraction], Field(strict=False)] = (0.6, 0.7, 0.7)
    """Face probability needed to pass each of the three networks."""
    scale_factor: Annotated[float, Field(gt=0, lt=1)] = 0.709
    """Ratio between neighbouring levels of the image pyramid."""


class VisualParams(Section):
    """From faces to one vector per utterance [3.3.3]."""

    encoder: Kind | None = None
    """What embeds a face; needed where ``modalities`` has visual.  Kinds: pipeline/encoders/visual."""
    crop_size_px: Annotated[int, Field(ge=32)] = 224
    """Side of the square that each face is resized to."""
    crop_margin: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Added around the box on each side, as a fraction of the box's longer side."""
    pooling: Literal["faces", "frames", "largest", "speaker"] = "faces"
    """``faces``: mean over all faces of all frames (the authors' code); ``frames``: mean within a
    frame, then over frames (the paper's text); ``largest``: only the largest face of each frame;
    ``speaker``: the face whose mouth moves with the sound, weighted by how sure that is, and the largest
    where none does (docs/speaker.md)."""
    who_is_who: bool = False
    """With ``pooling: speaker``: where no lips tell, take the face that is there whenever the same name
    speaks in the dialogue.  It needs an encoder that was trained to tell people apart: ``facenet``."""


class AudioParams(Section):
    """From sound to one vector per utterance [3.3.2]."""

    encoder: Kind | None = None
    """What describes a sound; needed where ``modalities`` has audio.  Kinds: pipeline/encoders/audio."""
    channels: Literal["mix", "centre"] = "mix"
    """``mix``: all channels, as ffmpeg mixes them; ``centre``: the front centre alone where a file has one,
    which in MELD's 5.1 is mostly speech, with less music and laughter (EmoBox's choice)."""
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


class FinetuneParams(Section):
    """Fine-tuning of the text encoder on the training split [3.3.1]."""

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
    """From text to one vector per utterance [3.3.1]."""

    encoder: Kind | None = None
    """What reads the text; needed where ``modalities`` has text.  Kinds: pipeline/encoders/text."""
    pooling: Literal["first", "mean"] = "first"
    """``first``: the first token's hidden state ([CLS] in the paper); ``mean``: over tokens."""
    layers: Layers = LAST
    """Whose hidden states are taken, and of several the mean: ``last``, or numbers of layers, from 1, or from
    the end as -1.  An encoder that is used as it is may say more in others; fine-tuning works on the last."""


class ReportParams(Section):
    """What report.html shows."""

    contact_sheet: bool = False
    """Show faces in the report.  They are personal data: whoever gets the page sees them."""


class MaxUnobserved(Section):
    """Largest share of utterances, per modality, that may lack it before the run stops."""

    text: Fraction
    audio: Fraction
    visual: Fraction


def _as_kind(given: Any) -> Any:
    return {"kind": given} if isinstance(given, str) else given


class CorpusParams(Section):
    """One corpus: where it is, and how its features are extracted."""

    format: Annotated[Kind, BeforeValidator(_as_kind)]
    """How the raw data set is laid out; the name alone where the format has no params (docs/corpora.md)."""
    root: TrackedPath
    """Folder of the raw data set."""
    modalities: ModalitySet
    """Which modalities are extracted."""
    # DVC tracks each of these keys, so every corpus must have them all, if only as {}.
    max_unobserved: MaxUnobserved
    faces: FacesParams
    visual: VisualParams
    audio: AudioParams
    window: WindowParams
    finetune: FinetuneParams
    text: TextParams
    report: ReportParams

    @property
    def folder(self) -> Path:
        """``root`` as workers may use it, who need not run where the stage does."""
        return Path(self.root).absolute()

    def encoder(self, modality: Modality) -> Kind:
        """The encoder of a modality that is extracted."""
        encoder: Kind = getattr(self, modality).encoder
        return encoder

    @model_validator(mode="after")
    def _who_is_who_of_speakers(self) -> Self:
        if self.visual.who_is_who and self.visual.pooling != SPEAKER:
            raise ValueError("visual.who_is_who needs visual.pooling: speaker")
        return self

    @model_validator(mode="after")
    def _encoders_of_what_is_extracted(self) -> Self:
        absent = [name for name in self.modalities if getattr(self, name).encoder is None]
        if absent:
            raise ValueError(f"{absent[0]}.encoder is missing, and modalities has {absent[0]}")
        return self


class JoinParams(Section):
    """A feature file made of two: data/joined/<name>.h5, for models to be trained on."""

    features: TrackedPath
    """Feature file whose utterances, labels and modalities are kept."""
    other: TrackedPath
    """Feature file, of the same utterances by their ids, from which some modalities are taken."""
    take: ModalitySet
    """Modalities that are taken from ``other``, in place of any that ``features`` has."""


class ModelParams(Section):
    """A network trained on a feature file, and its training [4.3]; data/models/<name>/."""

    features: TrackedPath
    """The feature file, whoever made it."""
    modalities: ModalitySet | None = None
    """Which modalities the network sees (Table 3); all that the file holds, if none are named."""
    network: Kind = Kind(kind="multiemo")
    """What is trained; kinds are in train/networks."""
    recipe: Name | None = None
    """A set of values for this entry by name, of the network's kind: RECIPES of its module, the first of them
    if none is named.  Keys that stand in the entry override it, those of neither have the defaults here."""
    epochs: Annotated[int, Field(ge=1)] = 100
    """Passes over the training split [4.3]."""
    patience_epochs: Annotated[int, Field(ge=1)] | None = None
    """A seed's training ends once so many epochs have gone by without a better one on dev; after ``epochs``
    where none is given."""
    batch_dialogues: Annotated[int, Field(ge=1)] = 100
    """Dialogues per step: 100 on MELD, 64 on IEMOCAP [4.3]."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Initial rate of Adam [4.3]."""
    schedule: Literal["step", "plateau"] = "step"
    """When the rate falls: after every ``decay_every_epochs`` [4.3], or once more than so many have gone by
    without a lower validation loss, as in the authors' code (torch's ReduceLROnPlateau)."""
    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Factor on the rate when it falls [4.3]."""
    decay_every_epochs: Annotated[int, Field(ge=1)] = 10
    """[4.3]"""
    adam_betas: Annotated[tuple[Decay, Decay], Field(strict=False)] = (0.9, 0.99)
    """[4.3]"""
    l2: Annotated[float, Field(ge=0)] = 1e-5
    """lambda of Eq. 22 [4.3]."""
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    """Norm of the gradient of all weights that a larger one is scaled down to at each step; any is left as it
    is where none is given."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of utterances' modalities that training passes off as unobserved, anew at each step, so that
    the network leans on none of them (after Neverova et al. 2016)."""
    unscaled: Annotated[tuple[Modality, ...], Field(strict=False)] = ()
    """Modalities whose features go into the network as they are; the others in standard deviations from their
    mean over the training split, cut off at ten.  openSMILE's functionals, which reach 1e13, need that."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products and attention; ``bfloat16`` is faster on GPUs and on CPUs with AMX or
    AVX512-BF16, far slower on other CPUs.  Weights, recurrences and losses stay float32."""
    refit: bool = False
    """Once the epoch is chosen on validation, train anew on train and dev together, for as many epochs; there
    is no score on dev then.  (The authors' code trains on 95 % of both, and chooses the epoch on test.)"""
    seeds: Seeds = (0,)
    """One training run per seed; metrics give their mean and standard deviation."""

    def training(self) -> dict[str, Any]:
        """What defines one training run beside features, modalities, network and seed, as JSON values."""
        return self.model_dump(mode="json", exclude={"features", "modalities", "network", "recipe", "seeds"})


class Params(Section):
    """The whole of params.yaml."""

    demo: DemoParams = DemoParams()
    corpora: dict[EntryName, CorpusParams] = {}
    """Extraction: one entry per corpus, its results in data/<corpus>/."""
    joins: dict[EntryName, JoinParams] = {}
    """Feature files made of others, data/joined/<name>.h5."""
    models: dict[EntryName, ModelParams] = {}
    """Training: one entry per model, its results in data/models/<model>/."""

    @model_validator(mode="after")
    def _names_of_their_own(self) -> Self:
        taken = [name for name in self.corpora if name in RESERVED]
        if taken:
            raise ValueError(f"corpora.{taken[0]}: data/{taken[0]} is not a corpus's; name it otherwise")
        if RESULTS in self.models:
            raise ValueError(f"models.{RESULTS}: data/models/{RESULTS} is not a model's; name it otherwise")
        return self

    @model_validator(mode="after")
    def _inputs_apart_from_results(self) -> Self:
        for name, corpus in self.corpora.items():
            results = Path("data", name)
            if results.absolute().is_relative_to(os.path.abspath(corpus.root)):  # noqa: PTH100 - keeps links
                raise ValueError(
                    f"corpora.{name}.root: {corpus.root} holds {results}, where results go; name the entry"
                    f" otherwise, or move the data set, such as to data/raw/{name}"
                )
        return self

    @model_validator(mode="after")
    def _models_use_what_is_extracted(self) -> Self:
        extracted = {f"data/{name}/features.h5": name for name in self.corpora}
        for name, model in self.models.items():
            corpus = extracted.get(Path(model.features).as_posix())
            if corpus is None:
                continue
            absent = [each for each in model.modalities or () if each not in self.corpora[corpus].modalities]
            if absent:
                raise ValueError(
                    f"models.{name}.modalities: asks for {', '.join(absent)}, which"
                    f" corpora.{corpus}.modalities does not extract"
                )
        return self

    def corpus(self, name: str) -> CorpusParams:
        """The entry ``corpora.<name>``; UserError where there is none."""
        return _entry(self.corpora, "corpora", name)

    def join(self, name: str) -> JoinParams:
        """The entry ``joins.<name>``; UserError where there is none."""
        return _entry(self.joins, "joins", name)

    def model(self, name: str) -> ModelParams:
        """The entry ``models.<name>``; UserError where there is none."""
        return _entry(self.models, "models", name)


RESULTS = "results"
"""Folder of data/models/ with the figures of every model."""


def _entry(entries: Mapping[str, Any], section: str, name: str) -> Any:
    if name not in entries:
        raise UserError(
            f"{PARAMS_FILE}: no {name!r} under {section!r} (there are: {', '.join(entries) or 'none'};"
            " what stands behind a # is none)"
        )
    return entries[name]


def read_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate params.yaml; UserError with one line per mistake, each naming its key."""
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path}: it should hold the keys {', '.join(Params.model_fields)}")
    if outdated := explain_outdated(raw):
        raise UserError("\n".join(f"{path}: {line}" for line in outdated))
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise _as_user_error(error, Params, f"{path}: ") from None


class KindOf(NamedTuple):
    """A kind that params name: its module, and its params."""

    module: ModuleType
    params: Any
    """Of the module's class ``Params``."""


def read_kind(package: str, given: Kind, key: str) -> KindOf:
    """The module of a kind, imported, and its validated params.

    ``key`` is where ``given`` stands in params.yaml.  UserError, naming keys, where there is no such kind
    or its params are wrong.
    """
    module = find_kind(package, given.kind, key)
    try:
        return KindOf(module, module.Params.model_validate(given.model_dump()))
    except ValidationError as error:
        raise _as_user_error(error, module.Params, f"{PARAMS_FILE}: {key}.") from None


def find_kind(package: str, kind: str, key: str) -> Any:
    """The module of a kind, imported; UserError, naming ``key``, where there is no such kind."""
    kinds = kinds_in(package)
    if kind not in kinds:
        close = difflib.get_close_matches(kind, kinds, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"{PARAMS_FILE}: {key}.kind: {kind!r} is none of {', '.join(kinds)}{hint}")
    return importlib.import_module(f"{package}.{kind}")


def kinds_in(package: str) -> list[str]:
    """Names of the kinds that there are: of the modules in a package."""
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their keys as one writes them.

    >>> flatten({"network": {"kind": "multiemo"}, "seeds": [0, 1]})
    {'network.kind': 'multiemo', 'seeds': [0, 1]}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        own = f"{prefix}{key}"
        flat |= flatten(value, f"{own}.") if isinstance(value, Mapping) else {own: value}
    return flat


def _as_user_error(error: ValidationError, root: type[BaseModel], place: str) -> UserError:
    """The first mistakes, one line each, which begin with ``place``."""
    mistakes = error.errors(include_url=False)
    lines = [f"{place}{_explain(mistake, root)}" for mistake in mistakes[:MISTAKES_SHOWN]]
    more = len(mistakes) - MISTAKES_SHOWN
    return UserError("\n".join([*lines, f"and {more} more"] if more > 0 else lines))


def _explain(mistake: Any, root: type[BaseModel]) -> str:
    """One validation error as ``key: what is wrong (value given)``."""
    location = mistake["loc"]
    key = ".".join(shorten(str(part), 80) for part in location if part != "[key]")
    if mistake["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1], root), n=1)
        return f"{key}: unknown key" + (f" (did you mean {close[0]!r}?)" if close else "")
    if mistake["type"] == "missing":
        return f"{key}: missing"
    message = mistake["msg"].removeprefix("Value error, ")
    given = mistake["input"]
    shown = "" if isinstance(given, dict) else f" (it is {shorten(repr(given), 200)})"
    return f"{f'{key}: ' if key else ''}{message[0].lower()}{message[1:]}{shown}"


def _known_keys(location: Sequence[Any], root: type[BaseModel]) -> list[str]:
    """Field names of the section at ``location``, for the hint after a typo."""
    section: Any = root
    entries = {"corpora": CorpusParams, "joins": JoinParams, "models": ModelParams}
    if section is Params and len(location) > 1 and location[0] in entries:  # the user names the entry
        section, location = entries[location[0]], location[2:]
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        candidates: list[Any] = [annotation, *getattr(annotation, "__args__", ())]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(section.model_fields)
