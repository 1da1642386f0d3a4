"""`python -m scoring.published LOGS NAME`: makes a published leaderboard's file again from its logs."""

import argparse
from pathlib import Path

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.published import LEADERBOARDS, leaderboard_file, write_published
from scoring.logs.read import read_logs

parser = argparse.ArgumentParser(prog="python -m scoring.published")
parser.add_argument("logs", type=Path)
parser.add_argument("name", choices=LEADERBOARDS)
arguments = parser.parse_args()
leaderboard = LEADERBOARDS[arguments.name]
protocol = load_protocol(leaderboard.protocol)
logs = read_logs(arguments.logs, protocol, leaderboard.ruleset)
write_published(logs, protocol, leaderboard_file(arguments.name))
