"""A model's results as a terminal and ``dvc metrics`` show them."""

from __future__ import annotations

from typing import Any

from pipeline.report.results import SCORED, Results, SplitScores


def headline(results: Results) -> dict[str, Any]:
    """What ``dvc metrics`` shows; splits without labels are left out."""
    shown: dict[str, Any] = {"untrained": ", ".join(results.untrained) or "nothing"}
    for split in reversed(SCORED):
        scores: SplitScores | None = getattr(results, split)
        if scores is None:
            continue
        shown[split] = {"weighted_f1": scores.weighted_f1}
        if split == "test":
            shown[split] |= _spread(scores)
        shown[split] |= {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy}
        if split == "test":
            shown[split] |= {"f1": scores.f1}
            if scores.ensemble_weighted_f1 is not None:
                shown["ensemble"] = {"weighted_f1": scores.ensemble_weighted_f1}
    split = "test" if results.test else "dev"
    shown["logistic_regression"] = {"weighted_f1": results.simplest[split]}
    if results.params.refit:  # before the network was trained on dev, too
        shown["dev"] = {"weighted_f1": results.selected_weighted_f1}
    if results.test_best_epoch:
        shown["test_best_epoch"] = {"weighted_f1": results.test_best_epoch_weighted_f1}
    return shown


def _spread(scores: SplitScores) -> dict[str, float]:
    """How sure weighted F1 is, as far as seeds and dialogues tell."""
    spread = {"weighted_f1_std": scores.weighted_f1_std}
    if scores.weighted_f1_interval is not None:
        low, high = scores.weighted_f1_interval.low, scores.weighted_f1_interval.high
        spread |= {"weighted_f1_low": low, "weighted_f1_high": high}
    return {name: value for name, value in spread.items() if value is not None}


def describe(split: str, scores: SplitScores | None) -> str:
    """The scores of a split as lines of text."""
    if scores is None:
        return f"{split}: no labelled utterance, so no metrics; the predictions are in predictions.csv"
    width = max(map(len, [*scores.support, "weighted F1"]))
    lines = [f"{split:<{width}}      F1  utterances"]
    lines += [f"{name:<{width}}  {f1:6.2f}  {scores.support[name]:10}" for name, f1 in scores.f1.items()]
    spread = "" if scores.weighted_f1_std is None else f" +- {scores.weighted_f1_std:.2f} over seeds"
    lines += [
        f"{'weighted F1':<{width}}  {scores.weighted_f1:6.2f}  {scores.utterances:10}{spread}",
        f"{'macro F1':<{width}}  {scores.macro_f1:6.2f}",
        f"{'accuracy':<{width}}  {scores.accuracy:6.2f}",
    ]
    if scores.ensemble_weighted_f1 is not None:
        lines.append(
            f"{'ensemble':<{width}}  {scores.ensemble_weighted_f1:6.2f}  (weighted F1 of all seeds as one)"
        )
    if scores.weighted_f1_interval is not None:
        low, high = scores.weighted_f1_interval.low, scores.weighted_f1_interval.high
        dialogues = f"bootstrap over {scores.dialogues} dialogues"
        lines.append(f"95 % interval of weighted F1: {low:.2f} to {high:.2f} ({dialogues})")
    return "\n".join(lines)


def refitted(results: Results) -> str:
    """What is said of dev where the networks were trained on it in the end."""
    epochs = ", ".join(map(str, results.selected_epochs.values()))
    return (
        f"dev: trained on, together with train, for {epochs} epochs, which were chosen on dev alone;"
        f" weighted F1 {results.selected_weighted_f1:.2f} there"
    )


def compare_with_simplest(results: Results) -> str:
    """What logistic regression on each utterance alone reaches, and whether the networks are any better."""
    networks = {split: getattr(results, split) for split in SCORED}
    scored = {split: scores.weighted_f1 for split, scores in networks.items() if scores is not None}
    found = {
        name: " and ".join(f"{scores[split]:.2f} on {split}" for split in scored)
        for name, scores in results.logistic_regression.items()
    }
    *alone, together = found
    line = f"logistic regression on each utterance alone: weighted F1 {found[together]}"
    line += f" ({'; '.join(f'{name} {found[name]}' for name in alone)})" if alone else ""
    if any(
        all(scores[split] >= f1 for split, f1 in scored.items()) and min(scored.values()) < 100
        for scores in results.logistic_regression.values()
    ):
        line += "\nthe network is no better than that; docs/troubleshooting.md says what to try"
    return line
