"""Models of the Hugging Face hub: fetched once per machine into the hub's local cache."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

PATTERNS = ("*.json", "*.txt", "*.model", "model.safetensors", "model-*-of-*.safetensors")
"""What makes a model: its config, tokenizer and weights, and no second copy of these in other precisions."""
CARD = "README.md"
"""What says its licence; no part of it."""
CONVERTER, CONVERSION = "SFconvertbot", "Adding `safetensors` variant of this model"
"""Author and title of the pull request in which the hub itself offers a model's weights as safetensors."""


class NotCachedError(UserError):
    """A hub model is not on this machine, and the hub is switched off or out of reach."""


def is_model_file(name: str) -> bool:
    """Whether a file of a model's folder is part of it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)


def fetch_snapshot(key: str, name: str, revision: str | None) -> Path:
    """The folder of a hub model in the local cache, named like its commit; downloaded, with bars, if need be.

    UserError, naming the param ``key``, where it cannot be had; NotCachedError where the hub cannot be asked.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError

    def download(*patterns: str, **options: Any) -> Any:
        return snapshot_download(
            name, revision=revision, allow_patterns=list(patterns), ignore_patterns="*/*", **options
        )

    try:
        try:
            found = Path(download(*PATTERNS, CARD))
        except LocalEntryNotFoundError:  # what was copied here may lack the card, which nothing needs
            found = Path(download(*PATTERNS, local_files_only=True))
        if not any(found.glob("*.safetensors")):
            # Who loaded its tokenizer alone left that in the cache: only the hub knows what else there is.
            download(*PATTERNS, dry_run=True)
        return found
    except (LocalEntryNotFoundError, DryRunError) as error:  # the hub is switched off, or out of reach
        command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
        raise NotCachedError(
            f"{key}: {name}{f' at revision {revision}' if revision else ''} is not in the local cache of the"
            f" hub, and the hub cannot be asked; where there is a network run `{command}`, and copy its cache"
            f" (~/.cache/huggingface) here, or give the folder of a model"
        ) from error
    except Exception as error:  # the hub's client raises what its HTTP library raises
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{key}: {name} is neither a folder here nor a model that can be had from the hub"
            f" ({type(error).__name__}: {reason}); check the name, or download it and give its folder"
        ) from error


def read_licence(folder: Path) -> str:
    """What a model's card says of its licence, such as ``cc-by-nc-4.0``; empty where it has none."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        data = ModelCard.load(folder / CARD, ignore_metadata_errors=True).data
    except (OSError, ValueError, YAMLError):  # there is no card, or it is none
        return ""
    named = data.license_name if data.license == "other" else data.license
    return named if isinstance(named, str) else ""


def find_conversion(name: str) -> str | None:
    """The commit at which the hub's converter offers a model's weights as safetensors; None if none does.

    Raises what the hub's client raises.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    for discussion in hub.get_repo_discussions(name, author=CONVERTER, discussion_type="pull_request"):
        if discussion.author == CONVERTER and discussion.title == CONVERSION:
            commit: str | None = hub.model_info(name, revision=f"refs/pr/{discussion.num}").sha
            return commit
    return None
