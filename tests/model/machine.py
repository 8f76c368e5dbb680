"""Arbitrary requests by arbitrary callers through both processes, each answer held against the model."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.agreement import Answer, Disagreement, Work, agree
from tests.model.house import FIXED_VALUE, House, administrator_of
from tests.model.model import CLIENT, Wish, rfc3339

__all__ = ["ServerMachine"]

_FAR_SECONDS = 1_000_000
STEPS: list[int] = []
"""Requests that were judged, example by example."""

PROCESSES = st.integers(0, 1)
NAMES = st.sampled_from(["t", "t2", "T", "fixed"])
"""Of tokens: one is a prefix of another, one differs in case, one is provisioned."""
_BUCKETS = ("a", "ab", "b", "$x")
BUCKETS = st.sampled_from(_BUCKETS)
PATTERNS = st.one_of(BUCKETS, st.sampled_from(["a*", "ab*", "b*", "*"]))
ENTRIES = st.sampled_from(["e", "f"])
TIMES = st.integers(1, 2)
ACTIONS = ("read", "write", "full_access")
GRACES = st.sampled_from([0, 2, 2 * _FAR_SECONDS])
# Whoever is an administrator now; one of the others who hold a value that is good for something (below 0); the holder
# of any value that was ever told, counted from the last one; the provisioned token; nobody; somebody who guesses.
CALLERS = st.one_of(
    st.just("administrator"),
    st.integers(-4, -1),
    st.integers(0, 9),
    st.sampled_from(["fixed", "nobody", "guess"]),
)
USERS = st.one_of(st.integers(-4, -1), st.integers(-4, -1), CALLERS)
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
        self.links: list[str] = []
        self.steps = 0
        self.is_agreed = True

    def teardown(self) -> None:
        """Try every value that was told in both processes, then tidy up."""
        STEPS.append(self.steps)
        with self._stay:
            for process in (0, 1) if self.is_agreed else ():
                for caller in self.told:
                    self.ask(process, "GET", "/me?view=full", caller, _me(caller))
                for token in self.model.tokens.values():
                    self.look(process, token.values[-1][0] if token.values else None)

    def ask(
        self, process: int, method: str, path: str, caller: str | None, work: Work, body: Any = None
    ) -> Answer:
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
        return answer

    def look(self, process: int, caller: str | None) -> None:
        """Try every bucket."""
        for bucket in _BUCKETS:
            self.ask(process, "GET", f"/b/{bucket}", caller, _show_bucket(caller, bucket))

    def caller(self, who: str | int) -> str | None:
        """The value that somebody presents."""
        if isinstance(who, int):
            users = [token for token in self.model.tokens.values() if token.values and not token.full_access]
            if who < 0:
                return users[who % len(users)].values[-1][0]
            return self.told[-1 - who % len(self.told)]
        administrator = administrator_of(self.model)
        guess = administrator[:-1] + ("x" if administrator[-1] != "x" else "y")
        return {"administrator": administrator, "nobody": None, "guess": guess, "fixed": FIXED_VALUE}[who]

    def seconds(self, number: int) -> int:
        """A short time; where nobody can wait, one that is not over soon."""
        return number if self.clock is not None or abs(number) > 10 else number * 100_000

    def wish(self, wish: Wish) -> Wish:
        """A wish with times, and with sets, as the model has them."""
        fields: Wish = {
            key: frozenset(field) if isinstance(field, list) else field for key, field in wish.items()
        }
        for key in ("valid_from", "expires_at"):
            if fields.get(key) is not None:
                fields[key] = self.model.now + self.seconds(fields[key])
        return fields

    @initialize(
        grants=st.lists(st.fixed_dictionaries({"read": _GRANTS, "write": _GRANTS}), max_size=3),
        buckets=st.lists(BUCKETS.filter(str.isalpha), unique=True),
    )
    def furnish(self, grants: list[Wish], buckets: list[str]) -> None:
        """Tokens that may do little, and buckets: with neither, nearly all that is asked is refused."""
        for name, wish in zip(("t", "t2", "T"), grants, strict=False):
            self.create(0, "administrator", name, wish)
        for bucket in buckets:
            self.create_bucket(1, "administrator", bucket)

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
        self.ask(
            process,
            "POST",
            f"/tokens/{name}",
            caller,
            lambda model, told: model.create(caller, name, fields, told),
            body,
        )

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, wish=WISHES)
    def edit(self, process: int, who: str | int, name: str, wish: Wish) -> None:
        caller, patch = self.caller(who), self.wish(wish)
        self.ask(
            process,
            "PATCH",
            f"/tokens/{name}",
            caller,
            lambda model, _: model.edit(caller, name, patch),
            _json(patch),
        )

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, active=st.booleans())
    def switch(self, process: int, who: str | int, name: str, active: bool) -> None:
        self.edit(process, who, name, {"active": active})

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, grace=GRACES)
    def rotate(self, process: int, who: str | int, name: str, grace: int) -> None:
        caller, grace = self.caller(who), self.seconds(grace)
        self.ask(
            process,
            "POST",
            f"/tokens/{name}/rotate",
            caller,
            lambda model, told: model.rotate(caller, name, grace, told),
            {"grace_seconds": grace},
        )

    @rule(process=PROCESSES, who=CALLERS, grace=GRACES)
    def rotate_me(self, process: int, who: str | int, grace: int) -> None:
        caller, grace = self.caller(who), self.seconds(grace)
        self.ask(
            process,
            "POST",
            "/me/rotate",
            caller,
            lambda model, told: model.rotate_me(caller, grace, told),
            {"grace_seconds": grace},
        )

    @rule(process=PROCESSES, who=CALLERS, name=NAMES)
    def revoke(self, process: int, who: str | int, name: str) -> None:
        caller = self.caller(who)
        self.ask(
            process, "POST", f"/tokens/{name}/revoke", caller, lambda model, _: model.revoke(caller, name)
        )

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
        self.ask(
            process,
            "POST",
            "/tokens/$batch",
            caller,
            lambda model, _: model.batch(caller, changes),
            {"items": body},
        )

    @rule(process=PROCESSES, who=CALLERS, name=NAMES)
    def show(self, process: int, who: str | int, name: str) -> None:
        caller = self.caller(who)
        self.ask(
            process, "GET", f"/tokens/{name}?view=full", caller, lambda model, _: model.show(caller, name)
        )

    @rule(process=PROCESSES, who=CALLERS)
    def list_tokens(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/tokens?view=full", caller, lambda model, _: model.list_tokens(caller))

    @rule(process=PROCESSES, who=CALLERS, name=NAMES, action=st.sampled_from(ACTIONS), bucket=BUCKETS)
    def check(self, process: int, who: str | int, name: str, action: str, bucket: str) -> None:
        caller = self.caller(who)
        asked = f"action={action}" if action == "full_access" else f"action={action}&bucket={bucket}"
        self.ask(
            process,
            "GET",
            f"/tokens/{name}/check?{asked}&client_ip={CLIENT}",
            caller,
            lambda model, _: model.check(caller, name, action, bucket),
        )

    @rule(process=PROCESSES, who=CALLERS)
    def me(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/me?view=full", caller, _me(caller))

    # -- buckets and records --------------------------------------------------------------------------------

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def create_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(
            process, "POST", f"/b/{bucket}", caller, lambda model, _: model.create_bucket(caller, bucket)
        )

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS, new=BUCKETS)
    def rename_bucket(self, process: int, who: str | int, bucket: str, new: str) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "PUT",
            f"/b/{bucket}/rename",
            caller,
            lambda model, _: model.rename_bucket(caller, bucket, new),
            {"new_name": new},
        )

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def remove_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(
            process, "DELETE", f"/b/{bucket}", caller, lambda model, _: model.remove_bucket(caller, bucket)
        )

    @rule(process=PROCESSES, who=CALLERS, bucket=BUCKETS)
    def change_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "PUT",
            f"/b/{bucket}",
            caller,
            lambda model, _: model.change_bucket(caller, bucket),
            {"max_block_records": 7},
        )

    @rule(process=PROCESSES, who=USERS)
    def show_buckets(self, process: int, who: str | int) -> None:
        self.look(process, self.caller(who))

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS)
    def probe_bucket(self, process: int, who: str | int, bucket: str) -> None:
        caller = self.caller(who)
        self.ask(process, "HEAD", f"/b/{bucket}", caller, lambda model, _: model.probe_bucket(caller, bucket))

    @rule(process=PROCESSES, who=USERS)
    def list_buckets(self, process: int, who: str | int) -> None:
        caller = self.caller(who)
        self.ask(process, "GET", "/list", caller, lambda model, _: model.list_buckets(caller))

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, ts=TIMES)
    def write(self, process: int, who: str | int, bucket: str, entry: str, ts: int) -> None:
        caller, content = self.caller(who), f"{self.steps}".encode()
        self.ask(
            process,
            "POST",
            f"/b/{bucket}/{entry}?ts={ts}",
            caller,
            lambda model, _: model.write(caller, bucket, entry, ts, content),
            content,
        )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, ts=st.none() | TIMES)
    def read(self, process: int, who: str | int, bucket: str, entry: str, ts: int | None) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "GET",
            f"/b/{bucket}/{entry}" + (f"?ts={ts}" if ts else ""),
            caller,
            lambda model, _: model.read(caller, bucket, entry, ts),
        )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, ts=TIMES)
    def remove_record(self, process: int, who: str | int, bucket: str, entry: str, ts: int) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "DELETE",
            f"/b/{bucket}/{entry}?ts={ts}",
            caller,
            lambda model, _: model.remove_record(caller, bucket, entry, ts),
        )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, start=TIMES)
    def remove_found(self, process: int, who: str | int, bucket: str, entry: str, start: int) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "POST",
            f"/b/{bucket}/{entry}/q",
            caller,
            lambda model, _: model.remove_found(caller, bucket, entry, start),
            {"query_type": "REMOVE", "start": start},
        )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES)
    def remove_entry(self, process: int, who: str | int, bucket: str, entry: str) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "DELETE",
            f"/b/{bucket}/{entry}",
            caller,
            lambda model, _: model.remove_entry(caller, bucket, entry),
        )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, new=ENTRIES)
    def rename_entry(self, process: int, who: str | int, bucket: str, entry: str, new: str) -> None:
        caller = self.caller(who)
        self.ask(
            process,
            "PUT",
            f"/b/{bucket}/{entry}/rename",
            caller,
            lambda model, _: model.rename_entry(caller, bucket, entry, new),
            {"new_name": new},
        )

    # -- queries and links ----------------------------------------------------------------------------------

    def stock(self, process: int, bucket: str, entry: str) -> None:
        """Have a record at 1: what follows would be refused without."""
        self.create_bucket(process, "administrator", bucket)
        self.write(process, "administrator", bucket, entry, 1)

    @rule(process=PROCESSES, who=USERS, reader=USERS, bucket=BUCKETS, entry=ENTRIES)
    def query_what_is_there(
        self, process: int, who: str | int, reader: str | int, bucket: str, entry: str
    ) -> None:
        self.stock(process, bucket, entry)
        self.query(process, who, reader, bucket, entry)

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, name=NAMES, wish=WISHES)
    def link_and_edit(
        self, process: int, who: str | int, bucket: str, entry: str, name: str, wish: Wish
    ) -> None:
        """A link that works, and then a change of a token that may be the one behind it."""
        self.stock(process, bucket, entry)
        self.make_link(process, who, bucket, entry, 1)
        self.follow_link(process, 0)
        self.edit(process, "administrator", name, wish)
        self.follow_link(1 - process, 0)

    @rule(process=PROCESSES, who=USERS, reader=USERS, bucket=BUCKETS, entry=ENTRIES)
    def query(self, process: int, who: str | int, reader: str | int, bucket: str, entry: str) -> None:
        """A query, and somebody who reads it: it is for the token that began it."""
        owner, caller = self.caller(who), self.caller(reader)
        begun = self.ask(
            process,
            "POST",
            f"/b/{bucket}/{entry}/q",
            owner,
            lambda model, _: model.query(owner, bucket, entry),
            {"query_type": "QUERY"},
        )
        if begun.status == 200:
            query_id = begun.content["id"]
            self.ask(
                process,
                "GET",
                f"/b/{bucket}/{entry}/batch?q={query_id}",
                caller,
                lambda model, _: model.read_query(caller, owner, bucket, entry, query_id),
            )

    @rule(process=PROCESSES, who=USERS, bucket=BUCKETS, entry=ENTRIES, ts=TIMES)
    def make_link(self, process: int, who: str | int, bucket: str, entry: str, ts: int) -> None:
        caller = self.caller(who)
        made = self.ask(
            process,
            "POST",
            f"/links/{entry}",
            caller,
            lambda model, _: model.make_link(caller, bucket, entry, ts),
            {
                "bucket": bucket,
                "entry": entry,
                "record_entry": entry,
                "record_timestamp": ts,
                "query": {"query_type": "QUERY"},
                "expire_at": 4_102_444_800,
            },
        )
        if made.status == 200:
            self.links.append(made.content["link"].partition("/api/v1")[2])

    @rule(process=PROCESSES, number=st.integers(0, 9))
    def follow_link(self, process: int, number: int) -> None:
        """Somebody without a token follows one of the last links, through either process."""
        if self.links:
            at = -1 - number % len(self.links)
            link = self.model.links[at]
            self.ask(process, "GET", self.links[at], None, lambda model, _: model.follow_link(link))

    # -- time -----------------------------------------------------------------------------------------------

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        """Time passes, where the test has a say in it."""
        if self.clock is not None:
            self.clock.seconds += seconds
            self.model.now += seconds


def _me(caller: str | None) -> Work:
    return lambda model, _: model.me(caller)


def _show_bucket(caller: str | None, bucket: str) -> Work:
    return lambda model, _: model.show_bucket(caller, bucket)


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
