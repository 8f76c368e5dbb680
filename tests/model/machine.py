"""Arbitrary requests by arbitrary callers through both processes, each answer held against the model."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.model.agreement import Disagreement, Work, agree
from tests.model.house import FIXED_VALUE, House, administrator_of
from tests.model.model import CLIENT, Wish, rfc3339

__all__ = ["ServerMachine"]

_FAR_SECONDS = 1_000_000
STEPS: list[int] = []
"""Requests that were judged, example by example."""

PROCESSES = st.integers(0, 1)
NAMES = st.sampled_from(["t", "t2", "T", "fixed"])
"""Of tokens: one is a prefix of another, one differs in case, one is provisioned."""
BUCKETS = st.sampled_from(["a", "ab", "b", "$x"])
PATTERNS = st.one_of(BUCKETS, st.sampled_from(["a*", "ab*", "b*", "*"]))
ENTRIES = st.sampled_from(["e", "f"])
TIMES = st.integers(1, 2)
ACTIONS = ("read", "write", "full_access")
GRACES = st.sampled_from([0, 2, 2 * _FAR_SECONDS])
# Nobody, somebody who guesses, the provisioned token, whoever is an administrator now, or the holder of any value
# that was ever told, counted from the last one.
CALLERS = st.one_of(
    st.just("administrator"),
    st.integers(0, 12),
    st.sampled_from(["administrator", "nobody", "guess", "fixed"]),
)
_MORE = {
    "description": st.sampled_from([None, "", "x"]),
    "active": st.booleans(),
    "valid_from": st.sampled_from([None, -5, 2, _FAR_SECONDS]),
    "expires_at": st.sampled_from([None, 1, 3, _FAR_SECONDS]),
    "ttl": st.sampled_from([None, _FAR_SECONDS]),
    "ip_allowlist": st.sampled_from([None, [], [CLIENT], ["10.0.0.1"], ["10.0.0.1", CLIENT]]),
}
_GRANTS = st.lists(PATTERNS, max_size=2, unique=True)
_NO_GRANTS = st.sampled_from([["a*b"], ["$*"], ["*a"], ["a/b"]])
_PERMISSIONS = {
    "full_access": st.sampled_from([True, False, None]),
    "read": st.one_of(_GRANTS, _GRANTS, _GRANTS, st.none(), _NO_GRANTS),
    "write": st.one_of(_GRANTS, _GRANTS, _GRANTS, st.none(), _NO_GRANTS),
}
WISHES = st.one_of(
    st.just({"full_access": True}),
    st.fixed_dictionaries({}, optional={"read": _GRANTS, "write": _GRANTS}),
    st.fixed_dictionaries({}, optional={**_PERMISSIONS, **_MORE}),
)
ITEMS = st.lists(
    st.tuples(st.sampled_from(["revoke", "activate", "deactivate", "delete", "edit"]), NAMES, WISHES),
    min_size=1,
    max_size=4,
)


class ServerMachine(RuleBasedStateMachine):
    """One administrator and a provisioned token to begin with; the rest is what Hypothesis thinks of."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._stay = ExitStack()
        self.model, self.doors = self._stay.enter_context(house.opened())
        self.clock = house.clock
        self.told = [str(value) for token in self.model.tokens.values() for value, _ in token.values]
        self.steps = 0
        self.is_agreed = True

    def teardown(self) -> None:
        """Try every value that was told in both processes, then tidy up."""
        STEPS.append(self.steps)
        with self._stay:
            for process in (0, 1) if self.is_agreed else ():
                for caller in self.told:
                    self.ask(process, "GET", "/me?view=full", caller, _me(caller))

    def ask(
        self, process: int, method: str, path: str, caller: str | None, work: Work, body: Any = None
    ) -> None:
        """Send a request; what is answered must be what the model says."""
        self.steps += 1
        answer = self.doors[process].ask(method, path, caller, body)
        if answer.told:
            self.told.append(answer.told)
        try:
            agree(self.model, work, answer)
        except Disagreement:
            self.is_agreed = False
            raise

    def caller(self, who: str | int) -> str | None:
        """The value that somebody presents."""
        if isinstance(who, int):
            return self.told[-1 - who % len(self.told)]
        administrator = administrator_of(self.model)
        guess = administrator[:-1] + ("x" if administrator[-1] != "x" else "y")
        return {"administrator": administrator, "nobody": None, "guess": guess, "fixed": FIXED_VALUE}[who]

    def seconds(self, number: int) -> int:
        """A short time; where nobody can wait, one that is not over soon."""
        return number if self.clock is not None or abs(number) > 10 else number * 100_000

    def wish(self, wish: Wish) -> Wish:
        """A wish with times, and with sets, as the model has them."""
        fields = {key: frozenset(field) if isinstance(field, list) else field for key, field in wish.items()}
        for key in ("valid_from", "expires_at"):
            if fields.get(key) is not None:
                fields[key] = self.model.now + self.seconds(fields[key])
        return fields

    # -- tokens ---------------------------------------------------------------------------------------------

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, wish=WISHES)
    def create(self, process: int, who: str | int, name: str, wish: Wish) -> None:
        caller = self.caller(who)
        fields = self.wish({key: field for key, field in wish.items() if field is not None})
        body = _json(fields)
        if fields.keys() <= _PERMISSIONS.keys():
            body = body.get("permissions", {})  # the flat body of older clients
        elif "permissions" not in body:
            body["permissions"] = {}
        work: Work = lambda model, told: model.create(caller, name, fields, told)
        self.ask(process, "POST", f"/tokens/{name}", caller, work, body)

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, wish=WISHES)
    def edit(self, process: int, who: str | int, name: str, wish: Wish) -> None:
        caller, patch = self.caller(who), self.wish(wish)
        work: Work = lambda model, _: model.edit(caller, name, patch)
        self.ask(process, "PATCH", f"/tokens/{name}", caller, work, _json(patch))

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, active=st.booleans())
    def switch(self, process: int, who: str | int, name: str, active: bool) -> None:
        self.edit(process, who, name, {"active": active})

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, grace=GRACES)
    def rotate(self, process: int, who: str | int, name: str, grace: int) -> None:
        caller, grace = self.caller(who), self.seconds(grace)
        work: Work = lambda model, told: model.rotate(caller, name, grace, told)
        self.ask(process, "POST", f"/tokens/{name}/rotate", caller, work, {"grace_seconds": grace})

    @rule(process=PROCESSES, who=CALLERS, grace=GRACES)
    def rotate_me(self, process: int, who: str | int, grace: int) -> None:
        caller, grace = self.caller(who), self.seconds(grace)
        work: Work = lambda model, told: model.rotate_me(caller, grace, told)
        self.ask(process, "POST", "/me/rotate", caller, work, {"grace_seconds": grace})

    @rule(process=PROCESSES, who=CALLERS, name=NAMES)
    def revoke(self, process: int, who: str | int, name: str) -> None:
        caller = self.caller(who)
        self.ask(process, "POST", f"/tokens/{name}/revoke", caller, lambda model, _: model.revoke(caller, name))

    @rule(process=PROCESSES, who=CALLERS)
    def revoke_me(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "DELETE", "/me", caller, lambda model, _: model.revoke_me(caller))

    @rule(process=PROCESSES, who=CALLERS, name=NAMES)
    def delete(self, process: int, who: str | int, name: str) -> None:
        caller = self.caller(who)
        self.ask(process, "DELETE", f"/tokens/{name}", caller, lambda model, _: model.delete(caller, name))

    @rule(process=PROCESSES, who=CALLERS, items=ITEMS)
    def batch(self, process: int, who: str | int, items: list[tuple[str, str, Wish]]) -> None:
        caller = self.caller(who)
        changes = [(operation, name, self.wish(wish)) for operation, name, wish in items]
        body = [
            {"op": operation, "name": name} | ({"patch": _json(patch)} if operation == "edit" else {})
            for operation, name, patch in changes
        ]
        work: Work = lambda model, _: model.batch(caller, changes)
        self.ask(process, "POST", "/tokens/$batch", caller, work, {"items": body})

    @rule(process=PROCESSES, who=CALLERS, name=NAMES)
    def show(self, process: int, who: str | int, name: str) -> None:
        caller = self.caller(who)
        work: Work = lambda model, _: model.show(caller, name)
        self.ask(process, "GET", f"/tokens/{name}?view=full", caller, work)

    @rule(process=PROCESSES, who=CALLERS)
    def list_tokens(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/tokens?view=full", caller, lambda model, _: model.list_tokens(caller))

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, action=st.sampled_from(ACTIONS), bucket=BUCKETS)
    def check(self, process: int, who: str | int, name: str, action: str, bucket: str) -> None:
        caller = self.caller(who)
        asked = f"action={action}" if action == "full_access" else f"action={action}&bucket={bucket}"
        work: Work = lambda model, _: model.check(caller, name, action, bucket)
        self.ask(process, "GET", f"/tokens/{name}/check?{asked}&client_ip={CLIENT}", caller, work)

    @rule(process=PROCESSES, who=CALLERS)
    def me(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/me?view=full", caller, _me(caller))

    # -- buckets and records --------------------------------------------------------------------------------

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def create_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(process, "POST", f"/b/{bucket}", caller, lambda model, _: model.create_bucket(caller, bucket))

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS, new=BUCKETS)
    def rename_bucket(self, process: int, who: str | int, bucket: str, new: str) -> None:
        caller = self.caller(who)
        work: Work = lambda model, _: model.rename_bucket(caller, bucket, new)
        self.ask(process, "PUT", f"/b/{bucket}/rename", caller, work, {"new_name": new})

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def remove_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(process, "DELETE", f"/b/{bucket}", caller, lambda model, _: model.remove_bucket(caller, bucket))

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def change_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        work: Work = lambda model, _: model.change_bucket(caller, bucket)
        self.ask(process, "PUT", f"/b/{bucket}", caller, work, {"max_block_records": 7})

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def show_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", f"/b/{bucket}", caller, lambda model, _: model.show_bucket(caller, bucket))

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def probe_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(process, "HEAD", f"/b/{bucket}", caller, lambda model, _: model.probe_bucket(caller, bucket))

    @rule(process=PROCESSES, who=CALLERS)
    def list_buckets(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/list", caller, lambda model, _: model.list_buckets(caller))

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS, entry=ENTRIES, ts=TIMES)
    def write(self, process: int, who: str | int, bucket: str, entry: str, ts: int) -> None:
        caller, content = self.caller(who), f"{self.steps}".encode()
        work: Work = lambda model, _: model.write(caller, bucket, entry, ts, content)
        self.ask(process, "POST", f"/b/{bucket}/{entry}?ts={ts}", caller, work, content)

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS, entry=ENTRIES, ts=st.none() | TIMES)
    def read(self, process: int, who: str | int, bucket: str, entry: str, ts: int | None) -> None:
        caller = self.caller(who)
        work: Work = lambda model, _: model.read(caller, bucket, entry, ts)
        self.ask(process, "GET", f"/b/{bucket}/{entry}" + (f"?ts={ts}" if ts else ""), caller, work)

    # -- time -----------------------------------------------------------------------------------------------

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        """Time passes, where the test has a say in it."""
        if self.clock is not None:
            self.clock.seconds += seconds
            self.model.now += seconds


def _me(caller: str | None) -> Work:
    return lambda model, _: model.me(caller)


def _json(wish: Wish) -> Wish:
    """A wish as the API takes it."""
    body: Wish = {}
    for key, field in wish.items():
        shown = sorted(field) if isinstance(field, frozenset) else field
        if key in _PERMISSIONS:
            body.setdefault("permissions", {})[key] = shown
        elif key in {"valid_from", "expires_at"}:
            body[key] = rfc3339(field)
        else:
            body[key] = shown
    return body
