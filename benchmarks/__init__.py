"""Benchmarks that anyone can run: `python -m benchmarks` for all in short form, or one module by itself.

report.py     the table and the JSON
measure.py    rounds in turn, quartiles
floor.py      the least that authenticating and authorizing a request can cost in Python
population.py a registry with many tokens
served.py     the applications that are put side by side

authorize.py  one decision in process, against the floor
wire.py       one request through aiohttp without sockets, guarded against plain
http.py       the server's CPU for one request over a socket
listing.py    how long listing tokens keeps the event loop from anything else
transfer.py   importing and exporting tokens while a server serves from the same folder
timing.py     whether the time of a refusal tells how close a guess is

A module that measures has `run`, which returns a report; `short`, a run for the smoke test; and a command of its own.
These machines are noisy, so only ratios count, of variants that took turns in one run.
"""
