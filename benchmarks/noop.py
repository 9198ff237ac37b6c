"""What ``dvc repro`` with nothing to do costs here, beside the same stages in a repository of DVC alone.

    python -m benchmarks.noop

Limit: 1 s more.  Both have the same stages, dependencies and outputs, all up to date; DVC alone has them
without params, templates, metrics, plots and the project's code.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.store.code import PROJECT

ROUNDS = 7


def make_project(folder: Path) -> None:
    """The project with all that its stages make, in content that stands in for it."""
    listed = run(PROJECT, "git", "ls-files")
    for name in listed.splitlines():
        if (PROJECT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    run(folder, "git", "init", "--quiet")
    with Repo(str(folder)) as repo:
        for output in repo.index.outs:
            write(folder / output.def_path)
    run(folder, "dvc", "commit", "--force")


def make_dvc_alone(folder: Path, project: Path) -> None:
    """A repository of the same stages, each written out in full."""
    folder.mkdir()
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    stages = {}
    with Repo(str(project)) as repo:
        for stage in repo.index.stages:
            deps = [dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)]
            deps = [name if name != "params.yaml" else "a_file" for name in deps]  # DVC would parse it
            outs = [out.def_path for out in stage.outs]
            stages[stage.name.replace("@", "_")] = {"cmd": "true", "deps": deps, "outs": outs}
    names = {name for stage in stages.values() for kind in ("outs", "deps") for name in stage[kind]}
    for name in sorted(names):  # folders come before what is in them
        if (project / name).is_dir():  # of code, or of some outputs
            shutil.copytree(project / name, folder / name)
        elif not (folder / name).exists():
            write(folder / name)
    with (folder / "dvc.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"stages": stages}, file)
    run(folder, "dvc", "commit", "--force")


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name, encoding="utf-8")


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def time_repro(folder: Path) -> float:
    """Seconds that ``dvc repro`` takes, the start of Python included."""
    started = time.perf_counter()
    printed = run(folder, "dvc", "repro")
    taken_s = time.perf_counter() - started
    assert "Data and pipelines are up to date" in printed, printed
    return taken_s


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        project, alone = Path(temporary, "project"), Path(temporary, "alone")
        make_project(project)
        make_dvc_alone(alone, project)
        times_s = [(time_repro(project), time_repro(alone)) for _ in range(ROUNDS)]
    here_s, alone_s = (statistics.median(times) for times in zip(*times_s, strict=True))
    more_s = statistics.median(here - alone for here, alone in times_s)
    print(
        f"dvc repro with nothing to do: {here_s:.2f} s, DVC alone {alone_s:.2f} s:"
        f" {more_s:.2f} s more (limit 1 s), {here_s / alone_s:.2f} times"
    )


if __name__ == "__main__":
    main()
