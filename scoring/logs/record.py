"""What the files beside a trial's evaluations tell: how it ended, what it ran on and with, what may have disturbed it.

`result.json` is our own; `meta_data_<n>.json`, one for each session of a trial, and `hparams.json` have the official
layout, so that logs of the reference implementation tell as much as they know.
"""

import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from scoring.logs.files import printable, read_object
from scoring.logs.terms import Terms, terms_of_metadata

_IGNORED = "ignored"
_METADATA = re.compile("meta_data_([0-9]+)[.]json")
# How a trial ends that has not reached its target, or not for certain: then `time_to_target` tells.
_MISSES = ("budget_exhausted", "diverged", "out_of_memory", "submission_error", "pruned")
# Of the evidence: the processors that a trial might use, the machine's load, and what others took of the processors.
CPUS, LOAD, OTHERS_SHARE = "CPUs", "highest load", "CPU time of others, %"
_LONGEST = 4_096  # characters of hyperparameters that are shown


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """None or empty where the files do not tell.

    status: of `result.json`. hardware: the accelerators as words that are equal for equal machines, of `result.json` or
    of the metadata; of several sessions on unlike machines, all. machine: the same words, or the processor where no
    accelerator is named. terms: what the trial was made under, as its metadata say. software: name -> version.
    evidence: see `_evidence`. hyperparameters: as one line of JSON. refused: which rule the submission broke, a
    sentence. has_missed: whether it has ended and says itself that it did not reach its target. flags: (rule, what)
    that a person has to judge. content: of the submission, its hash. max_steps: at which somebody let it end. result:
    all of `result.json`. settings: by which libraries and how its framework computed, by name.
    """

    status: str | None = None
    hardware: str | None = None
    machine: str | None = None
    host: str | None = None
    seed: str | None = None
    commit: str | None = None
    preemptions: str | None = None
    hyperparameters: str | None = None
    software: Mapping[str, str] = dataclasses.field(default_factory=dict)
    evidence: Mapping[str, float | str] = dataclasses.field(default_factory=dict)
    terms: Terms | None = None
    refused: str | None = None
    has_missed: bool = False
    flags: tuple[tuple[str, str], ...] = ()
    content: str | None = None
    max_steps: int | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def hardware_kind(record: Any) -> str | None:
    """`hardware` of a `result.json` as words, None for what is no such record.

    An accelerator's memory is part of its kind. A processor's is the machine's, in which like machines differ a little.
    """
    match record:
        case {"kind": str(), "name": str(name), "count": int(count)}:
            memory = record.get("memory_gib")
            of_its_own = record["kind"] != "cpu" and isinstance(memory, int | float)
            return printable(f"{count} x {name}{f', {memory} GiB' if of_its_own else ''}")
    return None


def read_record(folder: str, shown: str, names: Collection[str], report: Callable[[str, str, str], None]) -> Record:
    """The record of the trial in `folder`.

    shown: that folder, from the logs' root. names: of the files in it. report: takes path, what, done.
    """
    result = _content(folder, shown, "result.json", names, report)
    sessions = [_content(folder, shown, name, names, report) for name in _sessions(names)]
    metadata = sessions[0] if sessions else {}
    hyperparameters = _content(folder, shown, "hparams.json", names, report)
    point = printable(json.dumps(hyperparameters))[:_LONGEST] if hyperparameters else None
    if not result and not any(sessions):  # as in published logs, of thousands of trials
        return Record(hyperparameters=point)
    hardware = result.get("hardware")
    kind = None if hardware is None else hardware_kind(hardware)
    if hardware is not None and kind is None:
        report(f"{shown}/result.json", "its hardware has no kind, name and count", "compared with no other hardware")
    begin, end = _ends(result, metadata)
    accelerators = kind or _accelerators(sessions)
    return Record(
        status=_text(result.get("status")) if isinstance(result.get("status"), str) else None,
        hardware=accelerators,
        machine=accelerators or _processor(metadata),
        refused=_text(result.get("refused")),
        has_missed=result.get("status") in _MISSES and result.get("time_to_target") is None,
        flags=_flags(result),
        result=result,
        content=_text(result.get("submission_sha256")),
        max_steps=result["max_steps"] if isinstance(result.get("max_steps"), int) else None,
        host=_text(begin.get("host")),
        seed=_text(result.get("seed", metadata.get("rng_seed"))),
        commit=_text(metadata.get("git_commit_hash")),
        preemptions=_text(result.get("preemptions")),
        terms=terms_of_metadata(metadata),
        hyperparameters=point,
        software=_software(result, metadata),
        settings=_settings(result, metadata),
        evidence=_evidence(begin, end, _mapping(_mapping(result.get("hardware_evidence")).get("beside"))),
    )


def _sessions(names: Collection[str]) -> list[str]:
    """The files of a trial's metadata, by session."""
    numbers = [(int(found[1]), name) for name in names if (found := _METADATA.fullmatch(name))]
    return [name for _, name in sorted(numbers)]


def _content(
    folder: str, shown: str, name: str, names: Collection[str], report: Callable[[str, str, str], None]
) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, which is reported where there is something else."""
    if name not in names:
        return {}
    try:
        content = read_object(f"{folder}/{name}")
    except FileNotFoundError:
        return {}
    except OSError as error:
        report(f"{shown}/{name}", f"cannot be read: {error.strerror}", _IGNORED)
        return {}
    if content is None:
        report(f"{shown}/{name}", "not a JSON object", _IGNORED)
    return content or {}


def _flags(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = result.get("flags")
    flags = (_mapping(flag) for flag in found) if isinstance(found, list) else ()
    return tuple((_text(flag.get("rule")) or "", _text(flag.get("what")) or "") for flag in flags)


def _text(value: Any) -> str | None:
    return printable(str(value)) if isinstance(value, str | int | float) else None


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not abs(value) < sys.float_info.max:
        return math.nan
    return float(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _ends(result: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The evidence of a session's beginning and of its end; only the first where the trial has not ended."""
    evidence = _mapping(result.get("hardware_evidence"))
    begin = _mapping(evidence.get("begin")) or _mapping(metadata.get("hardware_evidence"))
    return begin, _mapping(evidence.get("end"))


def _accelerators(sessions: Sequence[Mapping[str, Any]]) -> str | None:
    """What the sessions ran on in the words of `hardware_kind`, of the metadata: official ones, or ours."""
    kinds = dict.fromkeys(kind for metadata in sessions if (kind := _accelerator(metadata)))
    return ", then ".join(kinds) or None


def _accelerator(metadata: Mapping[str, Any]) -> str | None:
    own = {name: metadata.get(f"accelerator.{name}") for name in ("kind", "name", "count", "memory_gib")}
    if kind := hardware_kind(own):
        return kind
    name = metadata.get("gpu_model_name")
    count = next((metadata[key] for key in ("gpu_count", "gpu.count") if isinstance(metadata.get(key), int)), None)
    return printable(f"{count} x {name}") if isinstance(name, str) and count else None


def _processor(metadata: Mapping[str, Any]) -> str | None:
    name = metadata.get("cpu_model_name")
    return printable(f"1 x {name}") if isinstance(name, str) else None


def _software(result: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    named = {
        "python": metadata.get("python_version"),
        "platform": metadata.get("os_platform"),
        "GPU driver": metadata.get("gpu_driver", _mapping(metadata.get("hardware_evidence")).get("driver")),
        **(_mapping(result.get("versions")) or _mapping(metadata.get("versions"))),
    }
    return {printable(name): text for name, value in named.items() if (text := _text(value)) is not None}


def _settings(result: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    found = _mapping(result.get("framework_settings")) or _mapping(metadata.get("framework_settings"))
    return {printable(name): printable(json.dumps(value)) for name, value in found.items()}


def _evidence(begin: Mapping[str, Any], end: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, float | str]:
    """Name with unit -> the worse of a session's two ends, or their difference where a number counts up.

    Of several GPUs the worst. See `algoperf.machine.hardware.evidence` and `algoperf.machine.nvml.evidence`. beside: of
    all sessions, see `algoperf.machine.neighbours.Witness`.
    """
    pairs = list(zip(_gpus(begin), _gpus(end) or _gpus(begin), strict=False))
    both = [gpu for pair in pairs for gpu in pair]
    found = {
        CPUS: _number(begin.get("cpus")),
        LOAD: _most(_number(side.get("load")) for side in (begin, end)),
        OTHERS_SHARE: _per_cent_of_others(beside),
        "CPU time stolen, s": _number(end.get("steal_seconds")) - _number(begin.get("steal_seconds")),
        "governor": _text(begin.get("governor")),
        "hottest GPU, °C": _most(_number(gpu.get("temperature_celsius")) for gpu in both),
        "slowest GPU clock, MHz": -_most(-_number(gpu.get("sm_clock_mhz")) for gpu in both),
        "GPU slowed down, s": _most(_slowed(*pair) for pair in pairs),
        "GPU memory errors": _most(_number(gpu.get("uncorrected_memory_errors")) for gpu in both),
    }
    return {name: value for name, value in found.items() if value is not None and value == value}  # noqa: PLR0124  NaN


def others_share(record: Record) -> float:
    """Per cent of its processors' time that others took while a trial was timed; 0 where nothing is known.

    Records of earlier versions have only the machine's load, to which a trial itself adds one for each processor; a
    higher one than twice that is others' for certain.
    """
    found = record.evidence.get(OTHERS_SHARE)
    if found is None:
        load, processors = record.evidence.get(LOAD, 0.0), record.evidence.get(CPUS, math.inf)
        found = 100 * (1 - processors / load) if load > 2 * processors else 0.0
    return found


def _per_cent_of_others(beside: Mapping[str, Any]) -> float:
    seconds = _number(beside.get("processor_seconds"))
    taken = _number(beside.get("others_seconds")) + _number(beside.get("stolen_seconds"))
    return 100 * taken / seconds if seconds > 0 else math.nan


def _gpus(side: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    gpus = side.get("gpus")
    return [_mapping(gpu) for gpu in gpus] if isinstance(gpus, list) else []


def _slowed(begin: Mapping[str, Any], end: Mapping[str, Any]) -> float:
    """Seconds for which power or heat slowed a GPU down during a session."""
    before, after = (_mapping(gpu.get("violation_seconds")) for gpu in (begin, end))
    return _most(_number(after.get(cause)) - _number(before.get(cause)) for cause in ("power", "thermal"))


def _most(values: Any) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)
