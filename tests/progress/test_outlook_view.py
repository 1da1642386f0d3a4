"""What `algoperf plan` prints: it reads at 80 characters, and says what its numbers mean."""

import io

import pytest
from rich.console import Console

from algoperf.experiment import config, plan
from algoperf.machine.cluster import Accelerator
from algoperf.progress import outlook, outlook_view
from algoperf.records import official_files
from algoperf.records.atomic import write_json


def printed(tmp_path, accelerator=None, nodes=1, width=80, **changed):
    content = {"protocol": "v0.6", "submissions": [{"name": "nadamw", "framework": "jax"}], **changed}
    experiment = config.parse({**content, "results_dir": tmp_path, "data_dir": tmp_path})
    console = Console(file=io.StringIO(), width=width, highlight=False)
    outlook_view.print_outlook(outlook.look(experiment, accelerator or Accelerator(), nodes), "my.yaml", console)
    return console.file.getvalue()


def row(shown, name):
    return next(line.split() for line in shown.splitlines() if line.strip().startswith(name))


@pytest.mark.parametrize("protocol", ["mini", "v0.5", "v0.6"])
def test_no_name_is_folded_at_80_characters(tmp_path, protocol):
    shown = printed(tmp_path, protocol=protocol)
    for trial in plan.trials(
        config.parse({"protocol": protocol, "submissions": [{"name": "nadamw", "framework": "jax"}]})
    ):
        assert f" {trial.workload} " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_accelerator_hours_are_said_to_be_of_how_many(tmp_path):
    shown = printed(tmp_path, Accelerator(count=8), nodes=2)
    assert "my.yaml: v0.6, 120 trials" in shown
    assert "accelerator-hours" in shown
    assert "8 of each trial" in shown
    assert "Wall clock on 2 nodes, 2 trials at once" in shown
    assert "node-hours" in printed(tmp_path)
    assert "node-minutes" in printed(tmp_path, protocol="mini", workloads=["wmt"])


def test_the_sum_of_the_rows_is_below_them(tmp_path):
    shown = printed(tmp_path, workloads=["fastmri", "ogbg"])
    numbers = [
        [float(cell.replace(",", "")) for cell in row(shown, name)[-3:-1]] for name in ("fastmri", "ogbg", "in all")
    ]
    for fastmri, ogbg, both in zip(*numbers, strict=True):
        assert both == pytest.approx(fastmri + ogbg, abs=0.11)


def test_finished_trials_add_what_they_took(tmp_path):
    assert "ratio" not in printed(tmp_path, workloads=["fastmri"])
    experiment = config.parse({"protocol": "v0.6", "submissions": [{"name": "nadamw", "framework": "jax"}]})
    for trial in plan.trials(experiment):
        if trial.workload == "fastmri":
            folder = tmp_path / trial.folder
            folder.mkdir(parents=True)
            write_json(folder / official_files.RESULT, {"status": "reached", "global_step": 9, "charged_time": 500.0})
    shown = printed(tmp_path, workloads=["fastmri", "librispeech_deepspeech"])
    assert row(shown, "fastmri")[1] == "15/15"
    assert row(shown, "librispeech_deepspeech")[1] == "0/15"
    assert row(shown, "in all")[2] == "15/30"
    assert "what finished trials really took" in " ".join(shown.split())
    assert "All are done." in printed(tmp_path, workloads=["fastmri"])


def test_what_is_not_known_is_said(tmp_path):
    shown = " ".join(printed(tmp_path, workloads=["finewebedu_lm"], target_setting={}).split())
    assert "v0.6, 220 trials" in shown  # 200 points, and 20 seeds of the best
    assert "a trial that makes a target has none to reach; expected is as at most" in shown
    assert "not prepared yet; `algoperf data prepare` does it" in shown


def test_both_rulesets_are_told_apart(tmp_path):
    shown = printed(tmp_path, workloads=["fastmri"], rulesets=["external", "self"])
    assert "fastmri (external)" in shown
    assert "fastmri (self)" in shown


def test_what_racing_is_expected_to_save(tmp_path):
    raced = {"protocol": "v0.5", "racing": "scores", "racing_order": "sequential", "rulesets": ["external", "self"]}
    shown = printed(tmp_path, **raced)
    assert "Racing (scores, sequential), external tuning: 37% less charged time expected." in shown
    shown += printed(tmp_path, **{**raced, "protocol": "v0.6", "rulesets": ["self"]})
    assert "Racing (scores, sequential), self tuning: nobody has replayed it." in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "Racing" not in printed(tmp_path)
