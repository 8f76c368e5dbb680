"""Conditions of queries: which records, by their labels and times, belong to the result.

Pure: no I/O, no clock, nothing of the engine but its errors::

    condition = parse_condition({"&score": {"$gt": 10}, "$limit": 3})
    evaluation = condition.begin()
    verdict = evaluation.judge({"score": "12.5"}, timestamp_us=1_000_000)

Files, lower ones import from higher ones only: ``excerpt``, ``numbers``, ``values``, ``casts`` are what
is compared; ``expressions``, ``operators`` are the condition as a tree; ``evaluation``, ``parser`` are
what the engine uses. Source: the description of the HTTP API, ``when`` conditions.
"""

from __future__ import annotations

from storage_demo.engine.conditions.evaluation import Condition, Evaluation, Verdict
from storage_demo.engine.conditions.parser import MAX_DEPTH, MAX_VALUES, parse_condition

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Condition", "Evaluation", "Verdict", "parse_condition"]
