"""Mechanisms that keep attackers out, each switched off: their tests must fail, by a wrong answer.

table.py                what a sabotage is
integrity.py, audit.py, guessing.py, metrics.py, attackers.py, remembering.py
                        what is switched off, and which tests notice
mechanisms.py           all of them
site/sitecustomize.py   switches one off in every process of a test, servers and commands too
verdicts.py             how each test came out
"""
