"""The HTTP routes: one file per family, each route with its policy.

keys.py          what handlers find on the application
version.py       the one version number, and the headers on every answer
errors.py        EngineError -> status
bodies.py        JSON bodies, as lenient as the protocol wants
query_bodies.py  queries as clients write them -> selections
parameters.py    times, lengths and labels in parameters and headers
responses.py     records as answers
reading.py       queries begun and read; writing.py  batches taken in: for one entry and for several
server.py        alive, ready, info, list; the empty lists of replications and lifecycles
buckets.py       buckets
entries.py       entries
records.py       single records
queries.py       queries of one entry
batches.py       batches of one entry
multi_entry.py   queries and batches of several entries
links.py         links to records
fallback.py      whatever matches no route
"""
