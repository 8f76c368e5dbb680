"""Labels in batches, and which labels a record may have.

Grammar of the label part of a record's header::

    labels = label *( "," label ) [ "," ]          ; spaces around names and values do not count
    label  = name "=" value
    name   = token                                  ; RFC 9110 §5.6.2, it becomes a header x-reduct-label-{name}
    value  = *plain / DQUOTE *quoted DQUOTE         ; plain does not begin with a quote
    plain  = printable ASCII without ","
    quoted = printable ASCII without DQUOTE

There are no escapes, so a value is written in quotes exactly if it holds a comma.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from storage_demo.encoding.headers import excerpt, is_printable, printable
from storage_demo.encoding.names import is_token
from storage_demo.engine import MAX_LABELS, InvalidError

MAX_LABEL_CHANGES = 2 * MAX_LABELS  # to remove all that a record may have, and give it as many others

_BLANKS = re.compile(r"[ \t]*")
_BLANK = " \t"


def check_label_name(name: str) -> None:
    """Raise `InvalidError` unless a label may have this *name*."""
    if name.startswith("@"):
        raise InvalidError("Label names must not start with '@': reserved for computed labels")
    if not is_token(name):
        raise InvalidError(
            f"Label names can contain only letters, digits and !#$%&'*+-.^_`|~, got '{excerpt(name)}'"
        )


def check_label_value(value: str, source: str) -> None:
    """Raise `InvalidError` unless a label may have this *value*; *source* is the header or label that has it."""
    if not is_printable(value):
        raise InvalidError(f"Label values for {excerpt(source)} must be valid UTF-8 strings")


def check_change_count(count: int) -> None:
    """Raise `InvalidError` if a record's labels would change in more than 160 places."""
    if count > MAX_LABEL_CHANGES:
        raise InvalidError(f"At most {MAX_LABEL_CHANGES} labels of a record can be changed, got {count}")


def split_labels(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of the label part *text* in its order, neither of them checked.

    Raises `InvalidError` where it does not follow the grammar.

    >>> list(split_labels('a=1, b="x,y",c='))
    [('a', '1'), ('b', 'x,y'), ('c', '')]
    """
    position = _after_blanks(text, 0)
    while position < len(text):
        name_end = text.find("=", position)
        name = text[position:name_end].strip(_BLANK)
        if name_end < 0 or not name or "," in name:
            raise _invalid()
        position = _after_blanks(text, name_end + 1)
        if text.startswith('"', position):
            value_end = text.find('"', position + 1)
            if value_end < 0:
                raise _invalid()
            value = text[position + 1 : value_end]
            position = _after_blanks(text, value_end + 1)
            if position < len(text) and text[position] != ",":
                raise _invalid()
        else:
            comma = text.find(",", position)
            value_end = len(text) if comma < 0 else comma
            value = text[position:value_end]
            position = value_end
        yield name, value.strip(_BLANK)
        position = _after_blanks(text, position + 1)


def read_labels(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of the label part *text*, all literal and checked. Raises `InvalidError`."""
    for name, value in split_labels(text):
        check_label_name(name)
        check_label_value(value, name)
        yield name, value


def format_label(key: str | int, value: str) -> str:
    """Return one label; *value* comes from `written_labels`.

    >>> format_label("place", "Oslo, Norway")
    'place="Oslo, Norway"'
    """
    return f'{key}="{value}"' if "," in value else f"{key}={value}"


def written_labels(labels: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield *labels* as a batch can hold them.

    A value that begins with a double quote, or has one besides a comma, would be taken apart by whoever
    reads it; its double quotes become single ones. Labels that came by no request may have other
    characters: a name with such is left out, in a value they become question marks.
    """
    for name, raw in labels:
        if is_token(name):
            value = printable(raw).strip()
            if '"' in value and (value[0] == '"' or "," in value):
                value = value.replace('"', "'")
            yield name, value


def _after_blanks(text: str, position: int) -> int:
    blanks = _BLANKS.match(text, position)
    return blanks.end() if blanks else position


def _invalid() -> InvalidError:
    return InvalidError("Invalid batched header")
