"""Which logs are meant: a folder of submissions, or a results folder of ours with one for each protocol and ruleset."""

from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import PROTOCOLS, RULESETS, Ruleset
from scoring.logs.published import PUBLISHED_PREFIX, Leaderboard, find_published


def locate(
    logs: Path, protocol: str | None, ruleset: Ruleset | None, rivals: Leaderboard | None = None
) -> tuple[Path, str, Ruleset]:
    """The folder of submissions, and the protocol and ruleset to score it by.

    What is None follows from the leaderboard to be ranked with, or that is scored itself, or else from the results
    folder, if only one of its own fits. Raises UsageError where it does not follow, and where none of them fits.
    """
    if str(logs).startswith(PUBLISHED_PREFIX):
        rivals = find_published(str(logs).removeprefix(PUBLISHED_PREFIX))
    if rivals is not None:
        protocol, ruleset = protocol or rivals.protocol, ruleset or rivals.ruleset
    there = [(name, kind) for name in PROTOCOLS for kind in RULESETS if (logs / name / kind).is_dir()]
    fitting = [found for found in there if protocol in (None, found[0]) and ruleset in (None, found[1])]
    if len(fitting) == 1:
        return logs / "/".join(fitting[0]), *fitting[0]
    if there:
        listed = ", ".join("/".join(found) for found in there)
        raise UsageError(f"{str(logs)!r} has results of {listed}: choose one of these by --protocol and --ruleset.")
    if protocol is None or ruleset is None:
        raise UsageError(
            f"{str(logs)!r} is no results folder that says how to score it: give --protocol "
            f"({', '.join(PROTOCOLS)}) and --ruleset ({', '.join(RULESETS)})."
        )
    return logs, protocol, ruleset
