"""Mechanisms of integrity, audit, guessing and attackers, each switched off: their tests must fail, by a wrong answer.

mechanisms.py           what is switched off, and which tests notice
site/sitecustomize.py   switches it off in every process of a test, servers and commands too
verdicts.py             how each test came out
"""
