"""The curves of all trials, compactly, and the controls with which `curves.js` draws them."""

from typing import Any

from algoperf.benchmark.registry import load_spec
from scoring.logs.curves import MAX_POINTS, Scale, encoded, thinned
from scoring.logs.trials import Trial
from scoring.page.markup import Context, attribute, embedded, finite
from scoring.page.markup import section as as_section
from scoring.rules.studies import deciding_trial


def section(context: Context) -> str:
    data = curves_data(context)
    if not any(workload["trials"] for workload in data["workloads"]):
        body = '<p class="missing">There are no curves: these logs hold times to target only.</p>'
        return as_section("curves", "Training curves", _LEAD, body, [context.tables["trials"]])
    options = "".join(
        f'<option value="{place}">{attribute(workload["name"])}</option>'
        for place, workload in enumerate(data["workloads"])
        if workload["trials"]
    )
    body = f"""<noscript><p class="missing">This page's script, which is off, draws the curves.</p></noscript>
<div id="curves-view" hidden>
<div class="controls">
<label>Workload <select id="curves-workload">{options}</select></label>
<fieldset><legend>Against</legend>
<label><input type="radio" name="curves-axis" value="t" checked> charged time</label>
<label><input type="radio" name="curves-axis" value="n"> steps</label></fieldset>
<fieldset><legend>Trials</legend>
<label><input type="radio" name="curves-trials" value="deciding" checked> that decide</label>
<label><input type="radio" name="curves-trials" value="winners"> that won a study</label>
<label><input type="radio" name="curves-trials" value="all"> all</label></fieldset>
</div>
<svg id="curves-plot" viewBox="0 0 980 440" role="img" aria-label="Training curves"></svg>
<p id="curves-says" class="says" aria-live="polite"></p>
<p class="lead">Trials by submission and study: ✓ reached the target; coloured ones are drawn above.</p>
<div id="curves-trials" class="scroll" tabindex="0"></div>
</div>
{embedded("curves-data", data)}"""
    return as_section(
        "curves",
        "Training curves",
        _LEAD,
        body,
        [context.tables["trials"]],
        note=f"a curve is its trial's <code>eval_measurements.csv</code>, of which about {MAX_POINTS} evaluations "
        "are drawn, the first, the hit and the last among them, by <code>scoring.logs.curves.thinned</code>",
    )


_LEAD = (
    "The metric on the validation split at each evaluation, and the target (dashed). The trials that decide are those "
    "whose time is a submission's median, or, where it missed the target, those that came closest. Any trial can be "
    "switched on and off below."
)


def curves_data(context: Context) -> dict[str, Any]:
    """What the script reads: `workloads`, each with its `trials`, whose numbers are `logs.curves.encoded`."""
    result, protocol = context.result, context.result.scores.protocol
    places = {submission: place for place, submission in enumerate(context.submissions)}
    settings: dict[str, int] = {}
    workloads = []
    for name in (*protocol.workloads, *protocol.held_out):
        spec, budget = load_spec(name, protocol.scale), result.budgets[name]
        scale = Scale.of(budget, spec.target.validation)
        trials = []
        for submission, place in places.items():
            of_cell = context.studies.get((submission, name), ())
            best = deciding_trial(of_cell, spec.target)
            won = [study.best for study in of_cell]
            for study in of_cell:
                for trial in study.trials:
                    marks = (2 if trial is best else 0) + (1 if any(trial is winner for winner in won) else 0)
                    trials.append(_trial(trial, place, marks, scale, settings))
        workloads.append(
            {
                "name": name,
                "metric": spec.target.metric.replace("_", " "),
                "target": spec.target.validation,
                "goal": spec.target.goal,
                "budget": budget,
                "second": scale.second,
                "value": scale.value,
                "trials": trials if any(trial["v"] for trial in trials) else [],
            }
        )
    return {"submissions": context.submissions, "workloads": workloads, "hyperparameters": list(settings)}


def _trial(trial: Trial, place: int, marks: int, scale: Scale, settings: dict[str, int]) -> dict[str, Any]:
    """s: place of the submission. m: 1 for the winner of a study, 2 for the one that decides. h: seconds of the hit."""
    chosen = trial.record.hyperparameters
    return {
        "s": place,
        "p": trial.path,
        "u": trial.study,
        "k": trial.trial,
        "m": marks,
        "h": finite(trial.hit_time, 3),
        "x": trial.status or "",
        "y": None if chosen is None else settings.setdefault(chosen, len(settings)),
        **encoded(thinned(trial.curve, trial.hit_row), scale),
    }
