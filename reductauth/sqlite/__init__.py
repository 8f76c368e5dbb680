"""The registry in a folder of its own: SQLite, one writer thread, a counter that every process sees.

files.py       what the folder holds, who may own it, the first start
schema.py      the tables and their version
rows.py        row <-> token
generation.py  the counter in `auth.gen`
details.py     values and usage of some tokens
selection.py   a query for tokens as SQL
reader.py      lookups in place, and longer reads
transaction.py what a change may do
writer.py      the thread that makes changes, many to a commit
store.py       all of it as one `TokenStore`
"""

from reductauth.sqlite.store import LOADING as LOADING
from reductauth.sqlite.store import SERVING as SERVING
from reductauth.sqlite.store import SqliteStore as SqliteStore
from reductauth.sqlite.store import Tuning as Tuning

__all__ = ["LOADING", "SERVING", "SqliteStore", "Tuning"]
