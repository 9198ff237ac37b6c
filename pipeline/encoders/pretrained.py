"""Loading of networks: the same numbers wherever they run, and no weight that was made up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

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


def load_pretrained(kind: Any, folder: Path, key: str, optional: Iterable[str] = (), **options: Any) -> Any:
    """``kind.from_pretrained(folder)`` in float32, whose weights must all come from the folder.

    transformers computes in the precision in which a folder was saved, were it half.  And it makes up what
    a folder lacks and only logs it; here a missing or misshapen weight is a UserError that names the param
    ``key``, unless its name holds one of ``optional``.
    """
    # Only who loads a model of transformers has to wait seconds for its import, in every worker.
    from transformers.utils import logging

    logging.disable_progress_bar()  # it has one for every file it reads
    try:
        network, report = kind.from_pretrained(
            folder, output_loading_info=True, dtype=torch.float32, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{key}: {folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
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
