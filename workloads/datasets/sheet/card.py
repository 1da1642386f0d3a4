"""One example on a contact sheet, and what it is made of: pictures, sounds, texts, drawings, all inside of the page."""

import base64
import dataclasses
import html
import io
import struct
import wave
import zlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Card:
    """An example. caption: plain text. parts: pieces of HTML, which the functions below make."""

    caption: str
    parts: tuple[str, ...]


class Shown(Protocol):
    """A source whose examples can be looked at."""

    def __len__(self) -> int: ...

    def show(self, number: int) -> Card:
        """One example, by number."""
        ...


def picture(pixels: np.ndarray, what: str) -> str:
    """pixels: (H, W) or (H, W, 3) uint8. what: is said of it, for those who do not see it."""
    height, width = pixels.shape[:2]
    colours = 2 if pixels.ndim == 3 else 0
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return f'<img alt="{html.escape(what)}" title="{html.escape(what)}" src="{_inside("image/png", png)}">'


def grey(values: np.ndarray) -> np.ndarray:
    """Any numbers (H, W) as uint8, black the 1st and white the 99th of a hundred."""
    low, high = np.percentile(values, (1, 99))
    return np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)


def sound(samples: np.ndarray, rate: int) -> str:
    """samples: (n,) int16."""
    file = io.BytesIO()
    with wave.open(file, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(samples.astype("<i2").tobytes())
    return f'<audio controls preload="none" src="{_inside("audio/wav", file.getvalue())}"></audio>'


def spectrogram(samples: np.ndarray, rate: int) -> str:
    """Time to the right, frequencies upwards, in decibels; windows of 25 ms, one each 10 ms. samples: (n,)."""
    size, step = rate // 40, rate // 100
    padded = np.pad(samples.astype(np.float32), (0, max(0, size - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(windows)) ** 2
    return picture(grey(np.log10(power + 1).T[::-1]), "spectrogram")


def text(content: str, language: str = "") -> str:
    return f'<p lang="{html.escape(language)}">{html.escape(content)}</p>'


def table(rows: Mapping[str, Sequence[object]]) -> str:
    """A line for each name, with its values."""
    lines = (
        f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{html.escape(str(value))}</td>' for value in values)}</tr>"
        for name, values in rows.items()
    )
    return f"<table>{''.join(lines)}</table>"


def graph(names: Sequence[str], bonds: Sequence[tuple[int, int, int]]) -> str:
    """A drawing. names: of the nodes. bonds: two nodes, and how thick the line between them is."""
    places = _laid_out(len(names), bonds)
    size = np.ptp(places, axis=0) + 2
    places = places - places.min(axis=0) + 1
    lines = (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke-width="{0.06 * thick:.2f}"/>'
        for (x1, y1), (x2, y2), thick in ((places[a], places[b], thick) for a, b, thick in bonds)
    )
    dots = (
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r=".28"/><text x="{x:.2f}" y="{y:.2f}">{html.escape(name)}</text>'
        for name, (x, y) in zip(names, places, strict=True)
    )
    box = f"0 0 {size[0]:.2f} {size[1]:.2f}"
    return f'<svg viewBox="{box}" role="img" aria-label="graph">{"".join(lines)}{"".join(dots)}</svg>'


def _laid_out(count: int, bonds: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Places (n, 2) at which neighbours are about 1 apart (Fruchterman and Reingold 1991)."""
    places = np.random.default_rng(0).normal(size=(count, 2)) * max(1, count) ** 0.5
    ends = np.array([(a, b) for a, b, _ in bonds], int).reshape(-1, 2)
    for heat in np.linspace(1, 0.01, 300):
        apart = places[:, None] - places
        distance = np.linalg.norm(apart, axis=-1, keepdims=True) + 1e-3
        force = (apart / distance**3).sum(axis=1)
        pull = places[ends[:, 1]] - places[ends[:, 0]]
        pull = pull * np.linalg.norm(pull, axis=-1, keepdims=True)
        np.add.at(force, ends[:, 0], pull)
        np.add.at(force, ends[:, 1], -pull)
        length = np.linalg.norm(force, axis=-1, keepdims=True) + 1e-9
        places = places + force / length * np.minimum(length, heat)
    return places


def _inside(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
