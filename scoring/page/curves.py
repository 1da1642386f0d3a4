"""The curves of all trials, compactly, and the controls with which `curves.js` shows them."""

from typing import Any

from scoring.logs.curves import MAX_POINTS, Scale, encoded, thinned
from scoring.logs.trials import Trial
from scoring.page.markup import Context, attribute, embedded, finite
from scoring.page.markup import section as as_section
from scoring.rules.closeness import as_share, best, shortfall
from scoring.rules.studies import deciding_trial
from scoring.rules.study_bands import AGAINST, StudyBand


def section(context: Context) -> str:
    data = curves_data(context)
    sources = [context.tables["curve_bands"], context.tables["trials"]]
    if not any(workload["trials"] for workload in data["workloads"]):
        body = '<p class="missing">There are no curves: these logs hold times to target only.</p>'
        return as_section("curves", "Curves", _LEAD, body, sources)
    options = "".join(
        f'<option value="{place}">{attribute(workload["name"])}</option>'
        for place, workload in enumerate(data["workloads"])
        if workload["trials"]
    )
    body = f"""<noscript><p class="missing">This page's script, which is off, draws the curves.</p></noscript>
<div id="curves-view" hidden>
<div class="controls">
<label>Workload <select id="curves-workload">{options}</select></label>
<fieldset><legend>Show</legend>
<label><input type="radio" name="curves-show" value="bands" checked> the studies' median</label>
<label><input type="radio" name="curves-show" value="winners"> trials that stand for a study</label>
<label><input type="radio" name="curves-show" value="all"> all trials</label></fieldset>
<fieldset><legend>Against</legend>
<label><input type="radio" name="curves-axis" value="t" checked> charged time</label>
<label><input type="radio" name="curves-axis" value="n"> steps</label></fieldset>
<fieldset><legend>Logarithmic</legend>
<label><input type="checkbox" id="curves-log-x"> across</label>
<label><input type="checkbox" id="curves-log-y"> up</label></fieldset>
<label><input type="checkbox" id="curves-followed"> only submissions that are followed</label>
</div>
<div class="beside"><div class="figure live" id="curves-plot" role="group" aria-label="Training curves"></div>
<div class="legend" id="curves-legend"></div></div>
<p class="lead">Trials that are drawn, or that stand for what is drawn; a curve that is pressed leads to its own.</p>
<div id="curves-trials"></div>
</div>
{embedded("curves-data", data)}"""
    return as_section(
        "curves",
        "Curves",
        _LEAD,
        body,
        sources,
        reading=_READING,
        note=f"a trial's curve is its <code>eval_measurements.csv</code>, of which about {MAX_POINTS} evaluations "
        "are drawn, the first, the hit and the last among them, by <code>scoring.logs.curves.thinned</code>",
    )


_LEAD = "The metric on the validation split, and the target (dashed)."
_READING = (
    "The median is over the studies, each by the trial that it counts by, or that came closest; the band goes from the "
    "lowest to the highest of them."
)


def curves_data(context: Context) -> dict[str, Any]:
    """What the script reads.

    workloads: each with its `trials`, whose numbers are `logs.curves.encoded`, and `bands`. folder: of the logs.
    """
    result, protocol = context.result, context.result.scores.protocol
    settings: dict[str, int] = {}
    workloads = []
    for name in (*protocol.workloads, *protocol.held_out):
        target, budget = result.targets[name], result.budgets[name]
        scale = Scale.of(budget, target.validation)
        trials, bands = [], []
        for place, submission in enumerate(context.submissions):
            of_cell = result.studies.get((submission, name), ())
            decides = deciding_trial(of_cell, target)
            standing = result.standing_trials[submission, name]
            for study, stands in zip(of_cell, standing, strict=True):
                for trial in study.trials:
                    marks = (2 if trial is decides else 0) + (1 if trial is stands else 0)
                    shown = _trial(context, trial, place, marks)
                    if found := best(trial, target):
                        shown["b"] = f"{found.value:.7g}"
                        shown["g"] = round(as_share(shortfall(found.value, target), target), 6)
                    trials.append({**shown, **_numbers(trial, scale), "y": _setting(trial, settings)})
            found = {
                axis: result.study_bands.get((submission, name, against))
                for axis, against in zip("tn", AGAINST, strict=True)
            }
            bands.append({axis: _band(band) for axis, band in found.items() if band is not None})
        workloads.append(
            {
                "name": name,
                "metric": target.metric.replace("_", " "),
                "target": target.validation,
                "goal": target.goal,
                "budget": budget,
                "second": scale.second,
                "value": scale.value,
                "bands": bands,
                "trials": trials if any(trial["v"] for trial in trials) else [],
            }
        )
    return {
        "submissions": context.submissions,
        "workloads": workloads,
        "hyperparameters": list(settings),
        "folder": context.folder,
    }


def _trial(context: Context, trial: Trial, place: int, marks: int) -> dict[str, Any]:
    """s: place of the submission. m: 1 where it stands for a study, 2 for the one that decides. h: seconds of the hit.

    p: its folder, from the logs' root. f: whether there are files of it.
    """
    return {
        "s": place,
        "p": trial.path,
        "f": int(bool(context.folder) and trial.submission not in context.result.published),
        "u": trial.study,
        "k": trial.trial,
        "m": marks,
        "h": finite(trial.hit_time, 3),
        "x": trial.status or "",
    }


def _numbers(trial: Trial, scale: Scale) -> dict[str, Any]:
    return encoded(thinned(trial.curve, trial.hit_row), scale)


def _setting(trial: Trial, settings: dict[str, int]) -> int | None:
    """The number of its hyperparameters among all that there are."""
    chosen = trial.record.hyperparameters
    return None if chosen is None else settings.setdefault(chosen, len(settings))


def _band(band: StudyBand) -> dict[str, Any]:
    sides = {"x": band.at, "y": band.median, "low": band.low, "high": band.high}
    return {
        "of": band.studies,
        **{name: [float(f"{value:.5g}") for value in side.tolist()] for name, side in sides.items()},
    }
