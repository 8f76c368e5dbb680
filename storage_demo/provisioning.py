"""The buckets that a deployment declares: read and checked."""

from __future__ import annotations

from reductauth.configuration import Configuration, Declaration, Given, Group
from storage_demo.engine import MAX_INTEGER, BucketSettings, InvalidError, QuotaType, check_bucket_name

__all__ = ["BUCKETS", "declared_buckets"]

BUCKETS = Group(
    "bucket",
    {
        "quota_type": "`NONE` (the default), `FIFO` (the oldest records go) or `HARD` (new ones are refused)",
        "quota_size": "bytes",
        "max_block_size": "bytes",
        "max_block_records": "records",
    },
)
"""The fields of a declared bucket. One that is not given has the default of a new bucket."""


def declared_buckets(configuration: Configuration, faults: list[str]) -> dict[str, BucketSettings]:
    """Read the declared buckets, by name; every fault is told in `faults`, and a bucket with one is left out."""
    buckets = {}
    for declaration in configuration.declarations(BUCKETS, faults):
        told = len(faults)
        settings = _settings(declaration, faults)
        if declaration.name:
            _check_name(declaration, faults)
            if len(faults) == told:
                buckets[declaration.name] = settings
    return buckets


def _check_name(declaration: Declaration, faults: list[str]) -> None:
    try:
        check_bucket_name(declaration.name)
    except InvalidError:
        right = "it can contain only letters, digits, - and _"
        faults.append(f"{declaration.where}: {declaration.name!r} can't be a bucket's name; {right}")


def _settings(declaration: Declaration, faults: list[str]) -> BucketSettings:
    default = BucketSettings()

    def number(name: str, least: int) -> int:
        preset: int = getattr(default, name)
        return declaration.read(name, lambda given: given.number(least, MAX_INTEGER), preset, faults)

    return BucketSettings(
        quota_type=declaration.read("quota_type", _quota_type, default.quota_type, faults),
        quota_size=number("quota_size", least=0),
        max_block_size=number("max_block_size", least=1),
        max_block_records=number("max_block_records", least=1),
    )


def _quota_type(given: Given) -> QuotaType:
    return given.choice(QuotaType)
