"""Trials that racing has ended: what is known of them, whether their bounds still hold, and what cannot be told.

The score takes their times as infinite, which is exact where each had charged its bound (`algoperf/racing/bounds.py`);
everything that asks what else could have been is told too little.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from algoperf.benchmark.protocol import Protocol
from algoperf.racing.bounds import LEVELS, Facts, Level, Place, known, unproved
from algoperf.records.words import counted
from scoring.logs.trials import Trial
from scoring.rules.score import Reading

_NAMED = 3  # trials that a sentence names
# What stays exact at a level, beside the scores.
_EXACT: dict[Level, str] = {
    "trials": "study values, and with them the intervals over studies, are exact",
    "studies": "medians are exact",
    "scores": "scores are exact",
}


def ended(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.is_ended_by_racing]


def without_a_bound(trials: Sequence[Trial], protocol: Protocol) -> list[Trial]:
    """Those that racing has ended and, by all results there are now, had not to end: they have to go on.

    A trial that another's bound came from may have been run again, or its log lost.
    """
    counting = {_place(trial): trial for trial in trials if trial.counts}
    facts = Facts(counting, protocol)
    for place, trial in counting.items():
        time = None if math.isinf(trial.hit_time) else trial.hit_time
        facts.learn(place, known(time, trial.charged, trial.is_ended_by_racing))
    of_all = [(place, _level(trial), trial.charged) for place, trial in counting.items() if trial.is_ended_by_racing]
    return [counting[place] for place in unproved(facts, of_all)]


def _place(trial: Trial) -> Place:
    return Place(trial.submission, trial.workload, trial.study, trial.trial)


def _level(trial: Trial) -> Level:
    """Which one has ended a trial; the one that ends most where it does not say."""
    racing = trial.record.result.get("racing")
    level = racing.get("level") if isinstance(racing, dict) else None
    return level if level in LEVELS else "scores"


def summary(trials: Sequence[Trial], budgets: dict[str, float]) -> str:
    """One sentence on all that racing has ended; empty where it has ended none. budgets: charged seconds."""
    found = ended(trials)
    if not found:
        return ""
    levels = Counter(map(_level, found))
    widest = max(levels, key=LEVELS.index)
    left = sum(max(0.0, budgets.get(trial.workload, 0.0) - trial.charged) for trial in found) / 3_600
    return (
        f"racing ({widest}) ended {len(found):,} of {len(trials):,} trials where they could change nothing any more, "
        f"with {left:,.1f} h of their budgets left: {_EXACT[widest]}; draws, leaving something out "
        "and other rules take what was ended as not reached"
    )


def untold(trials: Iterable[Trial], of_trials: bool) -> str:
    """What draws of studies, or of trials, are not told, as the end of a note; empty where nothing was ended by racing.

    A study of which racing has ended all trials, or the rest, has a time beyond theirs that nobody knows.
    """
    found = ended(trials)
    if of_trials:
        what = counted(len(found), "trial")
    else:
        reached = {_place(trial)[:3] for trial in trials if math.isfinite(trial.hit_time)}
        found = {_place(trial)[:3] for trial in found} - reached
        what = counted(len(found), "study")
    count = "counts" if len(found) == 1 else "count"
    return f" Racing ended {what} that {count} as not reached here: intervals may lie too low." if found else ""


def caveats(trials: Sequence[Trial], protocol: Protocol, reading: Reading) -> list[str]:
    """Why these scores may be others than without racing; empty where they are the same."""
    found = ended(trials)
    if not found:
        return []
    said = []
    if reading == "as-published":
        said.append(
            f"racing ended {counted(len(found), 'trial')} by the documented rules; as published, by row index, one "
            "might have counted"
        )
    if loose := without_a_bound(trials, protocol):
        named = ", ".join(trial.path for trial in loose[:_NAMED])
        more = f" and {len(loose) - _NAMED:,} more" if len(loose) > _NAMED else ""
        said.append(f"racing ended trials that by now could change something: {named}{more}; they have to go on")
    return said
