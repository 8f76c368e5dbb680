"""Records made the cheap way are what the class itself makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from reductauth.frozen import maker_of
from reductauth.networks import ANYWHERE, NetworkList


@dataclass(frozen=True, slots=True)
class Record:
    """Fields with and without a default, and a method."""

    name: str
    number: int | None = None

    def doubled(self) -> int:
        """Twice the number."""
        return 2 * (self.number or 0)


def test_it_is_a_record_like_any_other() -> None:
    """Same class, equal, same hash, same text; its methods work, and so does `replace`."""
    made, usual = maker_of(Record)("a", 4), Record("a", 4)
    assert type(made) is Record
    assert made == usual
    assert hash(made) == hash(usual)
    assert repr(made) == "Record(name='a', number=4)"
    assert made.doubled() == 8
    assert replace(made, number=5) == Record("a", 5)


@pytest.mark.parametrize("name", ["name", "number", "unknown", "__class__"])
def test_it_is_frozen(name: str) -> None:
    """Nothing can be set or taken away afterwards."""
    made = maker_of(Record)("a", 4)
    with pytest.raises((FrozenInstanceError, TypeError)):
        setattr(made, name, "b")
    with pytest.raises((FrozenInstanceError, TypeError)):
        delattr(made, name)
    assert made == Record("a", 4)


@pytest.mark.parametrize("values", [(), ("a",), ("a", 1, 2)])
def test_all_fields_have_to_be_given(values: tuple[str | int, ...]) -> None:
    """None is filled in."""
    with pytest.raises(TypeError):
        maker_of(Record)(*values)  # type: ignore[arg-type]  # that is what is refused


@pytest.mark.parametrize("record", [NetworkList, dict, lambda: ANYWHERE])
def test_what_it_refuses(record: type) -> None:
    """What is no dataclass, or does more than to set its fields, would come out half made."""
    with pytest.raises(TypeError, match="does more than to set its fields"):
        maker_of(record)
