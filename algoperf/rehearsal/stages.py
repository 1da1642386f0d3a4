"""What a rehearsal goes through, and the record that its processes leave of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.records.atomic import write_json

# In their order, with what each shows. A rehearsal fails at the first that its record does not have.
STAGES: Mapping[str, str] = {
    "set up": "the submission is loaded, the data are there, the accelerator is the one that was asked for",
    "first step": "the training step compiles and fits",
    "steps": "it trains",
    "evaluation": "some batches of each split are evaluated",
    "checkpoint": "the state is saved",
    "next step": "a step after the checkpoint, then the process is killed",
    "restart": "a new process goes on from the checkpoint and takes that step again",
    "same step": "it is the same step",
    "result": "the trial ends with a result",
}
RECORD = "rehearsal.json"
TRIAL = "trial"  # the trial's own folder, in that of the rehearsal
LOG = "rehearsal.log"  # all that the processes said
_NOTES = "notes.jsonl"


def note(out: Path, stage: str, **values: Any) -> None:
    """Adds a line to the rehearsal's notes: whatever happens next, it stays."""
    with (out / _NOTES).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, **values}) + "\n")


def notes(out: Path) -> dict[str, dict[str, Any]]:
    """The stages that were gone through, in their order, with what was measured."""
    path = out / _NOTES
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        content = json.loads(line)
        found.setdefault(content.pop("stage"), {}).update(content)
    return found


def has_notes(out: Path) -> bool:
    return (out / _NOTES).exists()


def forget(out: Path) -> None:
    (out / _NOTES).unlink(missing_ok=True)


def write(out: Path, record: Mapping[str, Any]) -> None:
    write_json(out / RECORD, record)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())
