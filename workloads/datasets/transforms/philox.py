"""The random numbers of TensorFlow's `stateless_random_uniform`, from which the reference draws its evaluation masks.

Philox 4x32 with ten rounds (Salmon, Moraes, Dror and Shaw 2011); NumPy's own Philox works on words of 64 bits.
"""

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_TENSORFLOW_KEY = (0x3EC8F720, 0x02461E29)  # under which TensorFlow mixes the two words of a seed


def stateless_uniform(seed: tuple[int, int], count: int) -> np.ndarray:
    """`count` numbers in [0, 1), multiples of 2^-23: (count,) float32. seed: two integers, each taken modulo 2^64.

    Fewer numbers of the same seed are the first ones of more.
    """
    words = [np.array([part % 2**64 >> shift & 0xFFFFFFFF], np.uint64) for part in seed for shift in (0, 32)]
    key_low, key_high, *counter_high = (int(word[0]) for word in _philox(words, _TENSORFLOW_KEY))
    block = np.arange(-(-count // 4), dtype=np.uint64)
    counter = [block, np.zeros_like(block), *(np.full_like(block, word) for word in counter_high)]
    words = np.stack(_philox(counter, (key_low, key_high)), axis=1).ravel()[:count]
    return (words & np.uint64(0x7FFFFF)).astype(np.float32) * np.float32(2**-23)


def _philox(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Four arrays of 32-bit words (in uint64) -> four arrays of random words of the same shape."""
    a, b, c, d = counter
    for number in range(_ROUNDS):
        key_a, key_b = (np.uint64((word + number * step) % 2**32) for word, step in zip(key, _KEY_STEPS, strict=True))
        product_a, product_c = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = (product_c >> np.uint64(32)) ^ b ^ key_a, product_c & _LOW
        c, d = (product_a >> np.uint64(32)) ^ d ^ key_b, product_a & _LOW
    return [a, b, c, d]
