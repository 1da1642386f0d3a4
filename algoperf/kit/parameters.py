"""Which parameters are hidden matrices, which Muon is for, from their types and shapes and never from their names."""

from algoperf.benchmark.facts import ParameterType
from algoperf.benchmark.workload import Workload

# The coefficients of the iteration that makes a matrix orthogonal: a x + (b A + c A A) x with A = x x' (Jordan 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)

_MATRICES = {
    ParameterType.WEIGHT,
    ParameterType.CONV_WEIGHT,
    ParameterType.ATTENTION_Q,
    ParameterType.ATTENTION_K,
    ParameterType.ATTENTION_V,
    ParameterType.ATTENTION_OUT,
    ParameterType.ATTENTION_QKV,
    ParameterType.ATTENTION_KV,
}


def is_hidden_matrix(workload: Workload, name: str, kind: ParameterType, sides: tuple[int, ...]) -> bool:
    """Whether a parameter maps hidden units to hidden units: no table of embeddings, and not of the output layer.

    sides: those of the matrix that it is; one with a side of 1 is a vector.
    """
    return kind in _MATRICES and min(sides, default=1) > 1 and not workload.is_output_params(name)
