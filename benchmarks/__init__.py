"""Benchmarks that anyone can run: `python -m benchmarks` for all in short form, or one module by itself.

measure.py    rounds in turn, quartiles, ratios; the table and the JSON
floor.py      the least that authenticating and authorizing a request can cost in Python
population.py a registry with many tokens
authorize.py  one decision in process, against the floor
listing.py    how long listing tokens keeps the event loop from anything else
timing.py     whether the time of a refusal tells how close a guess is
wire.py       one request through aiohttp without sockets, guarded against plain

These machines are noisy, so only ratios count, of variants that took turns in one run.
"""
