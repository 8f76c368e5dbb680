"""What buckets and entries are said to hold, after every kind of change, against sums made by hand.

A record of `l` bytes at whole seconds below 128 takes l + 2 (frame) + 2 (seconds) + 2 for each of begin and end
of its content in the block that are not 0 (and below 128) + 26 (`application/octet-stream`) + its labels; a label
takes 4 + the bytes of name and value + 2 (see `engine/test_sizes.py` for the formula in all its parts).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from storage_demo.engine.contents import ContentDraft
from tests.reductauth.web.conftest import Caller
from tests.storage_demo.multi_entry_calls import IO, bucket_page, put

S = 1_000_000
FIELDS = ("size", "record_count", "block_count", "oldest_record", "latest_record")


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


async def entry_counts(caller: Caller, entry: str) -> tuple[int, ...]:
    """Size, records, blocks, oldest and latest of an entry; checked against what is said of its bucket."""
    info, entries = await bucket_page(caller)
    assert info["entry_count"] == len(entries)
    assert info["size"] == sum(found["size"] for found in entries.values())
    times = [found for found in entries.values() if found["record_count"]]
    assert info["oldest_record"] == min((found["oldest_record"] for found in times), default=0)
    assert info["latest_record"] == max((found["latest_record"] for found in times), default=0)
    usage = await (await caller("GET", "/api/v1/info")).json()
    assert (usage["usage"], usage["latest_record"]) == (info["size"], info["latest_record"])
    found: dict[str, Any] = entries[entry]
    return tuple(found[field] for field in FIELDS)


async def test_labels_change(home: Caller) -> None:
    """A size follows every change of labels, by each of the three ways, to the byte."""
    await put(home, "e", S, b"12345678")  # 8+2, 2, end 2, 26
    await put(home, "e", 2 * S, b"12345678901")  # 11+2, 2, begin 2, end 2, 26
    assert await entry_counts(home, "e") == (40 + 45, 2, 1, S, 2 * S)
    path = "/api/v1/b/home/e"
    await home("PATCH", f"{path}?ts={S}", None, {"x-reduct-label-k": "v"})
    assert await entry_counts(home, "e") == (40 + 8 + 45, 2, 1, S, 2 * S)
    await home("PATCH", f"{path}/batch", None, {f"x-reduct-time-{S}": "0,,k=abc,l=d"})
    assert await entry_counts(home, "e") == (40 + 10 + 8 + 45, 2, 1, S, 2 * S)
    several = {"x-reduct-entries": "e", "x-reduct-start-ts": str(S), "x-reduct-0-0": "0,,k="}
    await home("PATCH", f"{IO}/update", None, {**several, f"x-reduct-0-{S}": "0,,l=long"})
    # k is dropped from both, l is set on the second
    assert await entry_counts(home, "e") == (40 + 8 + 45 + 11, 2, 1, S, 2 * S)
    long = "x" * 200  # 2+1+1+2+200 = 206, in two bytes, after a tag
    await home("PATCH", f"{path}?ts={S}", None, {"x-reduct-label-l": long})
    assert await entry_counts(home, "e") == (40 + 1 + 2 + 206 + 45 + 11, 2, 1, S, 2 * S)
    await home("PATCH", f"{path}?ts={S}", None, {"x-reduct-label-l": "", "x-reduct-label-never": ""})
    await home("PATCH", f"{path}?ts={2 * S}", None, {"x-reduct-label-l": ""})
    assert await entry_counts(home, "e") == (40 + 45, 2, 1, S, 2 * S)
    failed = await home("PATCH", f"{path}?ts={3 * S}", None, {"x-reduct-label-l": "x"})
    assert failed.status == 404
    assert await entry_counts(home, "e") == (40 + 45, 2, 1, S, 2 * S)


@pytest.mark.parametrize("way", ["single", "batch", "several", "query", "body"])
async def test_removal(home: Caller, way: str) -> None:
    """What is removed is subtracted, what stays is not measured again; an emptied entry has zeros and stays."""
    path = "/api/v1/b/home/e"

    async def remove(timestamp_us: int) -> None:
        span = f"start={timestamp_us}&stop={timestamp_us + 1}"
        several = {"x-reduct-entries": "e", "x-reduct-start-ts": str(timestamp_us), "x-reduct-0-0": ""}
        body = f'{{"query_type": "REMOVE", "start": {timestamp_us}, "stop": {timestamp_us + 1}}}'
        response = await {
            "single": lambda: home("DELETE", f"{path}?ts={timestamp_us}"),
            "batch": lambda: home("DELETE", f"{path}/batch", None, {f"x-reduct-time-{timestamp_us}": ""}),
            "several": lambda: home("DELETE", f"{IO}/remove", None, several),
            "query": lambda: home("DELETE", f"{path}/q?{span}"),
            "body": lambda: home("POST", f"{IO}/q", body),
        }[way]()
        assert response.status == 200

    await put(home, "e", S, b"12345678")
    await put(home, "e", 2 * S, b"12345678901", {"k": "v"})
    await put(home, "f", 3 * S, b"")
    assert await entry_counts(home, "e") == (40 + 45 + 8, 2, 1, S, 2 * S)
    await remove(S)
    assert await entry_counts(home, "e") == (45 + 8, 1, 1, 2 * S, 2 * S)
    await remove(2 * S)
    assert await entry_counts(home, "e") == (0, 0, 0, 0, 0)
    assert await entry_counts(home, "f") == (30, 1, 1, 3 * S, 3 * S)
    latest = await home("GET", path)
    assert latest.status == 404
    await put(home, "e", 4 * S, b"12345678")
    assert await entry_counts(home, "e") == (40, 1, 1, 4 * S, 4 * S)


async def test_blocks_by_count(home: Caller) -> None:
    """`max_block_records` in a block, then the next, whose first record begins at 0 again."""
    await home("PUT", "/api/v1/b/home", '{"max_block_records": 2}')
    for second in range(1, 6):
        await put(home, "e", second * S, b"x")
    # 1+2+2+2+26 = 33 for the first of a block, 2 more for the second
    assert await entry_counts(home, "e") == (33 + 35 + 33 + 35 + 33, 5, 3, S, 5 * S)
    await home("DELETE", f"/api/v1/b/home/e/q?start={3 * S}&stop={5 * S}")
    assert await entry_counts(home, "e") == (33 + 35 + 33, 3, 2, S, 5 * S)


async def test_blocks_by_bytes(home: Caller) -> None:
    """`max_block_size` of content may be reached, not exceeded; what is larger has a block of its own."""
    await home("PUT", "/api/v1/b/home", '{"max_block_size": 10}')
    for second, length_bytes in ((1, 6), (2, 4), (3, 1), (4, 11), (5, 0)):
        await put(home, "e", second * S, bytes(length_bytes))
    expected = (
        (6 + 2 + 2 + 2 + 26)
        + (4 + 2 + 2 + 2 + 2 + 26)  # behind 6 bytes
        + (1 + 2 + 2 + 2 + 26)
        + (11 + 2 + 2 + 2 + 26)
        + (0 + 2 + 2 + 0 + 26)  # 11 + 0 is still too much
    )
    assert await entry_counts(home, "e") == (expected, 5, 4, S, 5 * S)


async def test_a_record_older_than_all(home: Caller) -> None:
    """It begins a block; later ones go to the block that begins at or before them."""
    await put(home, "e", 5 * S, b"x")
    await put(home, "e", 3 * S, b"x")
    assert await entry_counts(home, "e") == (33 + 33, 2, 2, 3 * S, 5 * S)
    await put(home, "e", 4 * S, b"x")
    await put(home, "e", 6 * S, b"x")
    assert await entry_counts(home, "e") == (33 + 33 + 35 + 35, 4, 2, 3 * S, 6 * S)


@pytest.mark.parametrize("protocol", ["one", "several"])
@pytest.mark.parametrize("first_bytes", [1, 100_000])
async def test_a_batch_is_stored_in_its_order(
    home: Caller, monkeypatch: pytest.MonkeyPatch, protocol: str, first_bytes: int
) -> None:
    """As if its records had been written one after the other: one block, each begins where the one before ended.

    A large first record, which takes longer to become durable, changes nothing of it.
    """
    publish = ContentDraft.publish

    def publish_slowly(draft: ContentDraft) -> None:
        time.sleep(0.2)
        publish(draft)

    monkeypatch.setattr(ContentDraft, "publish", publish_slowly)
    lengths = [first_bytes, *[1] * 20]
    if protocol == "one":
        path = "/api/v1/b/home/e/batch"
        headers = {f"x-reduct-time-{(at + 1) * S}": f"{length}," for at, length in enumerate(lengths)}
    else:
        path = f"{IO}/write"
        headers = {
            "x-reduct-entries": "e",
            "x-reduct-start-ts": str(S),
            **{f"x-reduct-0-{at * S}": f"{length}," for at, length in enumerate(lengths)},
        }
    assert (await home("POST", path, bytes(sum(lengths)), headers)).status == 200
    number_bytes = 2 if first_bytes == 1 else 4  # tag and base 128: 100,000 takes three bytes
    first = first_bytes + 2 + 2 + number_bytes + 26
    others = 20 * (1 + 2 + 2 + 2 * number_bytes + 26)
    assert await entry_counts(home, "e") == (first + others, 21, 1, S, 21 * S)


async def test_many_batches_at_once(home: Caller) -> None:
    """More of them, with more large records, than there are threads: none waits for ever, each keeps its order."""
    names = [f"x-reduct-time-{second * S}" for second in range(1, 11)]
    headers = dict.fromkeys(names, "70000,")
    body = bytes(700_000)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(home("POST", f"/api/v1/b/home/e{number}/batch", body, headers) for number in range(20))
        )
    assert {answer.status for answer in answers} == {200}
    # 70000 takes three bytes in base 128, as do all the other begins and ends
    expected = 70_000 + 2 + 2 + 4 + 26 + 9 * (70_000 + 2 + 2 + 4 + 4 + 26)
    for number in range(20):
        assert await entry_counts(home, f"e{number}") == (expected, 10, 1, S, 10 * S)


async def test_entries_move_and_go(home: Caller) -> None:
    """Renaming moves all counters, new parents have zeros; removal subtracts the whole tree."""
    await put(home, "a", S, b"12345678")
    await put(home, "a/b/c", 2 * S, b"12345678901")
    await put(home, "ab", 3 * S, b"")
    assert await entry_counts(home, "a/b") == (0, 0, 0, 0, 0)
    response = await home("PUT", "/api/v1/b/home/a/rename", '{"new_name": "x/y"}')
    assert response.status == 200
    _, entries = await bucket_page(home)
    assert list(entries) == ["ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    assert await entry_counts(home, "x") == (0, 0, 0, 0, 0)
    assert await entry_counts(home, "x/y") == (40, 1, 1, S, S)
    assert await entry_counts(home, "x/y/b/c") == (43, 1, 1, 2 * S, 2 * S)
    assert await entry_counts(home, "ab") == (30, 1, 1, 3 * S, 3 * S)
    assert (await home("DELETE", "/api/v1/b/home/x/y/b")).status == 200
    assert await entry_counts(home, "x/y") == (40, 1, 1, S, S)
    assert (await home("DELETE", "/api/v1/b/home/x")).status == 200
    info, entries = await bucket_page(home)
    assert (info["size"], info["oldest_record"], list(entries)) == (30, 3 * S, ["ab"])


async def test_attachments_count_for_the_bucket(home: Caller) -> None:
    """For its size only, with the labels that hide one, and no longer when another takes its place."""
    await put(home, "e", S, b"12345678")

    async def sizes() -> tuple[int, int, int]:
        info, entries = await bucket_page(home)
        return info["size"], info["entry_count"], entries["e"]["size"]

    headers = {"x-reduct-label-key": "k", "content-type": "application/json"}
    await home("POST", f"/api/v1/b/home/e/$meta?ts={2 * S}", "{}", headers)
    # 2+2, seconds 2, end 2, type 1+1+16, label key=k: 2 + 4+3+1
    assert await sizes() == (40 + 36, 1, 40)
    await home("PATCH", f"/api/v1/b/home/e/$meta?ts={2 * S}", None, {"x-reduct-label-remove": "true"})
    # remove=true: 2 + 4+6+4
    assert await sizes() == (40 + 36 + 16, 1, 40)
    await home("POST", f"/api/v1/b/home/e/$meta?ts={3 * S}", "{}", headers)
    assert await sizes() == (40 + 36, 1, 40)
    await home("DELETE", "/api/v1/b/home/e")
    info, _ = await bucket_page(home)
    assert (info["size"], info["entry_count"]) == (0, 0)


async def test_several_tenths_of_a_second(home: Caller) -> None:
    """With a fraction of a second, and a time as clients have it."""
    # s=1_700_000_000: 1+5, n=123_456_000: 1+4, end=5: 2
    await put(home, "e", 1_700_000_000_123_456, b"12345")
    assert await entry_counts(home, "e") == (
        5 + 2 + 6 + 5 + 2 + 26,
        1,
        1,
        1_700_000_000_123_456,
        1_700_000_000_123_456,
    )
