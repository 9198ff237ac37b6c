"""``multiemo store``: what the item store holds, whether it is sound, and what may go."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.store.housekeeping import (
    StoredFile,
    choose_prunable,
    delete,
    find_damaged,
    list_checkpoints,
    list_files,
    used_keys,
)
from pipeline.store.items import DAY_S

DATA = Path("data")
AGE_UNITS_S = {"d": DAY_S, "w": 7 * DAY_S, "y": 365 * DAY_S}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the subcommands of ``multiemo store``."""
    parser.description = "What the item store holds, whether it is sound, and what may go."
    parser.epilog = "example:\n  multiemo store prune --unreachable --older-than 30d"
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--store", type=Path, help="its folder (default: MULTIEMO_STORE or the project's own)")
    actions = parser.add_subparsers(metavar="action", required=True)
    ls = actions.add_parser(
        "ls", parents=[where], help="items and bytes by stage, and what this project uses of them"
    )
    ls.set_defaults(run=_ls)
    verify = actions.add_parser(
        "verify",
        parents=[where],
        help="read every item and check its digest; status 1 if any is damaged",
    )
    verify.set_defaults(run=_verify)
    prune = actions.add_parser(
        "prune",
        parents=[where],
        help="delete items",
        description="Delete what killed writers left and the items that meet the criteria, all of them where"
        " both are given. Says what would go, and deletes only with --delete. Nothing that was used within"
        " the last day goes. What goes is computed again if it is needed again.",
    )
    prune.add_argument(
        "--unreachable",
        action="store_true",
        help="items that this project's outputs in data were not made of; other clones may use them",
    )
    prune.add_argument(
        "--older-than",
        type=_age_s,
        metavar="AGE",
        help="items that nobody has used for that long: 30d, 8w, 1y",
    )
    prune.add_argument("--delete", action="store_true", help="do it")
    prune.set_defaults(run=_prune)


def _ls(arguments: argparse.Namespace) -> int:
    root = _root(arguments)
    files, used = list(list_files(root)), used_keys(DATA)
    print(f"item store {root}")
    row = "{:<12}{:>8}{:>12}{:>12}{:>14}{:>16}"
    print(row.format("stage", "items", "size", "reachable", "unreachable", "longest unused"))
    for stage in sorted({file.stage for file in files}):
        items = [file for file in files if file.stage == stage and file.key]
        loose = [file for file in items if file.key not in used]
        unused_days = max((file.unused_s for file in loose), default=0) / DAY_S
        print(
            row.format(
                *(stage, len(items), _size(items), len(items) - len(loose), len(loose)),
                f"{unused_days:.0f} days" if loose else "",
            )
        )
    leftovers = [file for file in files if not file.key]
    if leftovers:
        print(f"{len(leftovers)} unfinished files of running or killed writers, {_size(leftovers)}")
    if checkpoints := list(list_checkpoints(runtime.checkpoint_root())):
        print(f"{len(checkpoints)} unfinished trainings in {runtime.checkpoint_root()}, {_size(checkpoints)}")
    print(f"reachable: what this project's outputs in {DATA} were made of")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    root = _root(arguments)
    files = [file for file in list_files(root) if file.key]
    damaged = list(find_damaged(root, files))
    for file in damaged:
        print(f"damaged: {file.path}")
    print(f"{len(files)} items, {len(damaged)} damaged" + ("; a run computes them again" if damaged else ""))
    return 1 if damaged else 0


def _prune(arguments: argparse.Namespace) -> int:
    root = _root(arguments)
    used = used_keys(DATA)
    if arguments.unreachable and not used:
        raise UserError(
            f"--unreachable: there are no outputs in {DATA.absolute()} to tell what is used;"
            f" run this where `dvc repro` or `dvc pull` has been run"
        )
    files = [*list_files(root), *list_checkpoints(runtime.checkpoint_root())]
    chosen = list(
        choose_prunable(files, used, unreachable=arguments.unreachable, older_than_s=arguments.older_than)
    )
    for stage in sorted({file.stage for file in chosen}):
        items = [file for file in chosen if file.stage == stage]
        print(f"{stage}: {len(items)} files, {_size(items)}")
    total = f"{len(chosen)} files, {_size(chosen)}"
    if not arguments.delete:
        print(f"{total} would go; nothing is deleted without --delete")
        return 0
    gone = []
    for file in chosen:
        try:
            if delete(file):
                gone.append(file)
        except OSError as error:
            raise UserError(f"{file.path}: cannot be deleted ({error.strerror})") from error
    print(f"{len(gone)} files, {_size(gone)} deleted")
    return 0


def _root(arguments: argparse.Namespace) -> Path:
    root: Path = arguments.store or runtime.store_root()
    if not root.is_dir():
        raise UserError(f"no item store at {root}; set MULTIEMO_STORE or --store, or run dvc repro first")
    return root


def _age_s(text: str) -> float:
    match = re.fullmatch(r"(\d+)([dwy])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: give days, weeks or years, such as 30d, 8w or 1y")
    return int(match[1]) * AGE_UNITS_S[match[2]]


def _size(files: Sequence[StoredFile]) -> str:
    return f"{sum(file.size_bytes for file in files) / 1e6:.1f} MB"
