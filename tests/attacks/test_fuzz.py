"""Requests that nobody would send, at real servers with both of aiohttp's parsers: each gets an answer.

`--rounds N` sends N thousand cases to each server, by a seed that is printed; `--seed` repeats them. A failure names
files with the bytes that were sent.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from yarl import URL

from tests.attacks.campaign import Campaign
from tests.attacks.grammar import Callers
from tests.attacks.oracle import faults_of
from tests.attacks.wire import Connection
from tests.servers import ROOT_VALUE, serving

NARROW_VALUE = "narrow-value-of-the-tests-0123456789abcdef"
ENVIRON = {
    "RS_API_TOKEN": ROOT_VALUE,
    "RS_TOKEN_NARROW_NAME": "narrow",
    "RS_TOKEN_NARROW_VALUE": NARROW_VALUE,
    "RS_TOKEN_NARROW_READ": "home*",  # wildcards, which stay when a bucket of that name is removed
    "RS_TOKEN_NARROW_WRITE": "spare*",
    "RS_ALLOW_BASIC_AUTH": "true",
    "RS_ALLOW_X_AUTH_TOKEN": "true",
    "RS_TRUSTED_PROXIES": "127.0.0.0/8",
    "RS_CORS_ALLOW_ORIGIN": "https://console.example.com",
    "RS_LOG_LEVEL": "DEBUG",
}
PARSERS = {"C parser": {}, "Python parser": {"AIOHTTP_NO_EXTENSIONS": "1"}}
# Without these the C library keeps what was freed, in pieces, for its next time: what the process has in memory then
# goes up for hundreds of thousands of requests while what it uses does not.
FREES_AT_ONCE = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
MOST_GROWTH_KIB = 16 * 1024


@pytest.mark.parametrize("parser", PARSERS)
def test_every_request_gets_an_answer(
    tmp_path: Path, parser: str, rounds: int | None, seed: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """No 5xx, no connection dropped, no value in an answer or the log, no growth of memory."""
    count = 2_000 if rounds is None else rounds * 1_000
    if seed is None:
        seed = 1 if rounds is None else time.time_ns()
    with serving(tmp_path, {**ENVIRON, **FREES_AT_ONCE, **PARSERS[parser]}) as server:
        callers = Callers(administrator=ROOT_VALUE, narrow=NARROW_VALUE)
        campaign = Campaign(server, callers, tmp_path, seed, count)
        campaign.run()
        with capsys.disabled():
            print(f"\n{parser}, {campaign.report()}")  # noqa: T201 - the figures are for people
        assert not campaign.failures, "\n".join(campaign.failures)
        assert campaign.growth_kib < MOST_GROWTH_KIB
        assert server.stop() == 0
        for value in (ROOT_VALUE, NARROW_VALUE, "stranger-", "-rsat1"):
            assert value not in server.log
        tracebacks = [line for line in server.log.splitlines() if "Traceback" in line]
        assert tracebacks == []


MALFORMED, NOT_EXPECTED = "Malformed HTTP request", "Only '100-continue' can be expected"
FOUND = [  # by the cases above
    (
        b"CONNECT /api/v1/ready?\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        MALFORMED,
    ),  # a target that is no address
    (b"CONNECT \xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, MALFORMED),
    (b"CONNECT /nowhere HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\n\r\n", 417, NOT_EXPECTED),  # no text
]


@pytest.mark.parametrize("parser", PARSERS)
def test_what_was_found(tmp_path: Path, parser: str) -> None:
    """Requests that once got no answer, or 500, are refused like others of their kind."""
    with serving(tmp_path, {**ENVIRON, **PARSERS[parser]}) as server:
        url = URL(server.url)
        for data, status, detail in FOUND:
            connection = Connection(str(url.host), int(url.port or 0))
            outcome = connection.exchange(data, is_complete=True)
            connection.close()
            assert outcome.reply is not None
            assert outcome.reply.status == status
            assert json.loads(outcome.reply.body) == {"detail": detail}
            assert faults_of(outcome, is_complete=True, is_head=False, secrets=[]) == []
        assert "Traceback" not in server.log
