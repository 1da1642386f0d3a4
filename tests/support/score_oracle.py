"""The rules of the score a second time, from their description alone: files to scores, in plain Python.

Shares no code with `scoring/`: the tests hold the two against each other on random trees of logs.
"""

import csv
import math
import re
from pathlib import Path

TARGETS = {  # metric, target, whether less is better
    "criteo1tb": ("loss", 0.123735, True),
    "fastmri": ("ssim", 0.723653, False),
    "finewebedu_lm": ("ppl", 22.2995, True),
    "imagenet_resnet": ("accuracy", 0.77431, False),
    "imagenet_vit": ("accuracy", 0.77309, False),
    "librispeech_conformer": ("wer", 0.085884, True),
    "librispeech_deepspeech": ("wer", 0.119936, True),
    "ogbg": ("mean_average_precision", 0.28098, False),
    "wmt": ("bleu", 30.8491, False),
    "criteo1tb_embed_init": ("loss", 0.129657, True),
    "fastmri_tanh": ("ssim", 0.71784, False),
    "imagenet_resnet_large_bn_init": ("accuracy", 0.76526, False),
    "librispeech_conformer_layernorm": ("wer", 0.09731, True),
    "ogbg_model_size": ("mean_average_precision", 0.269446, False),
    "wmt_glu_tanh": ("bleu", 29.5779, False),
}
_V06 = [name for name in list(TARGETS)[:9] if name != "finewebedu_lm"]
HELD_OUT = {
    "criteo1tb_embed_init": "criteo1tb",
    "fastmri_tanh": "fastmri",
    "imagenet_resnet_large_bn_init": "imagenet_resnet",
    "librispeech_conformer_layernorm": "librispeech_conformer",
    "ogbg_model_size": "ogbg",
    "wmt_glu_tanh": "wmt",
}
BASE = {"v0.5": _V06, "v0.6": _V06, "v0.6-a100": list(TARGETS)[:9]}


def hits(file: Path, workload: str) -> list[tuple[int, float]] | None:
    """Row number and seconds of each hit; None where there is nothing to read."""
    if not file.exists():
        return None
    metric, target, less = TARGETS[workload]
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    if not rows:
        return None
    found = []
    for number, row in enumerate(rows):
        value = float(row[f"validation/{metric}"] or "nan")
        if (less and value <= target) or (not less and value >= target):
            found.append((number, float(row["score"])))
    return found


def study_value(folders: list[Path], workload: str, published: bool) -> float | None:
    known = [found for folder in folders if (found := hits(folder / "eval_measurements.csv", workload)) is not None]
    if not known:
        return None
    if not published:
        return min((seconds for found in known for _, seconds in found), default=math.inf)
    first = [found[0] for found in known if found]
    return min(first, key=lambda hit: hit[0], default=(0, math.inf))[1]


def median(values: list[float]) -> float:
    if not values:
        return math.nan
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def times(root: Path, workloads: list[str], published: bool) -> dict[str, dict[str, float]]:
    """Submission -> workload -> median seconds; inf not reached, NaN no data."""
    found = {}
    for submission in sorted(path for path in root.iterdir() if path.is_dir()):
        if not any(
            path.name.rpartition("_")[0] in workloads and any(path.glob("trial_*")) for path in submission.glob("*/*")
        ):
            continue
        row = {}
        for workload in workloads:
            values = []
            for study in submission.iterdir():
                folders = [
                    trial for framework in ("jax", "pytorch") for trial in study.glob(f"{workload}_{framework}/trial_*")
                ]
                folders.sort(key=lambda path: (path.parent.name, int(re.findall("[0-9]+", path.name)[0])))
                value = study_value(folders, workload, published)
                if value is not None:
                    values.append(value)
            row[workload] = median(values)
        found[submission.name] = row
    return found


def scores(root: Path, protocol: str, published: bool) -> dict[str, float]:
    base = BASE[protocol]
    held_out = HELD_OUT if protocol == "v0.5" else {}
    table = times(root, [*base, *held_out], published)

    def fastest(workload: str) -> float:
        return min((row[workload] for row in table.values() if row[workload] == row[workload]), default=math.nan)

    for row in table.values():
        for variant, of in held_out.items():
            if not math.isfinite(row[of]):
                row[variant] = math.inf
    limits = {workload: 4 * fastest(workload) for workload in [*base, *held_out]}
    for row in table.values():
        for workload, limit in limits.items():
            if row[workload] > limit:
                row[workload] = math.inf
    for row in table.values():
        for variant, of in held_out.items():
            if not math.isfinite(row[variant]):
                row[of] = math.inf
    best = {workload: fastest(workload) for workload in base}
    found = {}
    for submission, row in table.items():
        ratios = [row[name] / best[name] for name in base if math.isfinite(row[name])]
        if published:
            heights = [sum(ratio <= 1 + 3 * step / 99 for ratio in ratios) / len(base) for step in range(100)]
            found[submission] = sum(heights[step] + heights[step + 1] for step in range(99)) / 2 / 99
        else:
            found[submission] = sum((4 - min(ratio, 4)) / 3 for ratio in ratios) / len(base)
    return found
