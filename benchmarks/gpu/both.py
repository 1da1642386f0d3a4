"""What is looked at in both frameworks: what they see, whether they agree, and how they run out of memory."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS, ForwardPassMode
from algoperf.benchmark.workload import load_workload
from benchmarks.gpu.steps import BATCH, GIB, TINY, Row, batch_of

_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
_MORE_THAN_THERE_IS = 1 << 46  # bytes


def env(is_tiny: bool) -> Iterator[Row]:
    del is_tiny
    try:
        device = subprocess.run(_QUERY, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        device = ""
    yield Row("device", "a GPU", device or "none", bool(device) or None)
    for framework in FRAMEWORKS:
        found = load_backend(framework).accelerator()
        yield Row(framework, "sees it", f"{found['kind']}: {found['name']}", found["kind"] == "gpu" or None)
    built = torch._C._cuda_getArchFlags() if torch.version.cuda else ""
    capability = "sm_{}{}".format(*torch.cuda.get_device_capability()) if torch.cuda.is_available() else None
    seen = f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}: {built}"
    yield Row("pytorch, kernels", f"for {capability}", seen, None if capability is None else capability in built)
    pool = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    seen = f"jax {jax.__version__}, {'no pool' if pool is None else f'{pool / GIB:.2f} GiB'}"
    yield Row("jax, its pool", "92 % of the memory", seen, None)


def twins(is_tiny: bool) -> Iterator[Row]:
    """The same weights and batch: the loss, and the parameters' gradients, in float32 all through."""
    torch.backends.cudnn.allow_tf32 = False
    for name in ("ogbg", "criteo1tb") if is_tiny else BATCH:
        model = TINY["criteo1tb"] if name == "criteo1tb" else {}
        ours, theirs = (load_workload(name, framework, model=model) for framework in ("pytorch", "jax"))
        module, _ = ours.init_model_fn(np.array([1, 2]))
        params, state = theirs.from_canonical(ours.to_canonical(module, None))
        batch = batch_of(name, 256 if name == "criteo1tb" else 4, is_tiny)
        loss = _mean(ours, module, None, load_backend("pytorch").place_batch(batch), None)
        loss.backward()
        with jax.default_matmul_precision("highest"):
            other, gradients = _loss_and_gradients(theirs, params, state, load_backend("jax").place_batch(batch))
        errors = _errors(module, theirs.to_canonical(gradients, state))
        seen = f"loss {float(loss):.6f} and {float(other):.6f}, gradients' median error {np.median(errors):.1e}"
        is_alike = abs(float(loss) / float(other) - 1) < 1e-3 and np.median(errors) < 1e-2
        yield Row(f"twins {name}", "alike in float32", seen, bool(is_alike))


def _mean(workload: Any, params: Any, state: Any, batch: Mapping[str, Any], rng: Any) -> Any:
    logits, _ = workload.model_fn(
        *(params, batch, state, ForwardPassMode.TRAIN, rng, False), dropout_rate=0.0, use_running_average_bn=False
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    return loss["summed"] / loss["n_valid_examples"]


def _loss_and_gradients(workload: Any, params: Any, state: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    return jax.jit(jax.value_and_grad(lambda params: _mean(workload, params, state, batch, jax.random.key(0))))(params)


def _errors(module: torch.nn.Module, gradients: Mapping[str, np.ndarray]) -> list[float]:
    """Relative, of each parameter."""
    ours = {name: parameter.grad.cpu().numpy() for name, parameter in module.named_parameters()}
    return [float(np.linalg.norm(gradients[name] - g) / (np.linalg.norm(g) + 1e-12)) for name, g in ours.items()]


def out_of_memory(is_tiny: bool) -> Iterator[Row]:
    del is_tiny
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways: dict[str, Callable[[], Any]] = {
        "pytorch": lambda: torch.empty(_MORE_THAN_THERE_IS, dtype=torch.uint8, device=device),
        "jax": lambda: jax.block_until_ready(jnp.zeros(_MORE_THAN_THERE_IS // 4, jnp.float32) + 1),
    }
    for framework, take in ways.items():
        backend = load_backend(framework)
        try:
            take()
        except Exception as error:  # whatever it is: that is what is looked at
            is_known = backend.is_out_of_memory(error) and not backend.is_infrastructure_error(error)
            seen = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
            yield Row(f"{framework}, out of memory", "known as such", seen, is_known)
