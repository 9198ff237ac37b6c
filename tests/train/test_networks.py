"""What every kind of network must be; a kind is found by its module, so that none escapes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from torch import Tensor

from pipeline.features.content import UNLABELLED
from pipeline.params import MODALITIES, Kind, ModelParams, kinds_in
from tests.train.conftest import DIMS, LABELS
from tests.train.plain import PlainDialogue
from train.data import Batch, Dialogues
from train.determinism import deterministic
from train.networks import (
    KINDS,
    build_network,
    find_network,
    module_of_network,
    run_network,
    with_recipe,
)
from train.trainer import Trainer

COUNTS = (50, 30, 20)
LENGTHS = (1, 5, 9, 3, 7, 2)

pytestmark = pytest.mark.parametrize("kind", kinds_in(KINDS))


def plain_of(kind: str) -> ModuleType:
    """The plain loop of a kind, which must be there."""
    return importlib.import_module(f"tests.train.plain.{kind}")


def small(kind: str, form: str | None = None, **changes: Any) -> Kind:
    """A kind with params that tests have the time for."""
    forms = plain_of(kind).SMALL
    return Kind.model_validate({"kind": kind} | forms[form or next(iter(forms))] | changes)


def network_of(network: Kind, dims: Mapping[str, int] = DIMS, seed: int = 0) -> Any:
    """A network as it predicts, whose weights are no more what they were at first, zero or one."""
    torch.manual_seed(seed)
    built = build_network(network, dims, COUNTS).eval()
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return built


def dialogues_of(lengths: Sequence[int] = LENGTHS, speakers: int = 4, unobserved: float = 0.3) -> Dialogues:
    """Dialogues whose labels can be learnt; everything is observed where ``unobserved`` is 0."""
    random = torch.Generator().manual_seed(0)
    count, firsts = sum(lengths), [sum(lengths[:number]) for number in range(len(lengths))]
    spans = [range(first, first + length) for first, length in zip(firsts, lengths, strict=True)]
    label = torch.randint(len(LABELS), (count,), generator=random)
    observed = {name: torch.rand(count, generator=random) >= unobserved for name in DIMS}
    centres = {name: torch.randn(len(LABELS), dim, generator=random) for name, dim in DIMS.items()}
    noise = {name: 0.5 * torch.randn(count, dim, generator=random) for name, dim in DIMS.items()}
    return Dialogues(
        features={name: (centres[name][label] + noise[name]) * observed[name][:, None] for name in DIMS},
        observed=observed,
        # The first of a dialogue is 0, and each that is new the next.
        speaker=torch.cat([torch.arange(length) % max(1, min(speakers, length - 1)) for length in lengths]),
        speakers=speakers,
        label=label,
        spans={"train": spans, "dev": spans, "test": []},
        label_names=LABELS,
        class_counts=COUNTS,
    )


class Values(SimpleNamespace):
    """The fields of params, without what their class computes."""

    @classmethod
    def of(cls, params: BaseModel) -> Values:
        values = {name: getattr(params, name) for name in type(params).model_fields}
        return cls(**{
            name: cls.of(value) if isinstance(value, BaseModel) else value for name, value in values.items()
        })  # fmt: skip


def in_double(dialogues: Dialogues) -> Dialogues:
    return replace(dialogues, features={name: table.double() for name, table in dialogues.features.items()})


def logits_of(network: Any, batch: Batch) -> dict[int, Tensor]:
    """Logits by row of the features."""
    with torch.inference_mode():
        return dict(zip(batch.row.tolist(), network(batch).logits, strict=True))


def test_logits_are_those_of_the_plain_loop_over_each_dialogue(kind):
    plain = plain_of(kind)
    unobserved = 0.0 if getattr(plain, "ALL_OBSERVED", False) else 0.3
    dialogues = in_double(dialogues_of((1, 5, 8, 3), unobserved=unobserved))
    for form in plain.SMALL:
        network = network_of(small(kind, form)).double()
        found = logits_of(network, dialogues.batch(dialogues.spans["train"]))
        for span in dialogues.spans["train"]:
            rows = slice(span.start, span.stop)
            dialogue = PlainDialogue(
                features={name: table[rows] for name, table in dialogues.features.items()},
                observed={name: seen[rows].tolist() for name, seen in dialogues.observed.items()},
                speaker=dialogues.speaker[rows].tolist(),
            )
            with torch.no_grad():
                expected = plain.logits(network, dialogue)
            torch.testing.assert_close(torch.stack([found[row] for row in span]), expected, rtol=0, atol=1e-6)


def test_a_dialogue_has_the_same_logits_alone_and_in_any_batch(kind):
    dialogues = dialogues_of()
    network, spans = network_of(small(kind)), dialogues.spans["train"]
    together = logits_of(network, dialogues.batch(spans))
    for batch in (*([span] for span in spans), spans[3:], spans[1::2]):
        for row, logits in logits_of(network, dialogues.batch(batch)).items():
            torch.testing.assert_close(logits, together[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("unobserved", ["some", "a modality", "an utterance", "everything"])
def test_what_features_hold_where_nothing_was_observed_changes_nothing(kind, unobserved):
    dialogues = dialogues_of(unobserved=0.3 if unobserved == "some" else 0.0)
    if unobserved == "a modality":
        dialogues.observed["audio"][:] = False
    for seen in dialogues.observed.values():
        if unobserved == "an utterance":
            seen[3] = False
        elif unobserved == "everything":
            seen[:] = False
    garbage = {
        name: torch.where(dialogues.observed[name][:, None], table, 100 * torch.randn_like(table))
        for name, table in dialogues.features.items()
    }
    zero = {name: table * dialogues.observed[name][:, None] for name, table in dialogues.features.items()}
    network = network_of(small(kind))
    expected, output = (
        network(replace(dialogues, features=features).batch(dialogues.spans["train"]))
        for features in (zero, garbage)
    )
    assert expected.logits.isfinite().all()
    torch.testing.assert_close(output.logits, expected.logits, rtol=0, atol=1e-6)
    label = dialogues.batch(dialogues.spans["train"]).label
    network.losses(output, label)["total"].backward()
    for name, weight in network.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), name


def test_any_set_of_modalities_will_do(kind):
    dialogues = dialogues_of((3, 1))
    for names in chain.from_iterable(combinations(reversed(MODALITIES), count) for count in (1, 2, 3)):
        seen = replace(
            dialogues,
            features={name: dialogues.features[name] for name in names},
            observed={name: dialogues.observed[name] for name in names},
        )
        network = network_of(small(kind), {name: DIMS[name] for name in names})
        logits = network(seen.batch(seen.spans["train"])).logits
        assert logits.shape == (4, len(LABELS))
        assert logits.isfinite().all()


@pytest.mark.parametrize(("lengths", "speakers"), [((1,), 1), ((1, 1), 9), ((6, 2), 1), ((30, 14), 12)])
def test_one_utterance_one_speaker_and_more_speakers_than_nine(kind, lengths, speakers):
    dialogues = dialogues_of(lengths, speakers)
    network = network_of(small(kind))
    output = network(dialogues.batch(dialogues.spans["train"]))
    assert output.logits.isfinite().all()
    losses = network.losses(output, dialogues.batch(dialogues.spans["train"]).label)
    assert all(value.isfinite() for value in losses.values())


def test_later_utterances_are_seen_unless_the_kind_says_that_they_are_not(kind):
    before = dialogues_of((9,), unobserved=0.0)
    after = replace(before, features={name: table.clone() for name, table in before.features.items()})
    for table in after.features.values():
        table[6:] = torch.randn(3, table.shape[1])
    network = network_of(small(kind))
    one, other = (
        torch.stack(list(logits_of(network, each.batch(each.spans["train"])).values()))
        for each in (before, after)
    )
    assert not torch.equal(one[6:], other[6:])
    past_only = getattr(plain_of(kind), "PAST_ONLY", False)
    assert torch.allclose(one[:6], other[:6], rtol=0, atol=1e-6) == past_only


def test_losses_are_finite_and_every_weight_has_a_part_in_their_total(kind):
    for form in plain_of(kind).SMALL:
        dialogues = dialogues_of()
        network = network_of(small(kind, form)).train()
        batch = dialogues.batch(dialogues.spans["train"])
        label = batch.label.clone()
        label[2] = UNLABELLED
        losses = network.losses(network(batch), label)
        assert all(value.shape == () and value.isfinite() for value in losses.values())
        losses["total"].backward()
        idle = [n for n, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]
        assert not idle, form


def test_ten_dialogues_are_overfitted(kind):
    dialogues = dialogues_of((1, 2, 3, 4, 5) * 2, unobserved=0.1)
    params = ModelParams(features="x", network=small(kind), learning_rate=0.01, batch_dialogues=10)
    spans = dialogues.spans["train"]
    with deterministic(0, torch.device("cpu")):
        trainer = Trainer(dialogues, params, seed=0)
        for _ in range(30):
            for _ in range(10):
                trainer.fit_epoch(spans, "here")
            if trainer.score(spans, "here")[1] == 1:
                return
    pytest.fail(f"weighted F1 on what it was trained on: {trainer.score(spans, 'here')[1]:.2f}")


def test_the_same_seed_gives_the_same_bits_and_weights_hold_all_that_was_learnt(kind):
    dialogues = dialogues_of()
    dropout = {"dropout": 0.3}
    params = ModelParams(features="x", network=small(kind, **dropout), batch_dialogues=3, gradient_clip=1.0)
    spans = dialogues.spans["train"]
    weights = []
    for seed in (0, 0, 1):
        with deterministic(seed, torch.device("cpu")):
            trainer = Trainer(dialogues, params, seed)
            trainer.fit_epoch(spans, "here")
            trainer.fit_epoch(spans, "here")
        weights.append(trainer.weights())
    one, same, other = weights
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)

    anew = network_of(params.network, seed=5)
    anew.load_state_dict(other)
    batch = dialogues.batch(spans)
    expected = logits_of(trainer.network.eval(), batch)
    assert all(torch.equal(logits, expected[row]) for row, logits in logits_of(anew, batch).items())


def test_in_bfloat16_logits_are_near_and_come_back_in_float32(kind):
    dialogues = dialogues_of()
    network, batch = network_of(small(kind)), dialogues.batch(dialogues.spans["train"])
    with torch.inference_mode():
        exact, rough = (run_network(network, batch, each).logits for each in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05)


def test_every_recipe_is_valid_and_builds(kind):
    module = find_network(Kind(kind=kind), "network").module
    assert {"meld", "iemocap"} <= {name.removeprefix("authors-") for name in module.RECIPES}
    for recipe in module.RECIPES:
        model = with_recipe(ModelParams(features="x", network=Kind(kind=kind), recipe=recipe), "models.x")
        with torch.device("meta"):
            network = build_network(model.network, {"text": 768, "audio": 6373, "visual": 1000}, (1,) * 7)
        assert sum(weight.numel() for weight in network.parameters())


def test_a_kind_hands_its_params_on_and_adds_no_code_to_a_class_of_another_module(kind):
    network = small(kind)
    module = module_of_network(network, DIMS, COUNTS)
    if module == f"{KINDS}.{kind}":
        return
    found = find_network(network, "network")
    torch.manual_seed(0)
    built = found.module.build(found.params, DIMS, COUNTS)
    # All that the class computes with are values, which the keys of trained seeds have.
    values = Values.of(found.params)
    torch.manual_seed(0)
    by_itself = type(built)(values, DIMS, COUNTS)
    assert repr(built) == repr(by_itself)
    state = by_itself.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in built.state_dict().items())
