"""What the JAX models share: layers, the type of each of their parameters, and the way to and from plain arrays.

The twin of `pytorch.py`. Submissions see parameters as nested dicts with string keys, named after the modules:
`{"layer1": {"0": {"conv1": {"kernel": ...}}}}`. The same parameter's canonical name is `layer1.0.conv1.weight` and its
canonical layout PyTorch's, so that weights, gradients and statistics of the two frameworks can be exchanged.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jax.sharding import PartitionSpec

from algoperf import jax_sharding_utils as sharding
from algoperf.benchmark.facts import ParameterType
from workloads.layers.context import ForwardContext

ACTIVATIONS = {
    "relu": nnx.relu,
    "silu": nnx.silu,
    "gelu": functools.partial(nnx.gelu, approximate=True),
    "tanh": jnp.tanh,
}


LECUN_NORMAL = nnx.initializers.lecun_normal()


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What one array of a layer is.

    name, axes: its canonical name, and its axes in the canonical order. type: a parameter's type. fresh: the value of
    a running statistic before the first step.
    """

    name: str
    axes: tuple[int, ...] = (0,)
    type: ParameterType | None = None
    fresh: float | None = None


class Conv(nnx.Module):
    """A square convolution: (B, H, W, in_features) -> (B, H', W', out_features).

    padding: pixels on every side, or "SAME": as few as make H' = ceil(H / stride), an odd one at the end.
    """

    LEAVES: ClassVar = {
        "kernel": Leaf("weight", axes=(3, 2, 0, 1), type=ParameterType.CONV_WEIGHT),
        "bias": Leaf("bias", type=ParameterType.BIAS),
    }

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Literal["SAME"] = "SAME",
        *,
        use_bias: bool = False,
        kernel_init: nnx.Initializer = LECUN_NORMAL,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (kernel_size, kernel_size, in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None
        self.stride = stride
        self.padding = padding if padding == "SAME" else ((padding, padding), (padding, padding))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self._convolved(x, self.kernel[...])
        return y if self.bias is None else y + self.bias[...]

    def _convolved(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        # Products are for CPUs alone: elsewhere they take more memory, and XLA's compiler for A100 and H100 ends the
        # process over a slice that is reshaped and multiplied (openxla/xla issue 47381).
        if jax.default_backend() == "cpu":
            if kernel.shape[:2] == (1, 1):
                # XLA's CPU gradients of a 1x1 convolution take eight times as long as those of this matrix product.
                x = x[:, :: self.stride, :: self.stride]
                return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)
            if self.stride > 1 and kernel.shape[2] >= 512:
                return self._sum_of_products(x, kernel)
        strides = (self.stride, self.stride)
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, strides, self.padding, dimension_numbers=layout)

    def _sum_of_products(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """One matrix product for each place in the kernel. Of so many channels, XLA's CPU gradients of the strided
        convolution take twice as long."""
        padding = self.padding
        if padding == "SAME":
            padding = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (self.stride, self.stride), "SAME")
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        rows, columns = ((size - len(kernel)) // self.stride + 1 for size in x.shape[1:3])
        products = (
            x[:, i : i + self.stride * rows : self.stride, j : j + self.stride * columns : self.stride] @ kernel[i, j]
            for i, j in np.ndindex(*kernel.shape[:2])
        )
        return functools.reduce(jnp.add, products)


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last; momentum 0.9, epsilon 1e-5, a biased running variance."""

    LEAVES: ClassVar = {
        "scale": Leaf("weight", type=ParameterType.BATCH_NORM_SCALE),
        "bias": Leaf("bias", type=ParameterType.BATCH_NORM_BIAS),
        "mean": Leaf("running_mean", fresh=0.0),
        "var": Leaf("running_var", fresh=1.0),
    }

    def __init__(self, num_features: int, scale_init: float = 1.0) -> None:
        self.scale = nnx.Param(jnp.full(num_features, scale_init))
        self.bias = nnx.Param(jnp.zeros(num_features))
        self.mean = nnx.BatchStat(jnp.zeros(num_features))
        self.var = nnx.BatchStat(jnp.ones(num_features))

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        if ctx.use_running_average:
            mean, var = self.mean[...], self.var[...]
        else:
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axes)
            # One pass over x instead of two; rounding must not make the difference negative.
            var = jnp.maximum(jnp.square(x).mean(axes) - jnp.square(mean), 0.0)
        if ctx.update_batch_norm:
            self.mean[...] = 0.9 * self.mean[...] + 0.1 * mean
            self.var[...] = 0.9 * self.var[...] + 0.1 * var
        return (x - mean) * (jax.lax.rsqrt(var + 1e-5) * self.scale[...]) + self.bias[...]


class Embedding(nnx.Module):
    """A table of num_embeddings rows, uniform in [0, max_init): ids (...) -> (..., features)."""

    LEAVES: ClassVar = {"embedding": Leaf("weight", axes=(0, 1), type=ParameterType.EMBEDDING)}

    def __init__(self, num_embeddings: int, features: int, max_init: float, *, rngs: nnx.Rngs) -> None:
        # Drawn in parts: the random bits of a whole table would take three times its memory, and twice the time.
        num_parts = math.gcd(num_embeddings, 1_024)
        part = (num_embeddings // num_parts, features)
        keys = jax.random.split(rngs.params(), num_parts)
        parts = jax.lax.map(lambda key: jax.random.uniform(key, part, maxval=max_init), keys)
        self.embedding = nnx.Param(parts.reshape(num_embeddings, features))

    def __call__(self, ids: jax.Array) -> jax.Array:
        return self.embedding[...].at[ids].get(mode="promise_in_bounds")


def on_each_device(
    function: Callable[..., jax.Array], of_batch: tuple[jax.Array, ...], of_all: tuple[jax.Array, ...]
) -> jax.Array:
    """`function(*of_batch, *of_all)`, called with each device's share of a batch: for calls that XLA cannot divide.

    Of such a call every device would else gather the whole batch and compute all of it. The first axes of `of_batch`
    and of the result are divided as batches are; `of_all` is the same on every device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        mesh = sharding.get_mesh()
    is_divided_already = bool(getattr(mesh, "manual_axes", ()))  # in a submission's own shard_map
    if is_divided_already or len(of_batch[0]) % mesh.size:
        return function(*of_batch, *of_all)
    divided, same = PartitionSpec(mesh.axis_names), PartitionSpec()
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(*[divided] * len(of_batch), *[same] * len(of_all)),
        out_specs=divided,
        check_vma=False,  # custom calls do not say how their results vary
    )(*of_batch, *of_all)


def max_pool(x: jax.Array) -> jax.Array:
    """The largest value of each 3x3 window, stride 2, one pixel of padding: (B, H, W, C) -> (B, ceil(H/2), ...).

    One axis after the other: XLA's gradient of a pooling window takes ten times as long on CPU.
    """
    for axis in (1, 2):
        padding = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(x, padding, constant_values=-jnp.inf)
        size = x.shape[axis]
        first, second, third = (
            jax.lax.slice_in_dim(padded, i, min(i + size, padded.shape[axis]), 2, axis) for i in range(3)
        )
        x = jnp.maximum(jnp.maximum(first, second), third)
    return x


def dropout(x: jax.Array, ctx: ForwardContext) -> jax.Array:
    """Drops values with probability ctx.dropout_rate and scales the others up, in training only."""
    return _dropped(x, x.shape, ctx)


def channel_dropout(x: jax.Array, ctx: ForwardContext) -> jax.Array:
    """The same for whole channels of images (B, H, W, C)."""
    return _dropped(x, (x.shape[0], 1, 1, x.shape[-1]), ctx)


def _dropped(x: jax.Array, mask_shape: tuple[int, ...], ctx: ForwardContext) -> jax.Array:
    rate = ctx.dropout_rate
    # A traced rate cannot be asked whether it is zero; a plain zero must not cost random numbers.
    if not ctx.train or (isinstance(rate, int | float) and rate == 0):
        return x
    kept = 1.0 - rate
    mask = jax.random.bernoulli(jax.random.fold_in(ctx.rng, next(ctx.sites)), kept, mask_shape)
    return jnp.where(mask, x / kept, 0.0)


# The layers that Flax brings; a layer of our own says itself what its arrays are, in its LEAVES.
FLAX_LEAVES: Mapping[type[nnx.Module], Mapping[str, Leaf]] = {
    nnx.Linear: {
        "kernel": Leaf("weight", axes=(1, 0), type=ParameterType.WEIGHT),
        "bias": Leaf("bias", type=ParameterType.BIAS),
    },
    nnx.LayerNorm: {
        "scale": Leaf("weight", type=ParameterType.LAYER_NORM_SCALE),
        "bias": Leaf("bias", type=ParameterType.LAYER_NORM_BIAS),
    },
}

Tree = dict[str, Any]


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Tree, Tree]:
    """A model as its structure, its parameters and its running statistics, the latter two as nested dicts of arrays."""
    graphdef, params, batch_stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graphdef, *(_map_keys(str, nnx.to_pure_dict(state)) for state in (params, batch_stats))


def merge(graphdef: nnx.GraphDef, params: Tree, batch_stats: Tree) -> nnx.Module:
    """The model that `split` took apart, with these arrays."""
    return nnx.merge(graphdef, *(_map_keys(_attribute, tree) for tree in (params, batch_stats)))


def _map_keys(function: Callable[[Any], Any], tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {function(key): _map_keys(function, value) for key, value in tree.items()}


def _attribute(key: str) -> str | int:
    """The members of an nnx.List have numbers for names."""
    return int(key) if key.isdigit() else key


def _arrays(model: nnx.Module) -> Iterator[tuple[tuple[str, ...], str, Leaf, Any]]:
    """Where each array of a model is, its canonical name, what it is, and itself; parameters come first."""
    layers = {path: type(module) for path, module in nnx.iter_modules(model)}
    for kind in (nnx.Param, nnx.BatchStat):
        for path, array in traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(model, kind))).items():
            layer = layers[path[:-1]]
            leaf = (FLAX_LEAVES.get(layer) or layer.LEAVES)[path[-1]]
            yield tuple(map(str, path)), ".".join(map(str, (*path[:-1], leaf.name))), leaf, array


def parameter_types(model: nnx.Module) -> dict[str, ParameterType]:
    """The type of every parameter, by canonical name."""
    return {name: leaf.type for _, name, leaf, _ in _arrays(model) if leaf.type is not None}


def canonical_names(model: nnx.Module) -> Tree:
    """The tree of the parameters, each replaced by its canonical name."""
    names = {path: name for path, name, leaf, _ in _arrays(model) if leaf.type is not None}
    return traverse_util.unflatten_dict(names)


def canonical_shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    """The canonical name and shape of every parameter and running statistic."""
    return {name: tuple(array.shape[axis] for axis in leaf.axes) for _, name, leaf, array in _arrays(model)}


def to_canonical(model: nnx.Module) -> dict[str, np.ndarray]:
    """Every parameter and running statistic under its canonical name, in the canonical layout."""
    return {name: np.transpose(np.asarray(array), leaf.axes) for _, name, leaf, array in _arrays(model)}


def from_canonical(model: nnx.Module, tensors: Mapping[str, np.ndarray]) -> tuple[Tree, Tree]:
    """Parameters and running statistics for a model from canonical arrays; statistics may be missing, then fresh.

    The model may be abstract (`nnx.eval_shape`): its arrays only say what shape and dtype to make.
    """
    params, batch_stats = {}, {}
    for path, name, leaf, array in _arrays(model):
        if leaf.fresh is not None and name not in tensors:
            value = jnp.full(array.shape, leaf.fresh, array.dtype)
        else:
            value = jnp.array(np.transpose(tensors[name], np.argsort(leaf.axes)), array.dtype)
        (params if leaf.type is not None else batch_stats)[path] = value
    return traverse_util.unflatten_dict(params), traverse_util.unflatten_dict(batch_stats)
