"""The report of the real A100 leaderboard, made once for all tests that read it back."""

import tarfile
from pathlib import Path

import pytest

from scoring.command import score_logs
from tests.conftest import REPOSITORY
from tests.support.page_tables import Tables

LOGS = REPOSITORY / "tests" / "data" / "scoring" / "algoperf_a100_self_tuning.tar.xz"


@pytest.fixture(scope="session")
def a100(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of page and tables."""
    folder = tmp_path_factory.mktemp("a100")
    with tarfile.open(LOGS) as archive:
        archive.extractall(folder, filter="data")
    score_logs(folder / LOGS.name.removesuffix(".tar.xz"), "v0.6-a100", "self", "as-documented", folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def a100_page(a100: Path) -> Tables:
    return Tables((a100 / "report.html").read_text("utf-8"))
