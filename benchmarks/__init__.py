"""Benchmarks that anyone can run: `python -m benchmarks` for all in short form, or one module by itself.

report.py     the table and the JSON
measure.py    rounds in turn, quartiles
floor.py      the least that authenticating and authorizing a request can cost in Python
population.py a registry with many tokens
process.py    a process that is measured from outside
client.py     a connection that sends one request after another
watched.py    how long the event loop is held
served.py     the applications that are put side by side
opened.py     a process that opens a registry
lister.py     a server of the token API that tells how long its loop was held
stored.py     the storage server, with and without its guard

authorize.py  one decision in process, against the floor
wire.py       one request through aiohttp without sockets, guarded against plain
http.py       the server's CPU for one request over a socket
registry.py   changes, pages and lookups, over the disk's floor and as the registry grows
reads_beside_changes.py  a guarded read while tokens are created
startup.py    start-up and memory as the registry grows
listing.py    all tokens as JSON, over HTTP too, and how long lists hold the event loop
storage.py    the guard's share of storing and reading records
timing.py     whether the time of a refusal tells how close a guess is

A module that measures has `run`, which returns a report; `short`, a run for the smoke test; and a command of its own.
These machines are noisy, so only ratios count, of variants that took turns in one run.
"""
