"""Attackers: what they send, and what must come back. Runs alone, and for as long as `--rounds` says.

wire.py       one connection: bytes out, the first reply in
oracle.py     what is wrong with an answer
bodies.py     JSON bodies, right and wrong
grammar.py    requests, right and wrong
campaign.py   many of them at a real server, whose state and memory are watched
"""
