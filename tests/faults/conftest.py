"""The layer is compiled once, and one process forks all servers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import pytest

from tests.faults.disk import compile_layer
from tests.faults.forking import Forks


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The process that forks servers."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc, which compiles the layer below the server (tests/faults/disk.c)")
    started = Forks(LD_PRELOAD=str(compile_layer(tmp_path_factory.mktemp("layer"))))
    yield started
    started.close()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The dice of a test. A failure shows the seed; `--seed` throws them again."""
    seed = request.config.getoption("seed")
    if seed is None:
        seed = random.SystemRandom().randrange(10**9)
    print(f"--seed {seed}")
    return random.Random(seed)
