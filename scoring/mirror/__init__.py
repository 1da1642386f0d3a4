"""Trials as runs in the places where people look already: TensorBoard, MLflow, W&B; from beside them, as they go.

It imports `logs/`. Nothing is written into a results folder, and no trial knows of it. Each of the three libraries is
imported by one module, `to_<library>.py`, and installed by an extra.
"""
