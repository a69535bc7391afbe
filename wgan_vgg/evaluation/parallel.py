"""How evaluation uses all cores."""

import os
from concurrent.futures import Executor, ThreadPoolExecutor


def workers() -> Executor:
    """Threads, one for each core: filters and array operations release the interpreter's lock.

    Each image is worked on by one thread alone, so no result depends on how many there are.
    """
    return ThreadPoolExecutor(os.cpu_count())
