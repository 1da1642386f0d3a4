import jax
import jax.numpy as jnp


def clipped(grads, limit):
    return jax.tree_map(lambda grad: jnp.clip(grad, a_min=-limit, a_max=limit), grads)
