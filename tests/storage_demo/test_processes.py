"""Several server processes on one folder: what one takes away, the others refuse at once."""

from __future__ import annotations

from pathlib import Path

from aiohttp import ClientSession

from tests.forked import forked
from tests.servers import ROOT_VALUE

ROUNDS = 250
"""Unless `--rounds` says otherwise."""
ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}


async def test_a_token_removed_through_one_process_is_refused_by_the_other(
    tmp_path: Path, rounds: int | None
) -> None:
    """Hundreds of times in a row, with a cache that was warm: the very next request is refused."""
    accepted_after_removal = 0
    with forked(tmp_path) as first, forked(tmp_path) as second:
        async with ClientSession(first.url, headers=ROOT) as here, ClientSession(second.url) as there:
            for number in range(rounds or ROUNDS):
                token = f"/api/v1/tokens/t{number}"
                async with here.post(token, data=b"{}") as made:
                    value = (await made.json())["value"]
                headers = {"Authorization": f"Bearer {value}"}
                for _ in range(2):  # the first makes the cache warm, the second shows that it is used again
                    async with there.get("/api/v1/me", headers=headers) as seen:
                        assert seen.status == 200
                async with here.delete(token) as removed:
                    assert removed.status == 200
                async with there.get("/api/v1/me", headers=headers) as seen:
                    accepted_after_removal += seen.status != 401
    assert accepted_after_removal == 0


async def test_a_value_rotated_through_one_process_is_refused_by_the_other(tmp_path: Path) -> None:
    """The old value is refused, and the new one is known, on the next request."""
    with forked(tmp_path) as first, forked(tmp_path) as second:
        async with ClientSession(first.url, headers=ROOT) as here, ClientSession(second.url) as there:
            async with here.post("/api/v1/tokens/t", data=b"{}") as made:
                value = (await made.json())["value"]
            for _ in range(50):
                async with there.get("/api/v1/me", headers={"Authorization": f"Bearer {value}"}) as seen:
                    assert seen.status == 200
                async with here.post("/api/v1/tokens/t/rotate") as rotated:
                    new = (await rotated.json())["value"]
                async with there.get("/api/v1/me", headers={"Authorization": f"Bearer {value}"}) as seen:
                    assert seen.status == 401
                value = new


async def test_buckets_and_records_are_shared(tmp_path: Path) -> None:
    """What is written through one process is read through the other; a renamed bucket takes its grants along."""
    with forked(tmp_path) as first, forked(tmp_path) as second:
        async with ClientSession(first.url, headers=ROOT) as here, ClientSession(second.url) as there:
            async with here.post("/api/v1/b/shared"), here.post("/api/v1/b/shared/e?ts=1", data=b"one"):
                pass
            async with here.post("/api/v1/tokens/t", data=b'{"read": ["shared"]}') as made:
                headers = {"Authorization": f"Bearer {(await made.json())['value']}"}
            async with there.get("/api/v1/b/shared/e", headers=headers) as seen:
                assert (seen.status, await seen.read()) == (200, b"one")
            async with here.put("/api/v1/b/shared/rename", data=b'{"new_name": "renamed"}') as renamed:
                assert renamed.status == 200
            async with there.get("/api/v1/b/renamed/e", headers=headers) as seen:
                assert (seen.status, await seen.read()) == (200, b"one")
            async with there.get("/api/v1/b/shared/e", headers=headers) as seen:
                assert seen.status == 403
