"""What the files beside a trial's evaluations tell, whatever is in them."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.logs.record import Record, others_share, read_record
from scoring.logs.terms import Terms

GPU = {"temperature_celsius": 60, "sm_clock_mhz": 1300, "uncorrected_memory_errors": 0}
RESULT = {
    "status": "reached",
    "seed": 7,
    "preemptions": 1,
    "hardware": {"kind": "gpu", "name": "A100", "count": 2, "memory_gib": 40},
    "versions": {"jax": "0.10.2"},
    "hardware_evidence": {
        "begin": {
            "host": "node1",
            "cpus": 8,
            "load": 1.5,
            "steal_seconds": 10.0,
            "governor": "performance",
            "gpus": [{**GPU, "violation_seconds": {"power": 5, "thermal": 0}}, GPU],
        },
        "end": {
            "load": 0.5,
            "steal_seconds": 10.25,
            "gpus": [{**GPU, "violation_seconds": {"power": 7.5, "thermal": 1}}, {**GPU, "temperature_celsius": 81}],
        },
        "beside": {"processor_seconds": 800.0, "others_seconds": 150.0, "stolen_seconds": 50.0},
    },
}
# The names of the reference implementation's metadata, with the values of one of its public logs.
METADATA = {
    "os_platform": "Linux-6.1.0-44-cloud-amd64-x86_64-with-glibc2.31",
    "python_version": "3.11.10",
    "git_commit_hash": "b21be29be0a1573fb4f78f849aea019cdb520862",
    "cpu_model_name": "Intel(R) Xeon(R) CPU @ 2.20GHz",
    "gpu_model_name": "NVIDIA A100-SXM4-40GB",
    "gpu_count": 4,
    "gpu_driver": "550.90.12",
    "rng_seed": -1283159881,
}


def read(folder: Path, **files: object) -> tuple[Record, list[tuple[str, str, str]]]:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    found: list[tuple[str, str, str]] = []
    return read_record(str(folder), "a/b", os.listdir(folder), lambda *finding: found.append(finding)), found


def test_our_own_record(tmp_path: Path):
    record, findings = read(tmp_path, result=RESULT, hparams={"learning_rate": 0.1})
    assert findings == []
    assert (record.status, record.seed, record.preemptions, record.host) == ("reached", "7", "1", "node1")
    assert record.hardware == record.machine == "2 x A100, 40 GiB"
    assert record.software == {"jax": "0.10.2"}
    assert record.hyperparameters == '{"learning_rate": 0.1}'
    assert record.evidence == {
        "CPUs": 8,
        "highest load": 1.5,
        "CPU time of others, %": 25.0,
        "CPU time stolen, s": 0.25,
        "governor": "performance",
        "hottest GPU, °C": 81,
        "slowest GPU clock, MHz": 1300,
        "GPU slowed down, s": 2.5,
        "GPU memory errors": 0,
    }


def test_the_reference_implementations_metadata(tmp_path: Path):
    record, findings = read(tmp_path, meta_data_0=METADATA)
    assert findings == []
    assert record.status is None
    assert record.hardware == record.machine == "4 x NVIDIA A100-SXM4-40GB"
    assert record.terms is None
    assert record.seed == "-1283159881"
    assert record.commit == "b21be29be0a1573fb4f78f849aea019cdb520862"
    assert record.software["GPU driver"] == "550.90.12"


def test_a_machine_without_accelerators_is_its_processor_which_is_compared_with_none(tmp_path: Path):
    record, _ = read(tmp_path, meta_data_0={"cpu_model_name": "Intel(R) Xeon(R) CPU @ 2.20GHz"})
    assert (record.hardware, record.machine) == (None, "1 x Intel(R) Xeon(R) CPU @ 2.20GHz")


def test_the_count_of_accelerators_has_two_official_names_and_ours_are_read_before_a_trial_has_ended(tmp_path: Path):
    assert read(tmp_path, meta_data_0={"gpu_model_name": "V100", "gpu.count": 8})[0].hardware == "8 x V100"
    own = {f"accelerator.{name}": value for name, value in RESULT["hardware"].items()}
    assert read(tmp_path, meta_data_0=own)[0].hardware == "2 x A100, 40 GiB"


def test_sessions_on_unlike_machines_are_all_named_and_the_first_session_may_be_missing(tmp_path: Path):
    assert read(tmp_path, meta_data_2=METADATA, meta_data_10=METADATA)[0].hardware == "4 x NVIDIA A100-SXM4-40GB"
    other = {**METADATA, "gpu_count": 8}
    record, _ = read(tmp_path, meta_data_2=METADATA, meta_data_10=other)
    assert record.hardware == "4 x NVIDIA A100-SXM4-40GB, then 8 x NVIDIA A100-SXM4-40GB"


def test_terms_are_what_the_metadata_state(tmp_path: Path):
    stated = {"workload.max_allowed_runtime_sec": 8915, "workload.target_metric_name": "perplexity"}
    odd = {"workload.step_hint": "many", "workload.test_target_value": float("inf")}
    record, _ = read(tmp_path, meta_data_0={**METADATA, **stated, **odd})
    assert record.terms == Terms(max_runtime=8915, metric="ppl")
    assert read(tmp_path, meta_data_0=odd)[0].terms is None


def test_no_files_tell_nothing(tmp_path: Path):
    assert read(tmp_path) == (Record(), [])


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00", '{"a": ' * 5_000, "null"])
def test_what_is_no_json_object_is_reported(tmp_path: Path, content: str):
    record, findings = read(tmp_path, result=content, meta_data_0=content, hparams=content)
    assert record == Record()
    assert findings == [
        (f"a/b/{name}.json", "not a JSON object", "ignored") for name in ("result", "meta_data_0", "hparams")
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["hardware", "hardware_evidence", "begin", "end", "gpus", "violation_seconds", "power", "load", "versions", "seed"]
)
ODD = st.recursive(JSON, lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=2)), max_leaves=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(result=st.dictionaries(KEYS, ODD), metadata=st.dictionaries(KEYS | st.sampled_from(list(METADATA)), ODD))
def test_odd_content_never_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, result: dict, metadata: dict):
    record, _ = read(tmp_path_factory.mktemp("odd"), result=result, meta_data_0=metadata)
    for value in (*record.evidence.values(), *record.software.values(), record.seed or ""):
        assert value == value  # no NaN  # noqa: PLR0124


@pytest.mark.parametrize(
    ("evidence", "share"),
    [
        ({}, 0.0),
        ({"begin": {"cpus": 2, "load": 9.0}}, pytest.approx(100 * 7 / 9)),  # of an earlier version
        ({"begin": {"cpus": 2, "load": 2.1}}, 0.0),
        ({"begin": {"load": 9.0}}, 0.0),
        ({"begin": {"cpus": 2, "load": 9.0}, "beside": {"processor_seconds": 0}}, pytest.approx(100 * 7 / 9)),
        (
            {
                "begin": {"cpus": 2, "load": 9.0},
                "beside": {"processor_seconds": 10, "others_seconds": 0.5, "stolen_seconds": 0},
            },
            5.0,
        ),
        ({"begin": {"cpus": 2}, "beside": {"processor_seconds": 10, "others_seconds": 1, "stolen_seconds": 4}}, 50.0),
    ],
)
def test_what_others_took_is_known_from_the_witness_or_for_certain_from_the_load(tmp_path: Path, evidence, share):
    record, _ = read(tmp_path, result={"status": "reached", "hardware_evidence": evidence})
    assert others_share(record) == share
