"""The rules of system entries: what is attached to an entry lies in ``{entry}/$meta``, as records with a key.

A record there is named by its label ``key``: a new one takes the place of those with the same key. It is taken
away by setting its label ``remove`` to ``true``: queries hide it from then on. Pure functions, no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine.errors import InvalidError
from storage_demo.engine.names import is_meta_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_LABEL = "key"
REMOVE_LABEL = "remove"

_TRUE = "true"


def is_removed(labels: Mapping[str, str]) -> bool:
    """Tell whether a record of a system entry with these labels is hidden from queries."""
    return labels.get(REMOVE_LABEL) == _TRUE


def attachment_key(entry: str, labels: Mapping[str, str]) -> str | None:
    """Return what a record is attached as, None outside of system entries. Raises `InvalidError` without a key."""
    if not is_meta_entry(entry):
        return None
    key = labels.get(KEY_LABEL)
    if key is None:
        raise InvalidError(f"System entry '{entry}' records must contain label '{KEY_LABEL}'")
    return key


def check_attachment(entry: str, labels: Mapping[str, str]) -> None:
    """Raise `InvalidError` for a new record that a system entry does not take."""
    if attachment_key(entry, labels) is not None and is_removed(labels):
        raise InvalidError(
            f"System entry '{entry}' does not support writing records with label '{REMOVE_LABEL}={_TRUE}'; "
            "use record update"
        )


def check_removable_entry(entry: str) -> None:
    """Raise `InvalidError` for a system entry, which goes with its parent."""
    if is_meta_entry(entry):
        raise InvalidError(f"Can't delete system entry '{entry}'; remove the parent entry instead")


def check_removable_records(entry: str) -> None:
    """Raise `InvalidError` for a system entry, whose records are hidden instead."""
    if is_meta_entry(entry):
        raise InvalidError(
            f"Can't delete records from system entry '{entry}'; use label update with {REMOVE_LABEL}={_TRUE}"
        )


def check_renamable_entry(entry: str) -> None:
    """Raise `InvalidError` for a system entry, which moves with its parent."""
    if is_meta_entry(entry):
        raise InvalidError(f"Can't rename system entry '{entry}'; rename the parent entry instead")
