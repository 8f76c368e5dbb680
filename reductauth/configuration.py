"""What a deployment says: the environment and, under it, a YAML file.

A key of the file is a variable without `RS_`, in lower case. The environment wins, key by key; a variable or its
`_FILE` twin takes the place of both in the file. Beside single keys there are groups, things that are declared by
name: `RS_TOKEN_<ID>_NAME` and its sisters, or the mapping `tokens` in the file. There the environment wins name by
name.

Nothing here knows what a setting means: `reductauth.settings`, `reductauth.bootstrap` and
`reductauth.provisioning` do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, TypeVar

from reductauth.document import Node, read_document
from reductauth.errors import ConfigurationError

__all__ = ["PREFIX", "Configuration", "Declaration", "Given", "Group", "collect"]

PREFIX = "RS_"
TWIN = "_FILE"

T = TypeVar("T")
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)

_ID = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


def collect(faults: list[str], read: Callable[[], T]) -> T | None:
    """Return what `read` returns; if it raises `ConfigurationError`, add to `faults` and return None."""
    try:
        return read()
    except ConfigurationError as error:
        faults.extend(error.faults)
        return None


@dataclass(frozen=True, slots=True)
class Given:
    """What stands in one place of the configuration. `repr` does not show it: it may be a secret.

    `where` names the place as the deployment does. Each method reads one kind of value and raises
    `ConfigurationError` with what would be right.
    """

    where: str
    node: Node = field(repr=False)

    def refusal(self, right: str) -> ConfigurationError:
        """Say what would be right, and what was given: not for secrets."""
        if isinstance(self.node, dict):  # perhaps lines that slipped below the wrong key: not shown
            return ConfigurationError([f"{self.where}: must be {right}, not a mapping"])
        shown = self.node if isinstance(self.node, str) else list(self.node)
        return ConfigurationError([f"{self.where}={shown!r}: must be {right}"])

    def text(self) -> str:
        """Any single text."""
        if not isinstance(self.node, str):
            raise ConfigurationError([f"{self.where}: must be a single text"])
        return self.node

    def flag(self) -> bool:
        """`true` or `false`, in any case."""
        if not isinstance(self.node, str) or self.node.lower() not in {"true", "false"}:
            raise self.refusal("true or false")
        return self.node.lower() == "true"

    def number(self, least: int, most: int) -> int:
        """Read a whole number within these limits."""
        if isinstance(self.node, str) and _NUMBER.fullmatch(self.node) and least <= int(self.node) <= most:
            return int(self.node)
        raise self.refusal(f"a whole number from {least} to {most}")

    def choice(self, kind: type[ChoiceT]) -> ChoiceT:
        """Read one of the words of an enumeration."""
        words = [str(word) for word in kind]
        if self.node not in words:
            raise self.refusal(f"{', '.join(words[:-1])} or {words[-1]}")
        return kind(self.node)

    def items(self) -> tuple[str, ...]:
        """Read a list, or a text with commas between its items; an empty text is none of both."""
        if isinstance(self.node, tuple):
            return self.node
        if not isinstance(self.node, str) or not self.node.strip():
            raise self.refusal("a list, comma separated")
        return tuple(part.strip() for part in self.node.split(","))


@dataclass(frozen=True, slots=True)
class Group:
    """A kind of thing that a deployment declares by name.

    `fields` gives each field's meaning. `parent` is the YAML mapping that `nested` fields stand in; in the
    environment all stand side by side. `settings` are variables that only begin like those of the group.
    """

    word: str
    fields: Mapping[str, str]
    parent: str = ""
    nested: Collection[str] = ()
    settings: Collection[str] = ()

    @property
    def key(self) -> str:
        """The YAML mapping, keyed by name."""
        return f"{self.word}s"

    @property
    def prefix(self) -> str:
        """What all variables of the group begin with."""
        return f"{PREFIX}{self.word.upper()}_"

    def split(self, variable: str) -> tuple[str, str] | None:
        """Tell the id and the field (in lower case) of a variable of this group; None if it is not well-formed."""
        if not variable.startswith(self.prefix):
            return None
        # The longest first, should one field's name ever end like another's.
        for name in sorted(("name", *self.fields), key=len, reverse=True):
            if variable.endswith(f"_{name.upper()}"):
                declared_id = variable[len(self.prefix) : -len(name) - 1]
                return (declared_id, name) if _ID.fullmatch(declared_id) else None
        return None

    def path_of(self, name: str) -> str:
        """Where a field stands in YAML, below the name."""
        return f"{self.parent}.{name}" if name in self.nested else name


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declared thing: its fields, as they were given. `name` is empty if the declaration has none."""

    name: str
    where: str
    group: Group
    fields: Mapping[str, Given] = field(repr=False)
    is_of_environment: bool = False

    def read(self, name: str, reader: Callable[[Given], T], default: T, faults: list[str]) -> T:
        """Read a field with one of the methods of `Given`; not given or at fault, it is the default."""
        given = self.fields.get(name)
        if given is None:
            return default
        try:
            return reader(given)
        except ConfigurationError as error:
            faults.extend(error.faults)
            return default

    def called(self, name: str) -> str:
        """How the deployment would name a field."""
        return f"{self.where}_{name.upper()}" if self.is_of_environment else self.group.path_of(name)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The environment's `RS_*` variables and a file's keys, read once. `repr` shows no values.

    `faults` is what can't be read at all; whoever reads settings of it tells them beside its own.
    """

    environ: Mapping[str, str] = field(repr=False)
    file: str = ""
    document: Mapping[str, Node] = field(default_factory=dict, repr=False)
    faults: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str], config_file: Path | None = None) -> Configuration:
        """Read both. Raises nothing: see `faults`."""
        faults: list[str] = []
        document = {} if config_file is None else read_document(config_file, faults)
        variables = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
        return cls(variables, str(config_file or ""), document, tuple(faults))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the copy would hold secrets."""
        raise TypeError("secrets are not pickled")

    def get(self, variable: str) -> Given | None:
        """Find what a variable, or its key in the file, says."""
        if variable in self.environ:
            return Given(variable, self.environ[variable])
        twin = variable.removesuffix(TWIN) if variable.endswith(TWIN) else variable + TWIN
        key = variable.removeprefix(PREFIX).lower()
        if twin in self.environ or key not in self.document:
            return None
        return Given(self._place(key), self.document[key])

    def where(self, variable: str) -> str:
        """Name the place that `get` finds; the variable, if there is none."""
        given = self.get(variable)
        return variable if given is None else given.where

    def unknown_keys(self, known: Collection[str]) -> list[str]:
        """Name the file's keys that mean nothing, as faults."""
        return [
            f"{self._place(key)}: is not a known key; known are {', '.join(sorted(known))}"
            for key in self.document
            if key not in known
        ]

    def declarations(self, group: Group, faults: list[str]) -> list[Declaration]:
        """Gather what is declared of a group; what can't be gathered is told in `faults`."""
        declared = self._declared_in_environment(group, faults)
        taken: dict[str, str] = {}
        for declaration in declared:
            if declaration.name in taken:
                both = f"{taken[declaration.name]} and {declaration.where}"
                faults.append(
                    f"{both} both declare {group.word} '{declaration.name}': keep the one that is meant"
                )
            elif declaration.name:
                taken[declaration.name] = declaration.where
        section = self.document.get(group.key, "")
        if not isinstance(section, dict):
            if section:
                faults.append(
                    f"{self._place(group.key)}: must be a mapping, keyed by the {group.word}'s name"
                )
            return declared
        return declared + [
            self._declared_in_file(group, name, node, faults)
            for name, node in section.items()
            if name not in taken
        ]

    def _declared_in_environment(self, group: Group, faults: list[str]) -> list[Declaration]:
        found: dict[str, dict[str, Given]] = {}
        for variable in sorted(self.environ):
            if not variable.startswith(group.prefix) or variable in group.settings:
                continue
            parts = group.split(variable)
            if parts is None:
                known = ", ".join(name.upper() for name in ("name", *group.fields))
                faults.append(
                    f"{variable}: is not a variable of a declared {group.word}; "
                    f"it must be {group.prefix}<ID>_ and one of {known}"
                )
            else:
                found.setdefault(parts[0], {})[parts[1]] = Given(variable, self.environ[variable])
        declared = []
        for declared_id, fields in found.items():
            name = fields.pop("name", None)
            where = f"{group.prefix}{declared_id}"
            if name is None or not name.node:
                faults.append(f"{where}: needs the {group.word}'s name in {where}_NAME")
            declared.append(Declaration("" if name is None else name.text(), where, group, fields, True))
        return declared

    def _declared_in_file(self, group: Group, name: str, node: Node, faults: list[str]) -> Declaration:
        where = self._place(f"{group.key}.{name}")
        fields: dict[str, Given] = {}
        direct = [field_name for field_name in group.fields if field_name not in group.nested]
        for key, inner in _entries(node, where, faults):
            if group.parent and key == group.parent:
                place = f"{where}.{key}"
                for inner_key, innermost in _entries(inner, place, faults):
                    _put(fields, inner_key, Given(f"{place}.{inner_key}", innermost), group.nested, faults)
            else:
                known = [*direct, *([group.parent] if group.parent else [])]
                _put(fields, key, Given(f"{where}.{key}", inner), known, faults)
        return Declaration(name, where, group, fields)

    def _place(self, key: str) -> str:
        return f"{self.file}: {key}"


def _entries(node: Node, where: str, faults: list[str]) -> list[tuple[str, Node]]:
    if isinstance(node, dict):
        return list(node.items())
    if node:
        faults.append(f"{where}: must be a mapping, lines of `key: value`")
    return []


def _put(
    fields: dict[str, Given], name: str, given: Given, known: Collection[str], faults: list[str]
) -> None:
    if name in known:
        fields[name] = given
    else:
        faults.append(f"{given.where}: is not a known key; known are {', '.join(known)}")
