"""What the tests share: the prepared mini data, and a trial of the real loop that is cheap."""

from pathlib import Path

import pytest

from workloads.datasets.prepare import prepare_dataset

pytest_plugins = ["tests.slurm_cluster"]

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The mini data, fetched and prepared by the real code where `make score` has not done it yet."""
    folder = REPOSITORY / "data"
    for dataset in ("fashion_mnist", "nyc_flights", "heads"):
        prepare_dataset(dataset, folder, None, lambda what, done, total: None)
    return folder
