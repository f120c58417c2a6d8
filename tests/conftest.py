"""What every test gets: no network, two threads, the same random numbers each time."""

from __future__ import annotations

import os

import pytest

# Before anything imports a hub client: a test that would download fails at once and says so.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Each test starts from the same random state, whatever ran before it."""
    import numpy as np
    import torch

    np.random.seed(0)  # noqa: NPY002  (third-party code draws from the global generator)
    torch.manual_seed(0)
