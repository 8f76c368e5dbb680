"""The tables, and their version.

Times are microseconds since the epoch (`_us`). Lists are JSON text. `key` columns are internal row numbers;
`id` is the public one. Nothing here holds a token's value: `secrets.digest` is its only trace.
"""

from __future__ import annotations

import sqlite3

from reductauth.errors import ConfigurationError

__all__ = ["SCHEMA_VERSION", "check_version", "create", "foreign_parts"]

SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    search_text TEXT NOT NULL, -- name and description, case-folded
    role TEXT,
    full_access INTEGER NOT NULL CHECK (full_access IN (0, 1)),
    read_patterns TEXT NOT NULL,
    write_patterns TEXT NOT NULL,
    is_provisioned INTEGER NOT NULL CHECK (is_provisioned IN (0, 1)),
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    valid_from_us INTEGER,
    expires_at_us INTEGER,
    revoked_at_us INTEGER,
    ttl_seconds INTEGER,
    ip_allowlist TEXT NOT NULL,
    last_access_us INTEGER,
    last_access_ip TEXT,
    audit_sequence INTEGER, -- of the last change, as the seal has it
    seal BLOB -- see reductauth.sqlite.seal
) STRICT;
CREATE INDEX tokens_administrators ON tokens (name) WHERE full_access = 1;
CREATE INDEX tokens_provisioned ON tokens (name) WHERE is_provisioned = 1;

CREATE TABLE secrets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_key INTEGER NOT NULL REFERENCES tokens (key) ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE,
    key_id TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    last_access_us INTEGER,
    last_access_ip TEXT,
    uses INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX secrets_of_token ON secrets (token_key);
CREATE INDEX secrets_in_grace ON secrets (expires_at_us) WHERE expires_at_us IS NOT NULL;

CREATE TABLE usage (
    token_key INTEGER NOT NULL REFERENCES tokens (key) ON DELETE CASCADE,
    period TEXT NOT NULL, -- a day, YYYY-MM-DD, or a month that days were folded into, YYYY-MM
    read INTEGER NOT NULL,
    write INTEGER NOT NULL,
    admin INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    PRIMARY KEY (token_key, period)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_days ON usage (period) WHERE length(period) = 10;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_id TEXT,
    address TEXT,
    action TEXT NOT NULL,
    token_key INTEGER,
    token_id TEXT,
    token_name TEXT,
    detail TEXT,
    mac BLOB NOT NULL -- over the entry before it and this one
) STRICT;
CREATE INDEX audit_of_token ON audit (token_key, sequence, token_id) WHERE token_key IS NOT NULL;
CREATE INDEX audit_times ON audit (at_us);

CREATE TABLE generations ( -- the last ones; see reductauth.sqlite.generation_log
    generation INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL, -- the one before it
    token_ids TEXT -- of the tokens that it was about, JSON; NULL: any
) STRICT;

CREATE TABLE bucket_intents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('rename', 'remove')),
    bucket TEXT NOT NULL,
    new_bucket TEXT,
    owner INTEGER NOT NULL, -- a number that the process holds while it lives
    started_at_us INTEGER NOT NULL,
    seal BLOB -- over all the others
) STRICT;
"""

_PARTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"


def create(connection: sqlite3.Connection, meta: dict[str, str | bytes | int]) -> None:
    """Make an empty registry with these facts about itself. The caller syncs and renames the file."""
    connection.executescript(_TABLES)
    connection.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", meta.items())
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def foreign_parts(connection: sqlite3.Connection) -> list[str]:
    """Name what this release has not made: a trigger, for instance, could change what a change writes."""
    ours = sqlite3.connect(":memory:")
    try:
        ours.executescript(_TABLES)
        known = set(ours.execute(_PARTS))
    finally:
        ours.close()
    return sorted(f"{part[0]} {part[1]}" for part in set(connection.execute(_PARTS)) - known)


def check_version(connection: sqlite3.Connection, path: str) -> None:
    """Raise `ConfigurationError` unless the registry is of this version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            [
                f"{path}: made by a newer release (schema {version}, this release knows {SCHEMA_VERSION}); "
                "start that release again, or restore a backup made by this one"
            ]
        )
    if version < SCHEMA_VERSION:
        raise ConfigurationError(
            [f"{path}: not a token registry (schema {version}); restore the registry from a backup"]
        )
