"""Whatever is edited between two runs: the results on the disk are those of a fresh folder.

The workflow's own functions and commands, one after the other as Snakemake calls them, on real trials of one step;
`test_workflow.py` has Snakemake itself.
"""

import csv
import dataclasses
import json
import shutil
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from algoperf import workflow
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.experiment import config, plan
from algoperf.machine.cluster import Accelerator
from algoperf.records import official_files
from tests.conftest import REPOSITORY
from tests.support.nightly import examples

CODE = """
import dataclasses

from algoperf.kit.pytorch import TorchSubmission
from algoperf.spec import TrainingCompleteError
from submissions.nadamw.pytorch import BATCH_SIZES, optimizer

try:
    from helper import FACTOR
except ImportError:
    FACTOR = 1.0


class OneStep(TorchSubmission):
    def update_params(self, **arguments):
        super().update_params(**arguments)
        raise TrainingCompleteError


def scaled(model, hyperparameters, workload):
    return optimizer(model, hyperparameters._replace(learning_rate=FACTOR * hyperparameters.learning_rate), workload)


submission = OneStep(scaled, BATCH_SIZES)
"""
POINT = json.loads((REPOSITORY / "submissions" / "nadamw" / "search_space.mini.json").read_text())[0]

# What may be edited, each to one of a few values, so that edits are taken back, too.
EDITS = {
    "rate": st.sampled_from([0.01, 0.02]),
    "space": st.sampled_from(["search_space.json", "tuning_search_space.json"]),
    "comment": st.sampled_from(["", "# a comment\n", '"""A string."""\n']),
    "code": st.sampled_from(["", "FACTOR = 2 * FACTOR\n"]),
    "helper": st.sampled_from([None, "FACTOR = 3.0\n", "FACTOR = 4.0\n"]),
    "place": st.sampled_from(["here/mine", "there/mine"]),
    "budget": st.sampled_from([1.5, 2.0]),
    "ruleset": st.sampled_from(["external", "self"]),
    "rival": st.booleans(),
}
BEGINNING = {
    **{"rate": 0.01, "space": "search_space.json", "comment": "", "code": "", "helper": None, "place": "here/mine"},
    **{"budget": 1.5, "ruleset": "external", "rival": False},
}
ONE_EDIT = st.sampled_from(sorted(EDITS)).flatmap(lambda name: st.tuples(st.just(name), EDITS[name]))


class Desk:
    """Where the submissions lie, and what is edited there."""

    def __init__(self, folder: Path, data_dir: Path, algoperf: Callable[..., tuple[int, str, str]]):
        self.folder, self._data_dir, self._algoperf = folder, data_dir, algoperf

    def lay_out(self, state: Mapping[str, object]) -> dict[str, object]:
        """The files of a state; its config."""
        shutil.rmtree(self.folder / "submissions", ignore_errors=True)
        places = [self.folder / "submissions" / str(state["place"])]
        places += [self.folder / "submissions" / "rival"] if state["rival"] else []
        for place in places:
            place.mkdir(parents=True)
            code = CODE.replace("\n\nclass", f"\n{state['code']}\n\nclass") + str(state["comment"])
            (place / "pytorch.py").write_text(code)
            if state["helper"]:
                (place / "helper.py").write_text(str(state["helper"]))
            point = {**POINT, "learning_rate": state["rate"]}
            (place / str(state["space"])).write_text(json.dumps([point]))
            (place / "self_tuning.json").write_text(json.dumps(point))
        return {
            "protocol": "mini",
            "rulesets": [state["ruleset"]],
            "submissions": [{"name": str(place), "framework": "pytorch"} for place in places],
            "workloads": ["criteo1tb"],
            "data_dir": str(self._data_dir),
        }

    def run(self, state: Mapping[str, object], results: Path) -> dict[str, object]:
        """One run of the workflow into a results folder; what lies there afterwards."""
        content = {**self.lay_out(state), "results_dir": str(results)}
        for name, module in list(sys.modules.items()):  # each run of the workflow has processes of its own
            if str(getattr(module, "__file__", None)).startswith(str(self.folder)):
                del sys.modules[name]
        sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(self.folder))]
        experiment = workflow.make(config.parse(content), Accelerator())
        dag = types.SimpleNamespace(forcefiles=set())
        results_of = dict(zip(experiment.trials, experiment.results(), strict=True))
        for trial in experiment.trials:
            experiment.remade_trial(dag, trial.workload, types.SimpleNamespace(**dataclasses.asdict(trial)))
        experiment.remade_scores(dag, str(state["ruleset"]))
        plan.write(Path(experiment.plan_file()), experiment._definitions)
        jobs = [trial for trial, path in results_of.items() if path in dag.forcefiles or not Path(path).exists()]
        for trial in jobs:
            Path(results_of[trial]).unlink(missing_ok=True)  # as Snakemake does
            options = {"workload": trial.workload, "framework": trial.framework, "submission": trial.submission}
            options |= {"protocol": trial.protocol, "ruleset": trial.ruleset, "study": trial.study}
            options |= {"trial": trial.trial, "data-dir": self._data_dir, "out": Path(results_of[trial]).parent}
            self._ask("trial", *(word for name, value in options.items() for word in (f"--{name}", value)))
        scores = Path(experiment.scores(str(state["ruleset"])))
        if jobs or str(scores / "scores.csv") in dag.forcefiles or not (scores / "scores.csv").exists():
            arguments = ("--protocol", "mini", "--ruleset", state["ruleset"], "--plan", experiment.plan_file())
            self._ask("score", experiment.logs(str(state["ruleset"])), *arguments, "--out", scores)
        return {str(trial.folder): _of_trial(Path(path).parent) for trial, path in results_of.items()} | {
            "scores": (scores / "scores.csv").read_text()
        }

    def _ask(self, *arguments: object) -> None:
        code, _, said = self._algoperf(*arguments)
        assert code == 0, said


def _of_trial(folder: Path) -> dict[str, object]:
    """What is the same whenever a trial is run."""
    result = json.loads((folder / official_files.RESULT).read_text())
    names = ("status", "global_step", "hyperparameters", "seed", "max_runtime", "max_steps", "submission_sha256")
    with (folder / official_files.EVALUATIONS).open(newline="") as file:
        rows = [
            {name: value for name, value in row.items() if name.partition("/")[1] or name == "global_step"}
            for row in csv.DictReader(file)
        ]
    return {name: result[name] for name in names} | {"rows": rows}


@pytest.fixture
def desk(tmp_path: Path, data_dir: Path, algoperf, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Desk(tmp_path, data_dir, algoperf)


FRESH: dict[str, dict[str, object]] = {}


@pytest.mark.landing("workflows that are run whole")
@hypothesis.settings(
    max_examples=examples(by_day=2, by_night=6),
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(edits=st.lists(st.lists(ONE_EDIT, min_size=1, max_size=2), min_size=2, max_size=4))
def test_results_are_those_of_a_fresh_folder_whatever_was_edited(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, edits: list[list[tuple[str, object]]]
):
    results = tmp_path_factory.mktemp("results")
    state = dict(BEGINNING)
    mini = PROTOCOLS["mini"]
    for edit in [[], *edits]:
        state |= dict(edit)
        with pytest.MonkeyPatch.context() as patch:
            changed = dataclasses.replace(mini, self_tuning_factor=state["budget"])
            patch.setitem(PROTOCOLS, "mini", changed)
            found = desk.run(state, results)
            if (key := json.dumps(state, sort_keys=True)) not in FRESH:
                FRESH[key] = desk.run(state, tmp_path_factory.mktemp("fresh"))
        assert found == FRESH[key], edit
