"""Many cases at a real server: its state is kept fit to be attacked, its memory is watched."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from yarl import URL

from tests.attacks.grammar import DRIFTER, Callers, Case, make_case
from tests.attacks.oracle import faults_of
from tests.attacks.wire import Connection, Ending
from tests.servers import ServerProcess

__all__ = ["Campaign", "memory_kib"]

_ATTACKERS = 8
_CASES_BETWEEN_CHECKS = 100
"""Of one attacker, between two requests that must succeed."""
_SAMPLES = 10
"""Of the server's memory. It is warm at the third."""
_KEPT_TOKENS = {"init-token", "narrow", "drifter"}


def memory_kib(pid: int) -> tuple[int, int]:
    """How much a process has in memory now, and had at most."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    now, most = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) for name in ("VmRSS", "VmHWM"))
    return now, most


@dataclass
class Campaign:
    """So many cases from a seed; what went wrong is in `failures`, and in files that can be sent again."""

    server: ServerProcess
    callers: Callers
    folder: Path
    seed: int
    count: int
    endings: Counter[Ending] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _drifter: bytes = b""

    def run(self) -> None:
        """Attack with several connections at a time. Stops at the twentieth failure."""
        self._tidy_up()
        with ThreadPoolExecutor(_ATTACKERS) as pool:
            attackers = [pool.submit(self._attack, number) for number in range(_ATTACKERS)]
        for attacker in attackers:
            attacker.result()
        self._tidy_up()

    def report(self) -> str:
        """Tell the figures of the campaign."""
        endings = ", ".join(f"{ending.name.lower()} {self.endings[ending]:,}" for ending in Ending)
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        memory = " ".join(f"{kib // 1_024}" for kib in self.memory)
        return (
            f"seed {self.seed}: {sum(self.endings.values()):,} cases; {endings}; failures {len(self.failures)}\n"
            f"statuses {statuses}\nRSS in MiB, from the start to the end: {memory}"
        )

    @property
    def growth_kib(self) -> int:
        """What the server's memory grew by when it was warm; the most that it ever had counts."""
        return memory_kib(self.server.pid)[1] - max(self.memory[:3])

    def _attack(self, number: int) -> None:
        url = URL(self.server.url)
        connection = Connection(str(url.host), int(url.port or 0))
        try:
            self._send_cases(number, connection)
        finally:
            connection.close()

    def _send_cases(self, number: int, connection: Connection) -> None:
        for place, case in enumerate(self._cases(number)):
            if len(self.failures) >= 20:
                break
            data = case.data.replace(DRIFTER, self._drifter)
            outcome = connection.exchange(data, is_complete=case.is_complete)
            secrets = [secret for secret in case.secrets if secret != DRIFTER] + [self._drifter] * (
                DRIFTER in case.secrets
            )
            faults = faults_of(outcome, is_complete=case.is_complete, is_head=case.is_head, secrets=secrets)
            with self._lock:
                self.endings[outcome.ending] += 1
                if outcome.reply is not None:
                    self.statuses[outcome.reply.status] += 1
            if place % _CASES_BETWEEN_CHECKS == 0:
                faults += self._faults_of_health()
                if number == 0 and place % (10 * _CASES_BETWEEN_CHECKS) == 0:
                    self._tidy_up()
            if number == 0 and place % max(1, self.count // _ATTACKERS // _SAMPLES) == 0:
                self.memory.append(memory_kib(self.server.pid)[0])
            if faults:
                self._keep(f"{number}-{place}", data, outcome.received, faults)

    def _cases(self, number: int) -> Iterator[Case]:
        for place in range(self.count // _ATTACKERS):
            random = Random(f"{self.seed} {number} {place}")  # noqa: S311 - what it makes is to be made again
            yield make_case(random, self.callers)

    def _keep(self, name: str, data: bytes, received: bytes, faults: list[str]) -> None:
        path = self.folder / f"case-{name}"
        path.write_bytes(data)
        with self._lock:
            self.failures.append(
                f"{path}: {'; '.join(faults)}\n  sent {data[:300]!r}\n  got  {received[:300]!r}"
            )

    def _faults_of_health(self) -> list[str]:
        """Say what is wrong with the server, as an ordinary client with a connection of its own sees it."""
        try:
            status, answer = self._ask("GET", "/api/v1/me")
        except OSError as error:
            return [f"an ordinary request fails: {error}"]
        if status != 200 or json.loads(answer)["name"] != "init-token":
            return [f"an ordinary request gets {status} {answer!r}"]
        return []

    def _tidy_up(self) -> None:
        """Remove what the cases have made, and make anew what they are about."""
        tokens = json.loads(self._ask("GET", "/api/v1/tokens")[1])["tokens"]
        names = [token["name"] for token in tokens if token["name"] not in _KEPT_TOKENS]
        for start in range(0, len(names), 1_000):
            items = [{"op": "delete", "name": name} for name in names[start : start + 1_000]]
            self._ask("POST", "/api/v1/tokens/$batch", json.dumps({"items": items}))
        for bucket in json.loads(self._ask("GET", "/api/v1/list")[1])["buckets"]:
            self._ask("DELETE", f"/api/v1/b/{bucket['name']}")
        for path, content in (
            ("b/home", None),
            ("b/spare", None),
            ("b/home/log?ts=1", "1"),
            ("tokens/worker", "{}"),
        ):
            self._ask("POST", f"/api/v1/{path}", content)
        self._ask("DELETE", "/api/v1/tokens/drifter")
        status, answer = self._ask("POST", "/api/v1/tokens/drifter", '{"full_access": true}')
        if status == 200:
            self._drifter = json.loads(answer)["value"].encode()

    def _ask(self, method: str, path: str, content: str | None = None) -> tuple[int, bytes]:
        url = URL(self.server.url)
        connection = http.client.HTTPConnection(str(url.host), url.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.callers.administrator}", "Connection": "close"}
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
