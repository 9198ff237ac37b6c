"""What a lab shares is not computed twice, by the very commands of docs/sharing.md."""

from __future__ import annotations

import grp
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Clone, clone_to, finish
from tests.e2e.lab import SMALL, outputs, stages_run, stored_items, work_done

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Lab:
    """Folders that docs/sharing.md calls ``/lab/multiemo``, and the repository that members clone."""

    root: Path
    group: str

    @property
    def store(self) -> Path:
        return self.root / "shared" / "store"

    def member(self, name: str, store: str = "shared/store") -> Clone:
        """A member's clone, and the item store that it uses."""
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": f"{name}@example.org"}
        committer = {key.replace("AUTHOR", "COMMITTER"): value for key, value in author.items()}
        variables = {"MULTIEMO_STORE": str(self.root / store), "MULTIEMO_WORKERS": "1", **author, **committer}
        clone = Clone(self.root / name, variables)
        replace(clone, root=self.root).run("git", "clone", "--quiet", "origin.git", name)
        return clone

    def follow(self, clone: Clone, heading: str, block: int = 0) -> None:
        """Run a block of commands of docs/sharing.md, with this lab's folders, group and remote."""
        script = commands(heading)[block]
        for theirs, ours in (
            ("/lab/multiemo", str(self.root / "shared")),
            ("ssh://host/path", str(self.root / "remote")),
            ("chgrp -R emotion", f"chgrp -R {self.group}"),
        ):
            script = script.replace(theirs, ours)
        clone.run("bash", "-euc", script)


def commands(heading: str) -> list[str]:
    """The indented blocks below a heading of docs/sharing.md."""
    text = (PROJECT / "docs" / "sharing.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split(f"## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"(?:^ {4}.+\n)+", section, flags=re.MULTILINE)


def same_results(first: Clone, second: Clone) -> bool:
    """Whether DVC knows the same digests of everything that went in and came out."""
    return (first.root / "dvc.lock").read_bytes() == (second.root / "dvc.lock").read_bytes()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that has set up its folders, and whose project makes a small demo corpus."""
    root = tmp_path_factory.mktemp("lab")
    (root / "shared").mkdir()
    seed = clone_to(root / "seed")
    for old, new in (
        *SMALL,
        ("train_dialogues: 10", "train_dialogues: 3"),
        ("dev_dialogues: 3", "dev_dialogues: 1"),
        ("test_dialogues: 3", "test_dialogues: 1"),
        ("utterances_per_dialogue: 5", "utterances_per_dialogue: 2"),
    ):
        seed.edit("params.yaml", old, new)
    seed.commit("small")
    replace(seed, root=root).run("git", "clone", "--quiet", "--bare", "seed", "origin.git")
    groups = sorted(set(os.getgroups()) - {os.getgid()}) or [os.getgid()]
    lab = Lab(root, grp.getgrgid(groups[0]).gr_name)
    lab.follow(seed, "Once per lab")
    return lab


@pytest.fixture(scope="module")
def members(lab: Lab) -> tuple[Clone, Clone]:
    """Ann, whose DVC shares its cache, and Ben, whose does not; both have run at once, with one item store.

    Ann's own files are nobody else's: her umask is 077.
    """
    ann, ben = lab.member("ann"), lab.member("ben")
    lab.follow(ann, "Once per clone")
    runs = [
        ann.start("bash", "-c", "umask 077; dvc repro"),
        ben.start("dvc", "repro", "visual@demo", "audio@demo", "text@demo"),
    ]
    for run in runs:
        assert set(work_done(finish(run))) == {"faces", "visual", "audio", "text"}
    return ann, ben


def test_two_clones_that_run_at_once_with_one_store_end_with_the_same_bytes(
    lab: Lab, members: tuple[Clone, Clone]
) -> None:
    ann, ben = members
    assert outputs(ann) == outputs(ben)
    stages = Counter(name.split("/")[0] for name in stored_items(lab.store))
    assert stages == {"faces": 5, "visual": 5, "audio": 5, "text": 5, "train": 1, "baseline": 1}


def test_all_that_is_shared_is_open_to_the_group_whatever_a_members_umask(
    lab: Lab, members: tuple[Clone, Clone]
) -> None:
    for path in (lab.root / "shared").rglob("*"):
        found, where = path.stat(), path.relative_to(lab.root)
        assert grp.getgrgid(found.st_gid).gr_name == lab.group, where
        if path.is_dir():
            assert stat.S_IMODE(found.st_mode) == 0o2775, where
        else:
            assert found.st_mode & stat.S_IRGRP, where


def test_with_the_labs_cache_a_second_clone_restores_every_stage_and_executes_none(
    lab: Lab, members: tuple[Clone, Clone]
) -> None:
    cat = lab.member("cat", store="nobody's store")
    lab.follow(cat, "Once per clone")
    printed = cat.run("dvc", "repro")
    assert stages_run(printed) == []
    restored = re.findall(
        r"^Stage '(.+)' is cached - skipping run, checking out outputs", printed, re.MULTILINE
    )
    assert {"demo", "manifest@demo", "faces@demo", "text@demo", "train@demo", "evaluate@demo"} <= set(
        restored
    )
    assert same_results(cat, members[0])


def test_with_a_remote_a_second_clone_pulls_every_output_and_executes_nothing(
    lab: Lab, members: tuple[Clone, Clone]
) -> None:
    ann, _ = members
    dan = lab.member("dan", store="nobody's store")
    lab.follow(ann, "Elsewhere: a remote", 0)
    lab.follow(dan, "Elsewhere: a remote", 1)
    assert same_results(dan, ann)
    assert "Data and pipelines are up to date" in dan.run("dvc", "repro")
