"""Names of the headers of a batch."""

from __future__ import annotations

ENTRIES = "x-reduct-entries"
START = "x-reduct-start-ts"
LABELS = "x-reduct-labels"
RECORD_PREFIX = "x-reduct-"
ERROR_PREFIX = "x-reduct-error-"
