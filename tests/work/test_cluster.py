"""The engine dask, on a cluster of separate processes on this machine."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from pipeline.encoders.audio import opensmile
from pipeline.encoders.audio_vectors import describe_audio_of_dialogue
from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.media.clips import Clip, audio_clip
from pipeline.store.h5 import Arrays
from pipeline.work import engine
from pipeline.work.extraction import Item, extract

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, silence_logs=60
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)


@pytest.fixture
def cluster(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIEMO_ENGINE", "dask")
    monkeypatch.setenv("MULTIEMO_SCHEDULER", scheduler)


def items(numbers: list[int]) -> list[Item]:
    return [Item(key=f"{n:064x}", dialogue=f"d{n}", utterances=n, work=n) for n in numbers]


def square(number: int, pids: Path, killed: Path, culprit: int = 0) -> Arrays:
    """The square; kills its process at 3 the first time, and at the culprit always."""
    (pids / f"{number}-{os.getpid()}").touch()
    if number == culprit or (number == 3 and not killed.exists()):
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"features": np.full((number, 2), number**2, np.float32)}


def exhaust_memory(number: int) -> Arrays:
    """At 2, like a picture too large for the machine."""
    if number == 2:
        np.empty(10**15)
    return {"features": np.full((number, 2), number**2, np.float32)}


def refuse(number: int) -> Arrays:
    raise UserError("the disk is full")


@pytest.mark.usefixtures("cluster")
def test_a_run_goes_on_when_one_of_its_workers_is_killed(tmp_path: Path) -> None:
    (pids := tmp_path / "pids").mkdir()
    work = partial(square, pids=pids, killed=tmp_path / "killed")
    parts = list(extract("squares", items([1, 2, 3, 4, 5, 6]), work, workers=1))
    assert [part["features"][0, 0] for part in parts] == [1, 4, 9, 16, 25, 36]
    ran = [name.name.split("-") for name in pids.iterdir()]
    assert len([number for number, _ in ran if number == "3"]) == 2
    assert str(os.getpid()) not in {pid for _, pid in ran}


@pytest.mark.usefixtures("cluster")
def test_an_item_that_kills_every_worker_costs_itself_alone(tmp_path: Path) -> None:
    (pids := tmp_path / "pids").mkdir()
    work = partial(square, pids=pids, killed=tmp_path / "killed", culprit=2)
    with pytest.raises(UserError, match=r"died twice at d2 \(killed on tcp://.*all other dialogues are kept"):
        list(extract("squares", items([1, 2, 4]), work, workers=1))
    parts = list(extract("squares", items([1, 4]), refuse, workers=1))
    assert [part["features"][0, 0] for part in parts] == [1, 16]


@pytest.mark.usefixtures("cluster")
def test_an_item_that_needs_more_memory_than_there_is_costs_itself_alone() -> None:
    with pytest.raises(UserError, match=r"died twice at d2 \(out of memory\); all other dialogues are kept"):
        list(extract("exhaust", items([1, 2, 3]), exhaust_memory, workers=1))
    parts = list(extract("exhaust", items([1, 3]), refuse, workers=1))
    assert [part["features"][0, 0] for part in parts] == [1, 9]


@pytest.mark.usefixtures("cluster")
def test_the_users_errors_come_back_from_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the disk is full"):
        list(extract("squares", items([1, 2]), refuse, workers=1))


def test_a_cluster_gives_the_bytes_that_one_machine_gives(
    demo_root: Path,
    demo_media: dict[str, Medium],
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialogues: dict[str, list[Clip]] = {}
    for medium in demo_media.values():
        dialogues.setdefault(medium.dialogue, []).append(audio_clip(medium))
    work = [
        Item(key=f"{n:064x}", dialogue=name, utterances=len(clips), work=clips)
        for n, (name, clips) in enumerate(dialogues.items())
    ]
    encoder = opensmile.find_encoder("encoder", opensmile.Params(feature_set="eGeMAPSv02"))
    describe = partial(describe_audio_of_dialogue, root=demo_root, encoder=encoder, silence_dbfs=-70.0)
    found = {}
    for name in ("loky", "dask"):
        monkeypatch.setenv("MULTIEMO_ENGINE", name)
        monkeypatch.setenv("MULTIEMO_SCHEDULER", scheduler)
        monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / name))
        list(extract("audio", work, describe, workers=2))
        found[name] = {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
    assert len(found["dask"]) == len(work)
    assert found["dask"] == found["loky"]


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_has_older_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pids := tmp_path / "pids").mkdir()
    work = partial(square, pids=pids, killed=tmp_path / "killed")
    list(extract("squares", items([1]), work, workers=1))
    monkeypatch.setattr(engine, "code_digest", lambda module: "the file was edited")
    engine._code_and_versions.cache_clear()
    try:
        with pytest.raises(UserError, match=r"other code or other library versions.*restart its scheduler"):
            list(extract("squares", items([2]), work, workers=1))
    finally:
        engine._code_and_versions.cache_clear()


@pytest.mark.usefixtures("cluster")
def test_a_worker_must_have_the_stages_libraries_in_its_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "library_versions", lambda *names: dict.fromkeys(names, "0.0"))
    for library, complaint in (
        ("tqdm", "other code or other library versions"),
        ("no-such-library", "this Dask cluster lacks the library no-such-library; install it"),
    ):
        with pytest.raises(UserError, match=complaint):
            list(extract("squares", items([1]), refuse, workers=1, libraries=[library]))


def test_a_cluster_without_workers_is_waited_for_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    (pids := tmp_path / "pids").mkdir()
    monkeypatch.setattr(engine, "WAIT_S", 0.2)
    with distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None) as empty:
        monkeypatch.setenv("MULTIEMO_ENGINE", "dask")
        monkeypatch.setenv("MULTIEMO_SCHEDULER", empty.scheduler_address)
        Timer(1, empty.scale, [1]).start()
        work = partial(square, pids=pids, killed=tmp_path / "killed")
        assert len(list(extract("squares", items([1, 2]), work, workers=1))) == 2
    assert f"waiting for a worker of {empty.scheduler_address}" in capfd.readouterr().out


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MULTIEMO_ENGINE", "dask")
    with pytest.raises(UserError, match="set MULTIEMO_SCHEDULER"):
        list(extract("squares", items([1]), refuse, workers=1))
    monkeypatch.setenv("MULTIEMO_SCHEDULER", f"tcp://127.0.0.1:{port}")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(UserError, match=f"MULTIEMO_SCHEDULER=tcp://127.0.0.1:{port}: no Dask scheduler"),
    ):
        list(extract("squares", items([1]), refuse, workers=1))
    monkeypatch.setenv("MULTIEMO_ENGINE", "spark")
    with pytest.raises(UserError, match="MULTIEMO_ENGINE=spark: choose loky or dask"):
        list(extract("squares", items([1]), refuse, workers=1))
