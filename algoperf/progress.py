"""What a person sees of a trial: a line for each evaluation, and how it ended."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from algoperf.train import State
from algoperf.workload import Workload
