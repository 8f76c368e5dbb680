"""Conditions of queries, as they show over HTTP: refused when the query begins, judged while it is read."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, ask, begin, found, put, record_headers, refused

SECOND_US = 1_000_000


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and records at 1 ... 10 s in `log`: label `n` is their number, the even ones have `even`."""
    await root("POST", "/api/v1/b/home")
    for number in range(1, 11):
        even = {"even": "yes"} if number % 2 == 0 else {}
        await put(root, number * SECOND_US, "x", n=str(number), **even)
    return root


async def numbers(caller: Caller, when: Any, **fields: Any) -> list[int]:
    """Query `log` with a condition and return the numbers of what is found."""
    return [time_us // SECOND_US for time_us in await found(caller, when=when, **fields)]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"&n": {"gt": 1}}, "Operator 'gt' must start with '$'"),
        ({"n": 1}, "Operator 'n' must start with '$'"),
        ({"$unknown": 1}, "Operator '$unknown' not supported"),
        ({"&n": {"$unknown": 1}}, "Operator '$unknown' not supported"),
        ({"&n": {"$gt": 1, "$lt": 5}}, "Object notation must have exactly one operator"),
        ({"&n": {}}, "Object notation must have exactly one operator"),
        ({"&n": {"$eq": [1, "x"]}}, 'Array type is not supported: [1,"x"]'),
        ({"$and": [True, [1, {"a": 2}]]}, 'Array type is not supported: [1,{"a":2}]'),
        ({"&n": {"$eq": None}}, "Null type is not supported: null"),
        ({"$and": [None]}, "Null type is not supported: null"),
        ({"#other": 1}, "Directive '#other' is not supported"),
        ({"$gt": [1]}, "$gt requires exactly two operands"),
        ({"$eq": ["&n", 1, 2]}, "$eq requires exactly two operands"),
        ({"$cast": ["&n"]}, "$cast requires exactly two operands"),
        ({"$limit": [1, 2]}, "$limit requires exactly one operand"),
        ({"$each_n": []}, "$each_n requires exactly one operand"),
        ({"$in": ["&n"]}, "$in operator requires at least two operands"),
        ({"&n": {"$eq": "$x"}}, "Unknown '$' literal '$x'; use '$$' to escape a string value"),
    ],
)
async def test_conditions_that_are_refused(home: Caller, when: Any, message: str) -> None:
    """422 when the query begins, and nothing is removed."""
    assert refused(await ask(home, when=when)) == (422, message)
    assert refused(await ask(home, query_type="REMOVE", when=when)) == (422, message)
    assert len(await numbers(home, {})) == 10


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"&n": {"$gt": 8}}, [9, 10]),
        ({"&n": {"$lt": "3"}}, []),
        ({"&n": {"$ne": "3"}}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"&even": {"$eq": "yes"}}, [2, 4, 6, 8, 10]),
        ({"&even": {"$ne": "yes"}}, []),
        ({"$not": [{"&even": {"$eq": "yes"}}]}, []),
        ({"$has": "even"}, [2, 4, 6, 8, 10]),
        ({"$exists": ["n", "even"]}, [2, 4, 6, 8, 10]),
        ({"$not": [{"$has": "even"}]}, [1, 3, 5, 7, 9]),
        ({"$in": ["&n", 2, 3, 11]}, [2, 3]),
        ({"&n": {"$gte": 4}, "&even": {"$eq": "yes"}}, [4, 6, 8, 10]),
        ({"$and": [{"&n": {"$gt": 3}}, {"&n": {"$lte": 5}}]}, [4, 5]),
        ({"$or": [{"&n": {"$lt": 2}}, {"&n": {"$gte": 10}}]}, [1, 10]),
        ({"$xor": [{"&n": {"$lt": 3}}, {"$has": "even"}]}, [1, 4, 6, 8, 10]),
        ({"$timestamp": {"$gte": "9s"}}, [9, 10]),
        ({"$id": {"$lt": 2_000_001}}, [1, 2]),
        ({"$eq": [{"$cast": ["&n", "string"]}, "7"]}, [7]),
        ({"$in": [{"&n": {"$cast": "string"}}, "7", "8"]}, [7, 8]),
        ({"@computed": {"$eq": 1}}, []),
    ],
)
async def test_what_is_found(home: Caller, when: Any, expected: list[int]) -> None:
    """Labels are typed from their text, texts of the condition are not; what can't be judged does not match."""
    assert await numbers(home, when) == expected


async def test_times_narrow_before_the_condition(home: Caller) -> None:
    """What is outside of `[start, stop)` is not evaluated at all: it does not count."""
    assert await numbers(home, {"$each_n": 2}, start=3 * SECOND_US) == [4, 6, 8, 10]
    assert await numbers(home, {"$limit": 2}, start=3 * SECOND_US, stop=9 * SECOND_US) == [3, 4]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"$limit": 3}, [1, 2, 3]),
        ({"$limit": 0}, []),
        ({"$each_n": 4}, [4, 8]),
        ({"$each_n": 1}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"$each_n": 0}, []),
        ({"$each_t": 3}, [4, 7, 10]),
        ({"$each_t": "3s"}, [4, 7, 10]),
        ({"$each_t": "2s 500ms"}, [4, 7, 10]),
        ({"$each_t": 0}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        # In the order of the document: behind a condition only what matched it is counted.
        ({"$has": "even", "$limit": 2}, [2, 4]),
        ({"$limit": 2, "$has": "even"}, [2]),
        ({"$has": "even", "$each_n": 2}, [4, 8]),
        ({"$each_n": 2, "&n": {"$gt": 4}}, [6, 8, 10]),
        ({"$each_n": 2, "$limit": 2}, [2, 4]),
        ({"$or": [{"$each_n": 5}, {"$limit": 2}]}, [1, 2]),
    ],
)
async def test_what_counts(home: Caller, when: Any, expected: list[int]) -> None:
    """Over all reads of a query together, record by record and in batches, with GET and HEAD."""
    assert await numbers(home, when) == expected
    query_id = await begin(home, when=when)
    times = []
    for read in range(20):
        method = ("GET", "HEAD")[read % 2]
        response = await home(method, f"{ENTRY}?q={query_id}")
        if response.status == 204:
            break
        times.append(int(response.headers["x-reduct-time"]) // SECOND_US)
    assert times == expected
    batch = await home("GET", f"{ENTRY}/batch?q={await begin(home, when=when)}")
    assert [int(name.rpartition("-")[2]) // SECOND_US for name, _ in record_headers(batch)] == expected
    # All that there is was looked at, or nothing more may be: the end was met.
    assert batch.headers.get("x-reduct-last", "true") == "true"


async def test_a_limit_ends_even_a_continuous_query(home: Caller) -> None:
    """Nothing more comes, whatever is written."""
    query_id = await begin(home, when={"$limit": 2}, continuous=True)
    statuses = [(await home("GET", f"{ENTRY}?q={query_id}")).status for _ in range(3)]
    assert statuses == [200, 200, 204]
    await put(home, 99 * SECOND_US, n="99")
    assert (await home("GET", f"{ENTRY}?q={query_id}")).status == 204


async def test_counts_across_batches(home: Caller) -> None:
    """What an operator has counted outlives a batch."""
    for number in range(11, 401):
        await put(home, number * SECOND_US, n=str(number))
    query_id = await begin(home, when={"$each_n": 3})
    batches = []
    while (response := await home("GET", f"{ENTRY}/batch?q={query_id}")).status == 200:
        batches.append([int(name.rpartition("-")[2]) // SECOND_US for name, _ in record_headers(response)])
    assert [len(batch) for batch in batches] == [85, 48]
    assert list(itertools.chain(*batches)) == list(range(3, 400, 3))


async def test_a_continuous_query_goes_on_counting(home: Caller) -> None:
    """Its condition is not begun anew with what comes later."""
    query_id = await begin(home, when={"$each_n": 4}, continuous=True)
    statuses = [(await home("GET", f"{ENTRY}?q={query_id}")).status for _ in range(3)]
    assert statuses == [200, 200, 204]  # 4 and 8; 9 and 10 are counted
    for number in (11, 12, 13):
        await put(home, number * SECOND_US, n=str(number))
    response = await home("GET", f"{ENTRY}?q={query_id}")
    assert response.headers["x-reduct-time"] == str(12 * SECOND_US)


MISSING = (404, "Reference 'even' not found")


async def test_strict_fails_the_read(home: Caller) -> None:
    """A label that is missing is 404 with its name, again with every read; what came before is delivered."""
    when = {"&even": {"$eq": "yes"}}
    query_id = await begin(home, when=when, strict=True)
    for method in ("GET", "HEAD", "GET"):
        for path in (f"{ENTRY}?q={query_id}", f"{ENTRY}/batch?q={query_id}"):
            assert refused(await home(method, path)) == MISSING
    later = await begin(home, when=when, strict=True, start=2 * SECOND_US)
    assert (await home("GET", f"{ENTRY}?q={later}")).headers["x-reduct-time"] == str(2 * SECOND_US)
    assert refused(await home("GET", f"{ENTRY}?q={later}")) == MISSING
    batched = await begin(home, when=when, strict=True, start=2 * SECOND_US)
    response = await home("GET", f"{ENTRY}/batch?q={batched}")
    assert [name for name, _ in record_headers(response)] == ["x-reduct-time-2000000"]
    assert response.headers["x-reduct-last"] == "false"
    assert refused(await home("GET", f"{ENTRY}/batch?q={batched}")) == MISSING


@pytest.mark.parametrize(
    "when",
    [
        {"$eq": [{"$cast": ["&n", "duration"]}, {"$cast": ["x", "int"]}]},
        {"$eq": [{"$cast": ["&n", "other"]}, 1]},
        {"$each_n": 0},
        {"$limit": "x"},
    ],
)
async def test_strict_fails_at_what_cannot_be_evaluated(home: Caller, when: Any) -> None:
    """A bad cast or count is a refusal with strict, and no match without."""
    query_id = await begin(home, when=when, strict=True)
    assert (await home("GET", f"{ENTRY}?q={query_id}")).status == 422
    assert await numbers(home, when) == []


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        # What decides first keeps the rest from being evaluated: no error, with strict either.
        ({"$has": "even", "&even": {"$eq": "yes"}}, [2, 4, 6, 8, 10]),
        ({"$or": [{"$not": [{"$has": "even"}]}, {"&even": {"$eq": "no"}}]}, [1, 3, 5, 7, 9]),
        ({"$none_of": [{"$has": "n"}, {"&even": {"$eq": "yes"}}]}, []),
    ],
)
async def test_short_circuit(home: Caller, when: Any, expected: list[int]) -> None:
    """`$and`, `$or`, `$not` and the condition itself stop where they are decided."""
    assert await numbers(home, when, strict=True) == expected


async def test_an_error_voids_the_whole_condition(home: Caller) -> None:
    """An alternative behind the error does not save the record."""
    assert await numbers(home, {"$or": [{"&even": {"$eq": "yes"}}, True]}) == [2, 4, 6, 8, 10]
    assert await numbers(home, {"$xor": [True, {"&even": {"$eq": "no"}}]}) == [2, 4, 6, 8, 10]


async def test_strict_fails_the_removal(home: Caller) -> None:
    """With the words of the read."""
    response = await ask(home, query_type="REMOVE", when={"&even": {"$eq": "yes"}}, strict=True)
    assert refused(response) == MISSING


async def test_labels_are_judged_as_they_are_when_read(home: Caller) -> None:
    """A query sees labels that were changed since it began, and skips records that were removed."""
    query_id = await begin(home, when={"&even": {"$eq": "yes"}})
    assert (await home("GET", f"{ENTRY}?q={query_id}")).headers["x-reduct-time"] == str(2 * SECOND_US)
    await home("PATCH", f"{ENTRY}?ts={3 * SECOND_US}", None, {"x-reduct-label-even": "yes"})
    await home("PATCH", f"{ENTRY}?ts={4 * SECOND_US}", None, {"x-reduct-label-even": ""})
    await home("DELETE", f"{ENTRY}?ts={6 * SECOND_US}")
    times = []
    while (response := await home("GET", f"{ENTRY}?q={query_id}")).status == 200:
        times.append(int(response.headers["x-reduct-time"]) // SECOND_US)
    assert times == [3, 8, 10]


@pytest.mark.parametrize("depth", [130, 20_000])
async def test_conditions_that_are_too_deep(home: Caller, depth: int) -> None:
    """Refused like any other fault."""
    body = '{"query_type": "QUERY", "when": ' + '{"$and": [' * depth + "]}" * depth + "}"
    assert (await home("POST", f"{ENTRY}/q", body)).status == 422


async def test_the_order_of_the_document_is_kept(home: Caller) -> None:
    """Also where names sort otherwise."""
    for when, expected in (
        ('{"$limit": 2, "$each_n": 2}', [2]),
        ('{"$each_n": 2, "$limit": 2}', [2, 4]),
    ):
        assert await numbers(home, json.loads(when)) == expected


async def test_a_large_condition_holds_nobody_up(home: Caller) -> None:
    """While some read queries whose condition takes long for every record, others are served."""
    for first in range(100, 700, 100):
        headers = {f"x-reduct-time-{ts * SECOND_US}": f"0,,n={ts}" for ts in range(first, first + 100)}
        assert (await home("POST", f"{ENTRY}/batch", None, headers)).status == 200
    when = {"$or": [{"&n": {"$eq": f"x{number}"}} for number in range(2_400)]}
    queries = [await begin(home, when=when) for _ in range(4)]
    reads = [asyncio.create_task(home("GET", f"{ENTRY}/batch?q={query_id}")) for query_id in queries]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(4):
        assert (await home("GET", f"{ENTRY}?ts={SECOND_US}")).status == 200
    assert not all(read.done() for read in reads)
    # What takes longer than 5 seconds is answered without records; the next read goes on.
    assert {response.status for response in await asyncio.gather(*reads)} <= {200, 204}
