"""AlgoPerf: Training Algorithms. Data -> trials -> scores; a profile says on which machine, a config says what."""

from algoperf import workflow as experiment

if not workflow.overwrite_configfiles:  # a config is what its file says, and nothing of another

    configfile: f"{workflow.basedir}/config/mini.yaml"


experiment.ignore_signals()
EXPERIMENT = experiment.read(config, workflow.configfiles)
RULESETS = EXPERIMENT.config.rulesets

# The `algoperf` of this environment, also where it was not activated.
shell.prefix(f"export PATH={experiment.bin_folder()}:$PATH; ")


wildcard_constraints:
    results=EXPERIMENT.results_constraint,
    framework="jax|pytorch",
    study="[0-9]+",
    trial="[0-9]+",


include: "rules/data.smk"


if not EXPERIMENT.config.partial:  # a partial score takes the trials that are there, and runs none

    include: "rules/train.smk"
    include: "rules/targets.smk"
    include: "rules/rehearsal.smk"


include: "rules/score.smk"
include: "rules/report.smk"


onstart:
    EXPERIMENT.begin(workflow.scheduler._executor if workflow.non_local_exec else None)


onerror:
    EXPERIMENT.print_failures()


rule score:
    default_target: True
    input:
        # The trials, too: one whose result is gone is run again even where its score is still there.
        EXPERIMENT.results(),
        [f"{EXPERIMENT.scores(ruleset)}/scores.csv" for ruleset in RULESETS],


rule trials:
    input:
        EXPERIMENT.results(),


rule data:
    input:
        [EXPERIMENT.manifest(dataset) for dataset in EXPERIMENT.datasets],
