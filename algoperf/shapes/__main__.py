"""`python -m algoperf.shapes FRAMEWORK`: lines of JSON with a cell and phases on the input, its figures on the output.

What fails in a cell is in its figures, but a fault of XLA's compiler may end the process.
"""

import importlib
import json
import os
import sys

from algoperf.fit.cells import Cell


def main() -> None:
    (framework,) = sys.argv[1:]
    # What a submission prints is none of the figures.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    figures = importlib.import_module(f"algoperf.shapes.{framework}").figures
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(figures(Cell(**request["cell"]), request["phases"])), file=told, flush=True)


if __name__ == "__main__":
    main()
