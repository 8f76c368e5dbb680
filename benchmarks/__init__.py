"""Benchmarks that anyone can run: `python -m benchmarks` for all in short form, or one module by itself.

report.py     the table and the JSON
measure.py    rounds in turn, quartiles
floor.py      the least that authenticating and authorizing a request can cost in Python
population.py a registry with many tokens
served.py     the applications that are put side by side
load.py       clients in processes of their own

authorize.py  one decision in process, against the floor
wire.py       one request through aiohttp without sockets, guarded against plain
http.py       the server's CPU for one request over a socket
loops.py      the same with uvloop in place of asyncio's own loop
workers.py    the example engine with one process and more
listing.py    how long listing tokens keeps the event loop from anything else
timing.py     whether the time of a refusal tells how close a guess is

A module that measures has `run`, which returns a report; `short`, a run for the smoke test; and a command of its own.
These machines are noisy, so only ratios count, of variants that took turns in one run.
"""
