"""The HTTP routes: one file per family, each route with its policy.

keys.py      what handlers find on the application
version.py   the one version number, and the headers on every answer
errors.py    EngineError -> status
bodies.py    JSON bodies, as lenient as the protocol wants
server.py    alive, ready, info, list; the empty lists of replications and lifecycles
buckets.py   buckets
records.py   single records
fallback.py  whatever matches no route
"""
