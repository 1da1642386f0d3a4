"""FarmHash's Fingerprint64 of many short strings at once, in NumPy.

Source: Pike 2014, FarmHash (the functions of `farmhashna` for up to 32 bytes). TensorFlow's `to_hash_bucket_fast(x, n)`
is this fingerprint modulo n, and so are the ids of the Criteo workload.
"""

import numpy as np

LONGEST = 32  # bytes

_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)
_EIGHT = np.uint64(8)
_BLOCK = 1 << 12  # strings at a time, so that what is between stays in the processor's cache


def fingerprint64(text: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The fingerprints, uint64 (n,), of the strings text[start : start + length]; text is uint8.

    Raises ValueError where a string is longer than LONGEST.
    """
    if lengths.max(initial=0) > LONGEST:
        raise ValueError(f"a string of {lengths.max()} bytes is longer than {LONGEST}")
    padded = np.concatenate([text, np.zeros(8, np.uint8)])
    # The 8 bytes from any position on, as one number.
    words = np.ndarray(len(padded) - 7, "<u8", padded, strides=(1,))
    result = np.full(len(lengths), _K2, np.uint64)
    for shortest, longest, of_group in (
        (1, 3, _of_1_to_3_bytes),
        (4, 7, _of_4_to_7_bytes),
        (8, 16, _of_8_to_16_bytes),
        (17, 32, _of_17_to_32_bytes),
    ):
        group = (lengths >= shortest) & (lengths <= longest)
        if group.all():
            return of_group(words, starts, lengths)
        if group.any():
            result[group] = of_group(words, starts[group], lengths[group])
    return result


def fingerprint64_of_8_bytes(words: np.ndarray, suffix: bytes) -> np.ndarray:
    """`fingerprint64` of strings of 8 bytes each, (n,) uint64 little-endian, with 1 to 8 bytes more behind each.

    That is all that Criteo's columns have, and without gathering bytes it takes a tenth of the time.
    """
    length = 8 + len(suffix)
    multiplier = _multiplier(np.uint64(length))
    moved = np.uint64(8 * len(suffix))
    last = np.uint64(int.from_bytes(suffix, "little") << (64 - 8 * len(suffix)))
    result = np.empty(len(words), np.uint64)
    for start in range(0, len(words), _BLOCK):
        first = words[start : start + _BLOCK]
        b = (first >> moved) | last if len(suffix) < 8 else np.full_like(first, last)
        result[start : start + _BLOCK] = _mixed(first + _K2, b, multiplier)
    return result


def _of_1_to_3_bytes(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    byte = np.uint64(0xFF)
    first, middle, last = (words[starts + at] & byte for at in (0, lengths // 2, lengths - 1))
    y = first + (middle << _EIGHT)
    z = lengths.astype(np.uint64) + (last << np.uint64(2))
    return _shift_mix(y * _K2 ^ z * _K0) * _K2


def _of_4_to_7_bytes(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    half = np.uint64(0xFFFFFFFF)
    size = lengths.astype(np.uint64)
    first, last = words[starts] & half, words[starts + lengths - 4] & half
    return _hash_16(size + (first << np.uint64(3)), last, _multiplier(size))


def _of_8_to_16_bytes(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    multiplier = _multiplier(lengths.astype(np.uint64))
    return _mixed(words[starts] + _K2, words[starts + lengths - 8], multiplier)


def _mixed(a: np.ndarray, b: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    c = _rotate(b, 37) * multiplier + a
    d = (_rotate(a, 25) + b) * multiplier
    return _hash_16(c, d, multiplier)


def _of_17_to_32_bytes(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    multiplier = _multiplier(lengths.astype(np.uint64))
    ends = starts + lengths
    a = words[starts] * _K1
    b = words[starts + 8]
    c = words[ends - 8] * multiplier
    d = words[ends - 16] * _K2
    return _hash_16(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c, multiplier)


def _multiplier(size: np.ndarray) -> np.ndarray:
    return _K2 + size * np.uint64(2)


def _hash_16(low: np.ndarray, high: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """128 bits -> 64, as Murmur does it."""
    a = (low ^ high) * multiplier
    a ^= a >> np.uint64(47)
    b = (high ^ a) * multiplier
    b ^= b >> np.uint64(47)
    return b * multiplier


def _shift_mix(x: np.ndarray) -> np.ndarray:
    return x ^ (x >> np.uint64(47))


def _rotate(x: np.ndarray, bits: int) -> np.ndarray:
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))
