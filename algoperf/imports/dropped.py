"""Names that JAX has dropped and submissions use: those that stand here again, and those of which a sentence tells.

They are there in the files of submissions alone, where `import jax` gives JAX with these names over it; JAX itself and
what else is installed are left as they are. What a submission uses of them is recorded in its results.
"""

import functools
import importlib
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

# Of each name: since which version of JAX it is gone, and what it is called now.
_RENAMED = {
    **{f"jax.tree_{name}": ("0.6.0", f"jax.tree_util.tree_{name}") for name in ("flatten", "leaves", "map")},
    **{f"jax.tree_{name}": ("0.6.0", f"jax.tree_util.tree_{name}") for name in ("structure", "transpose", "unflatten")},
    "jax.treedef_is_leaf": ("0.6.0", "jax.tree_util.treedef_is_leaf"),
    "jax.random.KeyArray": ("0.4.24", "jax.Array"),
    "jax.random.PRNGKeyArray": ("0.4.24", "jax.Array"),
    "jax.numpy.in1d": ("0.4.24", "jax.numpy.isin"),
    "jax.numpy.row_stack": ("0.4.24", "jax.numpy.vstack"),
    "jax.numpy.round_": ("0.4.38", "jax.numpy.round"),
    "jax.numpy.trapz": ("0.4.24", "jax.numpy.trapezoid"),
}
# Modules, and what of JAX each of their names was.
_MODULES = {"jax.config": ("0.4.29", {"config": "jax.config"})}
_GONE = {
    "jax.clear_backends": ("0.4.36", "jax.clear_caches is there"),
    "jax.experimental.host_callback": ("0.4.35", "jax.pure_callback and jax.experimental.io_callback are there"),
    "jax.experimental.maps": ("0.4.31", "jax.shard_map is there"),
    "jax.lax.tie_in": ("0.4.29", "it did nothing"),
    "jax.linear_util": ("0.4.24", "jax.extend.linear_util is there"),
    "jax.nn.normalize": ("0.4.29", "jax.nn.standardize is there"),
    "jax.tree_util.tree_multimap": ("0.3.16", "jax.tree.map is there"),
    "jax.xla_computation": ("0.4.34", "jax.jit(...).lower(...) is there"),
}
_OVER = ("jax", "jax.lax", "jax.nn", "jax.numpy", "jax.random", "jax.tree_util")

_PMAP = (
    "it maps a step over devices with jax.pmap, as submissions to AlgoPerf v0.5 did: since v0.6 parameters and batches "
    "have no axis for devices; jax.jit with the shardings of algoperf.jax_sharding_utils takes its place"
)


class DroppedNameError(AttributeError):
    """A submission uses a name that JAX has dropped."""


class DroppedImportError(ImportError):
    """A submission imports what JAX has dropped."""


class Over(ModuleType):
    """A module with other values for some of its names. value_of: of a name, None where it is the module's own."""

    def __init__(self, module: ModuleType, value_of: Callable[[str], Any]):
        super().__init__(module.__name__, module.__doc__)
        vars(self).update(_module=module, _value_of=value_of)
        vars(self).update({name: value for name, value in vars(module).items() if name in ("__path__", "__spec__")})

    def __getattr__(self, name: str) -> Any:
        value = self._value_of(name)
        value = getattr(self._module, name) if value is None else value
        if isinstance(value, FunctionType):  # a step may ask for it many times
            vars(self)[name] = value
        return value

    def __dir__(self) -> list[str]:
        return dir(self._module)


class Names:
    """JAX for one submission. used: gets the dropped names that it uses, and what stands for each."""

    def __init__(self, used: dict[str, str]):
        self._used = used
        self._over: dict[str, Over] = {}

    def module(self, name: str) -> ModuleType | None:
        """A module that JAX has dropped, None where it is none.

        Raises DroppedImportError where nothing stands for it.
        """
        if name in _GONE:
            raise DroppedImportError(_sentence(name))
        if name not in _MODULES:
            return None
        module = ModuleType(name)
        for part, now in _MODULES[name][1].items():
            setattr(module, part, self._stands(name, now))
        return module

    def over(self, module: ModuleType, wanted: tuple[str, ...]) -> ModuleType:
        """What an import of this module gives. Raises DroppedImportError for a name that is wanted and gone."""
        for name in wanted:
            if f"{module.__name__}.{name}" in _GONE and not hasattr(module, name):
                raise DroppedImportError(_sentence(f"{module.__name__}.{name}"))
        if module.__name__ not in _OVER:
            return module
        if module.__name__ not in self._over:
            self._over[module.__name__] = Over(module, functools.partial(self._value, module))
        return self._over[module.__name__]

    def _value(self, module: ModuleType, name: str) -> Any:
        full = f"{module.__name__}.{name}"
        if full == "jax.pmap":
            return functools.partial(_pmap, module)
        if full == "jax.numpy.clip":
            return functools.partial(self._clip, module.clip)
        if full in _OVER:
            return self.over(getattr(module, name), ())
        if hasattr(module, name):
            return None
        if full in _GONE:
            raise DroppedNameError(_sentence(full))
        return self._stands(full, _RENAMED[full][1]) if full in _RENAMED else None

    def _stands(self, name: str, now: str) -> Any:
        self._used[name] = now
        module, _, attribute = now.rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    def _clip(
        self,
        clip: Callable[..., Any],
        arr: Any = None,
        min: Any = None,  # noqa: A002
        max: Any = None,  # noqa: A002
        *,
        a: Any = None,
        a_min: Any = None,
        a_max: Any = None,
    ) -> Any:
        """`jax.numpy.clip`, whose arguments were called `a`, `a_min` and `a_max` until JAX 0.4.27."""
        if not (a is None and a_min is None and a_max is None):
            self._used["jax.numpy.clip(a, a_min, a_max)"] = "jax.numpy.clip(arr, min, max)"
        return clip(a if arr is None else arr, a_min if min is None else min, a_max if max is None else max)


def _pmap(jax: ModuleType, *arguments: Any, **named: Any) -> Callable[..., Any]:
    """`jax.pmap`, which tells what is wrong where a step of v0.5 is mapped over arrays of v0.6."""
    mapped = jax.pmap(*arguments, **named)

    @functools.wraps(mapped)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return mapped(*arguments, **named)
        except ValueError as error:
            arrays = [leaf for leaf in jax.tree.leaves((arguments, named)) if isinstance(leaf, jax.Array)]
            if all(array.shape[:1] == (jax.local_device_count(),) for array in arrays):
                raise
            raise DroppedNameError(_PMAP) from error

    return call


def _sentence(name: str) -> str:
    gone, now = _GONE[name]
    return f"it uses {name}, which JAX has dropped in {gone}: {now}"
