"""AlgoPerf: Training Algorithms. Data -> trials -> scores; a profile says on which machine, a config says what."""

from algoperf import workflow as experiment


configfile: f"{workflow.basedir}/config/mini.yaml"


EXPERIMENT = experiment.read(config)
RULESETS = EXPERIMENT.config.rulesets


include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/score.smk"
include: "rules/report.smk"


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
