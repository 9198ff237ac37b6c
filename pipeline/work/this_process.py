"""Work without worker processes, which a machine without shared memory cannot have."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator

from threadpoolctl import threadpool_limits

from pipeline.work.processes import Ended, Function, Task, WorkerDied, run_within_memory

SHARED_MEMORY = "/dev/shm"


def why_no_workers() -> str:
    """Why this machine can have no worker processes; empty where it can.

    They need semaphores, which Linux keeps in ``/dev/shm``: some containers lack it, others may not write it.
    """
    try:
        multiprocessing.Lock()
    except OSError as error:
        return f"no semaphore can be made ({error.strerror})"
    except ImportError as error:
        return f"no semaphore can be made ({error})"
    return ""


class ThisProcess:
    """An engine that runs one task after the other where it stands, whose death is the stage's, too."""

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        """Run the function on all tasks; yield each as it ends.  What the function raises is raised here."""
        for task in tasks:
            try:
                with threadpool_limits(1):  # as in worker processes: the order of sums depends on it
                    ended = Ended(task, run_within_memory(function, task))
            except WorkerDied as death:
                ended = Ended(task, death=death)
            yield ended

    def close(self) -> None:
        """Nothing is left running."""
