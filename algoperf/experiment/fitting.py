"""Whether a config's trials fit into its accelerator, by the figures that came with this program."""

from algoperf.benchmark.protocol import load_protocol
from algoperf.experiment import plan
from algoperf.experiment.config import Config
from algoperf.fit import accelerators, stored
from algoperf.fit.cells import Cell


def look(config: Config) -> stored.Outlook:
    """Of each workload with each submission; the mini scale fits everywhere.

    Raises UsageError where cluster.yaml, or the facts that it names, are wrong.
    """
    if load_protocol(config.protocol).scale == "mini":
        return stored.Outlook([], [], 0)
    workloads = plan.workloads(config)
    try:
        called, facts = accelerators.find(config.accelerator)
    except accelerators.UnknownAcceleratorError:
        called, facts = config.accelerator, None
    cells = [
        Cell(workload, entry.framework, entry.name, called, 0 if facts is None else facts.count)
        for entry in config.submissions
        for workload in workloads
    ]
    return stored.Outlook([], cells, 0) if facts is None else stored.outlook(cells, facts)
