"""Loading of networks: the same numbers wherever they run, and no weight that was made up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.encoders.weights import Weights
from pipeline.errors import UserError

HEADS = ("classifier", "score", "head.", "pooler")
"""Parts of names of what transformers puts on top of an encoder: fine-tuning trains it from the start,
and embedding does not use it."""


def prepare_torch() -> None:
    """Make results independent of the machine, as far as a process can; call before loading a network."""
    # The order of sums depends on the number of threads; the other cores have dialogues of their own.
    torch.set_num_threads(1)
    # float32 means float32: a GPU's TF32 has ten bits of mantissa, and would share keys with the CPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def require_trained(key: str, weights: Weights | None) -> Weights:
    """The weights; UserError, naming ``key``, where they are to be untrained."""
    if weights is None:
        raise UserError(f"{key}.weights: this kind is not built untrained; name weights, by path or hub id")
    return weights


def read_folder(kind: Any, folder: Path, key: str, **options: Any) -> Any:
    """``kind.from_pretrained(folder)``, running no code of the folder's; UserError if it cannot be read."""
    try:
        # Were it not said, a terminal would be asked whether code in the folder may run.
        return kind.from_pretrained(folder, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{key}: {folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def family_of(folder: Path, key: str, families: Mapping[str, Any], what: str) -> str:
    """The ``model_type`` of a model's folder; UserError unless it is one of ``families``, of ``what``."""
    from transformers import AutoConfig

    family: str = read_folder(AutoConfig, folder, key).model_type
    if family not in families:
        known = ", ".join(families)
        raise UserError(f"{key}: {folder} is a {family}, and no {what} that is known here ({known})")
    return family


def read_processor(kind: Any, folder: Path, key: str, **options: Any) -> Any:
    """What prepares a model's input, by its folder's own settings; UserError where the folder has none."""
    if not any((folder / f"{name}_config.json").is_file() for name in ("preprocessor", "processor")):
        raise UserError(
            f"{key}: {folder} holds no preprocessor_config.json, which tells what input the model wants;"
            " fetch the model whole"
        )
    return read_folder(kind, folder, key, **options)


def read_tokenizer(folder: Path, key: str) -> Any:
    """The tokenizer in a model's folder; UserError where it has none.

    transformers makes up one that knows no word where the files are missing.
    """
    from transformers import AutoTokenizer

    tokenizer = read_folder(AutoTokenizer, folder, key)
    if not tokenizer.get_vocab().keys() - tokenizer.all_special_tokens:
        raise UserError(
            f"{key}: {folder} holds no tokenizer (tokenizer.json, or the files of its vocabulary); fetch the"
            " model whole"
        )
    return tokenizer


def load_pretrained(kind: Any, folder: Path, key: str, optional: Iterable[str] = (), **options: Any) -> Any:
    """``kind.from_pretrained(folder)`` in float32, whose weights must all come from the folder.

    transformers computes in the precision in which a folder was saved, were it half.  And it makes up what
    a folder lacks and only logs it; here a missing or misshapen weight is a UserError that names the param
    ``key``, unless its name holds one of ``optional``.
    """
    # Only who loads a model of transformers has to wait seconds for its import, in every worker.
    from transformers.utils import logging

    logging.disable_progress_bar()  # it has one for every file it reads
    options |= {"output_loading_info": True, "dtype": torch.float32, "use_safetensors": True}
    loud = logging.get_verbosity()
    logging.set_verbosity_error()  # it logs a table of the names that are looked at here
    try:
        network, report = read_folder(kind, folder, key, **options)
    finally:
        logging.set_verbosity(loud)
    missing, misshapen = (
        [name for name in names if not any(part in name for part in optional)]
        for names in (report["missing_keys"], [str(entry[0]) for entry in report["mismatched_keys"]])
    )
    if missing or misshapen:
        shown = ", ".join([*missing, *misshapen][:3])
        raise UserError(
            f"{key}: the weights in {folder} do not fit {type(network).__name__}:"
            f" {len(missing)} are missing and {len(misshapen)} have other shapes ({shown}, ...)"
        )
    return network
