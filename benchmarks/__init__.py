"""Benchmarks that anyone can run: `python -m benchmarks` for all in short form, or one module by itself.

report.py     the table and the JSON
results.py    reports, read again from the JSON
drawing.py    the kinds of plot (with the extra `plots`)
measure.py    rounds in turn, quartiles and medians
floor.py      the least that authenticating and authorizing a request can cost in Python
population.py a registry with many tokens
process.py    a process that is measured from outside
client.py     a connection that sends one request after another
watched.py    how long the event loop is held
served.py     the applications that are put side by side
load.py       clients in processes of their own
line.py       an open connection to one, without a socket
libraries.py  the peers: what others do, in its plainest form (from the extra `peers`)
extras.py     what is said where an extra is missing
opened.py     a process that opens a registry
lister.py     a server of the token API that tells how long its loop was held
stored.py     the storage server, with and without its guard

authorize.py  one decision in process, against the floor
peers.py      the same decision by libraries of the field
wire.py       one request through aiohttp without sockets, guarded against plain
pieces.py     where the guard's time goes on that way
http.py       the server's CPU for one request over a socket
loops.py      the same with uvloop in place of asyncio's own loop
workers.py    the example engine with one process and more
lookup.py     what a value that is not remembered costs, piece by piece
registry.py   changes, pages and lookups, over the disk's floor and as the registry grows
reads_beside_changes.py  a guarded read while tokens are created
usage.py      what writing counters down costs when many values are in use
startup.py    start-up and memory as the registry grows
listing.py    all tokens as JSON, over HTTP too, and how long lists hold the event loop
storage.py    the guard's share of storing and reading records
transfer.py   importing and exporting tokens while a server serves from the same folder
timing.py     whether the time of a refusal tells how close a guess is

plots.py      plots of what was measured
tables.py     the tables of docs/performance.md, from what was measured

A module that measures has `run`, which returns a report; `short`, a run for the smoke test; and a command of its own.
These machines are noisy, so only ratios count, of variants that took turns in one run.
"""
