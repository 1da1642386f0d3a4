"""A submission in its folder, whose functions do nothing."""

import pytest

FUNCTIONS = """
def get_batch_size(workload_name): return {"criteo1tb": 512}[workload_name]
def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng): return {}
def update_params(workload, current_param_container, **rest): return {}, current_param_container, None
def data_selection(workload, input_queue, *rest): return next(input_queue)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "submission.py").write_text(FUNCTIONS)
    return tmp_path / "mine"
