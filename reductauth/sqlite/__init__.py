"""The registry in a folder of its own: SQLite, one writer thread, a counter that every process sees.

The folder
    files.py           what it holds, who may own it, the first start
    live_files.py      whether the open files are still those in it
    schema.py          the tables and their version
    facts.py           what the registry says about itself
    generation.py      the counter in `auth.gen`
    generation_log.py  which tokens each generation was about
What is kept, and what proves it
    rows.py            row <-> token
    seal.py            the seal of a token; token_seals.py: of those that a change touches
    trail.py           the audit as a chain
    keys.py            what both are keyed with
Reads
    reader.py          lookups in place, and longer reads
    details.py         values and usage of some tokens
    selection.py       a query for tokens as SQL; books.py: one for the audit
Changes
    writer.py          the thread that makes them, many to a commit
    transaction.py     what one may do, and change_reads.py: may ask
    counters.py, intents.py
                       what it does to usage, and to intents on buckets
    known.py           what need not be read again; holders.py: of those who ask for changes
All of it
    store.py           as one `TokenStore`
    verification.py    checked from outside; backup.py: copied and put back
"""

from reductauth.sqlite.store import LOADING as LOADING
from reductauth.sqlite.store import SERVING as SERVING
from reductauth.sqlite.store import SqliteStore as SqliteStore
from reductauth.sqlite.store import Tuning as Tuning

__all__ = ["LOADING", "SERVING", "SqliteStore", "Tuning"]
