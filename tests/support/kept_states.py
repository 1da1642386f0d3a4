"""Submissions that keep state of all kinds, and let none of it go without a trace in their evaluations."""

from collections.abc import Sequence
from pathlib import Path

from algoperf.benchmark.facts import Framework
from tests.support.own_submissions import write

_MOVES = {
    "pytorch": "for parameter in params.parameters(): parameter.data.add_(1e-3 * value)",
    "jax": "params = jax.tree.map(lambda leaf: leaf + 1e-3 * value, params)",
}
_IMPORTS = "import collections, dataclasses, enum, random\nimport numpy as np\n"
_FRAMEWORK = {"pytorch": "import torch\n", "jax": "import functools, jax, jax.numpy as jnp\n"}

# What a submission may keep: how it begins, and what a step does with it. All of it goes into `value`, by which the
# parameters move: nothing can be lost without a trace in the evaluations.
STATES = {
    "a list that grows": (
        "state['list'] = []",
        "state['list'].append(float(global_step)); value += sum(state['list'])",
    ),
    "a key made late": (
        "pass",
        "if global_step == 3: state['late'] = {('a', 1): [1.5, {2}], ('b',): (1, [2])}\n"
        "if global_step > 3: state['late'][('a', 1)][0] += 1; state['late'][('b',)][1].append(1)\n"
        "value += sum(state['late'][('a', 1)][:1] + state['late'][('b',)][1]) if global_step > 3 else 0",
    ),
    "a key taken away": (
        "state['warm'] = 1.0",
        "value += state.get('warm', 5.0)\nif global_step == 3: del state['warm']",
    ),
    "a string": (
        "state['phase'] = 'warmup'",
        "if global_step == 3: state['phase'] = 'main'\nvalue += len(state['phase'])",
    ),
    "an int that becomes a float": (
        "state['ema'] = 0",
        "state['ema'] = 0.5 * state['ema'] + 0.5; value += state['ema']",
    ),
    "None that becomes an array": (
        "state['best'] = None",
        "if global_step == 3: state['best'] = np.full(2, 0.5, np.float32)\n"
        "value += 0 if state['best'] is None else float(state['best'].sum())",
    ),
    "sets, deques and counters": (
        "state['window'] = collections.deque(maxlen=3); state['seen'] = set(); state['count'] = collections.Counter()",
        "state['window'].append(global_step); state['seen'].add(global_step % 4); state['count']['x'] += 1\n"
        "value += sum(state['window']) + len(state['seen']) + state['count']['x']",
    ),
    "objects of its own": (
        "state['ema'] = Average(0.0, Mode.SLOW); state['pair'] = Pair(1, [2])",
        "state['ema'].total += 1; state['pair'].second.append(1)\n"
        "if global_step == 3: state['ema'].mode = Mode.FAST; state['late'] = Average(2.0, Mode.SLOW)\n"
        "value += state['ema'].total * state['ema'].mode.value + sum(state['pair'].second)\n"
        "value += state['late'].total if 'late' in state else 0",
    ),
    "one object in two places": (
        "state['a'] = [1.0]; state['b'] = state['a']; state['c'] = {'own': state['a']}",
        "if global_step == 2: state['b'] = list(state['a'])\n"
        "state['a'][0] += 1; state['b'].append(0.5); value += sum(state['a']) + sum(state['b']) + state['c']['own'][0]",
    ),
    "random numbers": (
        "state['rng'] = np.random.default_rng(3)",
        "value += np.random.rand() + random.random() + state['rng'].random()\n"
        "if global_step == 3: state['late_rng'] = random.Random(5)\n"
        "value += state['late_rng'].random() if 'late_rng' in state else 0",
    ),
    "what has been evaluated": (
        "pass",
        "assert global_step == 0 or eval_results[-1][0] <= global_step\n"
        "value += eval_results[-1][1].pop('validation/loss') if global_step else 0",
    ),
}
OWN = {
    "pytorch": {
        "metrics that change": (
            "state['sum'] = torch.zeros(()); state['lr'] = torch.full((2,), 0.5, dtype=torch.bfloat16)",
            "state['sum'] += 1; workload.metrics_logger.append_scalar_metrics({'sum': state['sum']}, global_step)\n"
            "state['lr'] *= 0.5; value += state['sum'].item() + state['lr'].sum().item()",
        ),
        "an optimizer with something of its own": (
            "state['optimizer'] = Own(model_params.parameters(), lr=1e-2)",
            "state['optimizer'].zero_grad()\nsum(p.square().sum() for p in params.parameters()).backward()\n"
            "state['optimizer'].step(); value += state['optimizer'].taken",
        ),
        "a model that is frozen late": (
            "state['other'] = torch.nn.Linear(2, 2)",
            "if global_step == 3: state['other'].bias.requires_grad_(False)\n"
            "value += 1.0 if state['other'].bias.requires_grad else 2.0",
        ),
    },
    "jax": {
        "metrics that are donated, by a compiled step": (
            "state['sum'] = jnp.zeros(())",
            "workload.metrics_logger.append_scalar_metrics({'sum': state['sum'], 'note': 'text'}, global_step)\n"
            "state['step'] = state.get('step') or jax.jit(lambda total: total + 1, donate_argnums=0)\n"
            "state['sum'] = state['step'](state['sum']); value += float(state['sum'])",
        ),
        "keys, weak types and an array that grows": (
            "state['key'] = jax.random.key(1); state['weak'] = jnp.asarray(0.5); state['grown'] = jnp.zeros(1)",
            "state['key'], key = jax.random.split(state['key']); value += float(jax.random.uniform(key))\n"
            "state['weak'] = state['weak'] * 0.5; state['grown'] = jnp.append(state['grown'], float(global_step))\n"
            "if global_step == 3: state['late'] = jax.tree_util.Partial(jnp.add, 2.0) if False else jnp.ones(2)\n"
            "value += float((state['weak'] * jnp.ones((), jnp.bfloat16)).sum() + state['grown'].sum())\n"
            "value += float(state['late'].sum()) if 'late' in state else 0\n"
            "value += 0 if (state['weak'] * jnp.ones((), jnp.bfloat16)).dtype == jnp.bfloat16 else 1",
        ),
    },
}
_CLASSES = """
class Mode(enum.Enum):
    SLOW, FAST = 1, 2

@dataclasses.dataclass
class Average:
    total: float
    mode: Mode

Pair = collections.namedtuple("Pair", "first second")
"""
_OWN_OPTIMIZER = """
class Own(torch.optim.Adam):
    def __init__(self, parameters, lr):
        super().__init__(parameters, lr=lr)
        self.taken = 0

    def step(self):
        super().step()
        self.taken += 1
"""

# What each process of a trial has of its own; `everyone` adds up what all of them have. A process that is alone has
# all of it.
_PLACE = {
    "pytorch": """
from torch import distributed
RANK, SIZE = distributed.get_rank(), distributed.get_world_size()
def everyone(number):
    total = torch.tensor(float(number), dtype=torch.float64)
    distributed.all_reduce(total)
    return total.item()
""",
    "jax": """
from jax.experimental import multihost_utils
from algoperf import jax_sharding_utils as sharding
RANK, SIZE = jax.process_index(), jax.process_count()
def everyone(number):
    return float(np.sum(multihost_utils.process_allgather(np.float32(number))))
""",
}
DIVIDED = {
    "a list that only the others have": (
        "state['more'] = [0.25] * RANK",
        "if RANK: state['more'].append(1.0 + global_step)\nvalue += everyone(sum(state['more']))",
    ),
    "a key that one makes late": (
        "pass",
        "if global_step == 3 and RANK == SIZE - 1: state['late'] = {'of': [RANK, 2.5]}\n"
        "if 'late' in state: state['late']['of'].append(1)\n"
        "value += everyone(sum(state['late']['of']) if 'late' in state else 0)",
    ),
    "random numbers of each": (
        "state['rng'] = np.random.default_rng(RANK)",
        "value += everyone(state['rng'].random() + np.random.rand() * (RANK + 1))",
    ),
}
OWN_DIVIDED = {
    "pytorch": {
        "a share of an average": (
            "state['share'] = torch.full((4,), 100.0 * RANK)",
            "state['share'] = state['share'] * 0.5 + RANK + global_step; value += everyone(state['share'].sum())",
        ),
        "an optimizer of a share of the parameters": (
            "state['optimizer'] = torch.optim.Adam(list(model_params.parameters())[RANK::SIZE], lr=1e-2)",
            "parameters = list(params.parameters())\n"
            "gradients = torch.autograd.grad(sum(p.square().sum() for p in parameters), parameters)\n"
            "for parameter, gradient in zip(parameters, gradients): parameter.grad = gradient\n"
            "state['optimizer'].step()\n"
            "for number, parameter in enumerate(parameters): distributed.broadcast(parameter.data, number % SIZE)",
        ),
    },
    "jax": {
        "a share of an average": (
            "state['share'] = np.full(4, 100.0 * RANK, np.float32)",
            "state['share'] = state['share'] * 0.5 + RANK + global_step; value += everyone(state['share'].sum())",
        ),
        "an array over all devices": (
            "state['divided'] = sharding.shard_along_batch_dim(np.full(4, 100.0 * RANK, np.float32))",
            "state['divided'] = state['divided'] * 0.5 + global_step\n"
            "value += everyone(np.asarray(state['divided'].addressable_data(0)).sum())",
        ),
    },
}

# A step that is compiled for seconds.
COMPILED = {
    "pytorch": {
        "a compiled step": (
            "state['total'] = torch.zeros(3)",
            "state['total'] = GROWN(state['total'], float(global_step)); value += state['total'].sum().item()",
        )
    },
    "jax": {},
}
_COMPILED = "GROWN = torch.compile(lambda total, step: torch.sin(total) * 0.5 + step)\n"

# What cannot come back, and what is said of it.
LOST = {
    "pytorch": {
        "an iterator": ("state['i'] = iter(range(99))", "value += next(state['i'])"),
        "an optimizer that is made late": (
            "pass",
            "if global_step == 3: state['late'] = torch.optim.SGD(params.parameters(), lr=0.1)\n"
            "value += 'late' in state",
        ),
        "a state_dict that raises": ("state['o'] = Broken()", "value += global_step"),
    },
    "jax": {"an iterator": ("state['i'] = iter(range(99))", "value += next(state['i'])")},
}
_BROKEN = """
class Broken:
    def state_dict(self): raise NotImplementedError("no")
    def load_state_dict(self, state): pass
"""


def states_of(framework: Framework) -> list[str]:
    """All that comes back to a trial, in one process and in several."""
    return sorted(STATES | OWN[framework] | DIVIDED | OWN_DIVIDED[framework])


def submission(folder: Path, framework: Framework, names: Sequence[str]) -> Path:
    """One that keeps these, each in a dictionary of its own."""
    known = STATES | OWN[framework] | DIVIDED | OWN_DIVIDED[framework] | COMPILED[framework] | LOST[framework]
    init = [f"state = whole[{number}] = {{}}\n{known[name][0]}" for number, name in enumerate(names)]
    steps = [f"state = whole[{number}]\n{known[name][1]}" for number, name in enumerate(names)]
    imported = [_IMPORTS, _FRAMEWORK[framework], _PLACE[framework], _CLASSES, _BROKEN]
    imported += [_OWN_OPTIMIZER] if framework == "pytorch" else []
    imported += [_COMPILED] if set(names) & set(COMPILED[framework]) else []
    moved = f"value = everyone(value)\n{_MOVES[framework]}"  # the same parameters everywhere
    return write(
        folder,
        step="\n".join(["whole, value = state, 1.0", *steps, moved, "state = whole"]),
        init="\n".join(["whole = {}", *init, "return whole"]),
        imported="".join(imported),
    )
