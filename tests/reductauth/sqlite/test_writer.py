"""The thread that makes changes: what waits together, what fails, what is killed half-way."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import reductauth.sqlite.files
import reductauth.sqlite.store
from reductauth.actor import Identity
from reductauth.authenticator import Authenticator
from reductauth.errors import InvalidTokenError, StoreUnavailableError, TokenExistsError
from reductauth.key import RegistryKey
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.files import FolderLock, RegistryFolder
from reductauth.store import Transaction, UsageDelta
from tests.reductauth.store_contract import NOW_US, Gate, add, digest_of, make_token, put

REPOSITORY = Path(__file__).parents[3]
TIMEOUT_SECONDS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a path where no registry has been yet."""
    return tmp_path / "auth"


@pytest_asyncio.fixture
async def store(folder: Path) -> AsyncIterator[SqliteStore]:
    """Give an empty store."""
    opened = SqliteStore.open(folder)
    yield opened
    await opened.close()


async def names(store: SqliteStore) -> list[str]:
    """List the tokens."""
    return [token.name for token in await store.read(lambda snapshot: snapshot.tokens())]


async def submitted(*changes: Any) -> list[asyncio.Future[Any]]:
    """Submit changes without waiting for them."""
    futures = [asyncio.ensure_future(change) for change in changes]
    await asyncio.sleep(0)
    return futures


def statements_of(store: SqliteStore) -> list[str]:
    """Collect the statements that the writer executes from now on."""
    statements: list[str] = []
    store._writer._connection.set_trace_callback(statements.append)
    return statements


class FailingCommits:
    """The writer's connection, except that COMMIT fails as SQLite says it did."""

    def __init__(self, store: SqliteStore, error_code: int) -> None:
        self._connection = store._writer._connection
        self._store = store
        self._error = sqlite3.OperationalError("a commit that fails")
        self._error.sqlite_errorcode = error_code
        store._writer._connection = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Execute anything else."""
        if statement == "COMMIT":
            raise self._error
        return self._connection.execute(statement, *parameters)

    def repair(self) -> None:
        """Let commits through again."""
        self._store._writer._connection = self._connection


@asynccontextmanager
async def child(code: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run code in a process of its own, which is dead at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: asyncio.subprocess.Process) -> str:
    """Wait for a line of a child."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), TIMEOUT_SECONDS)).decode().strip()


# -- batches ------------------------------------------------------------------------------------------------


async def test_changes_that_wait_together_share_one_commit(store: SqliteStore) -> None:
    """A hundred changes that wait are one commit, and caches notice once."""
    await add(store, make_token("a"))
    gate = Gate(store)
    await gate.reached()
    statements = statements_of(store)
    changes = [
        store.change(methodcaller("replace", make_token("a", description=str(number))))
        for number in range(100)
    ]
    waiting = await submitted(*changes)
    before = store.generation()
    await gate.open()
    await asyncio.gather(*waiting)
    assert statements.count("COMMIT") == 1 + 1  # the gate's own, and theirs
    assert store.generation() == before + 2


async def test_a_batch_is_bounded(store: SqliteStore) -> None:
    """However many changes wait, those in front do not wait for all of them; all are made, in their order."""
    gate = Gate(store)
    await gate.reached()
    statements = statements_of(store)
    made: list[int] = []

    def making(number: int) -> Callable[[Transaction], None]:
        return lambda _: made.append(number)

    waiting = await submitted(*(store.change(making(number)) for number in range(500)))
    await gate.open()
    await asyncio.gather(*waiting)
    assert made == list(range(500))
    assert 1 + 3 <= statements.count("COMMIT") <= 1 + 10


async def test_refused_changes_alone_commit_nothing(store: SqliteStore) -> None:
    """A change that raises writes nothing to the disk and moves no generation."""

    def refuse(transaction: Transaction) -> None:
        transaction.remove("nobody")
        raise ValueError

    before = store.generation()
    statements = statements_of(store)
    with pytest.raises(ValueError, match=r"^$"):
        await store.change(refuse)
    assert "COMMIT" not in statements
    assert store.generation() == before


async def test_a_cancelled_caller_does_not_undo_its_change(store: SqliteStore) -> None:
    """A caller that goes away while its change waits leaves the thread, the change and the others alone."""
    gate = Gate(store)
    await gate.reached()
    first, cancelled, last = await submitted(*(add(store, make_token(name)) for name in ("a", "b", "c")))
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await gate.open()
        await asyncio.gather(first, last)
        await add(store, make_token("d"))
    assert await names(store) == ["a", "b", "c", "d"]
    assert store.is_writable()


class UnknownError(Exception):
    """An exception that nobody expects."""


EXCEPTIONS: list[tuple[str, Callable[[Transaction], Any], type[Exception]]] = [
    ("of the domain", lambda _: raise_(InvalidTokenError()), InvalidTokenError),
    ("unexpected", lambda _: raise_(UnknownError()), UnknownError),
    ("a mistake", lambda t: t.nothing, AttributeError),  # type: ignore[attr-defined]
    ("endless recursion", lambda _: recurse(), RecursionError),
    ("name taken", lambda t: put(t, make_token("before", token_id="x")), TokenExistsError),
    ("id taken", lambda t: put(t, make_token("x", token_id="id-of-before")), sqlite3.IntegrityError),
    ("value without a token", lambda t: t.add_secret("nobody", digest_of("v"), 1), sqlite3.IntegrityError),
    ("beyond 63 bits", lambda t: put(t, make_token("x", ttl_seconds=2**63)), OverflowError),
    ("a lone surrogate", lambda t: put(t, make_token("x", description="\ud800")), UnicodeEncodeError),
]


def raise_(error: Exception) -> None:
    """Raise it."""
    raise error


def recurse() -> int:
    """Never end."""
    return 1 + recurse()


@pytest.mark.parametrize(("work", "kind"), [pytest.param(w, k, id=name) for name, w, k in EXCEPTIONS])
async def test_an_exception_in_one_change_touches_no_other(
    store: SqliteStore, work: Callable[[Transaction], Any], kind: type[Exception]
) -> None:
    """Whatever one change raises, its caller gets it; those before and after it in the batch are kept."""

    def writing_first(transaction: Transaction) -> None:
        put(transaction, make_token("of the failed change"))
        work(transaction)

    gate = Gate(store)
    await gate.reached()
    waiting = await submitted(
        add(store, make_token("before")), store.change(writing_first), add(store, make_token("after"))
    )
    await gate.open()
    before, failed, after = await asyncio.gather(*waiting, return_exceptions=True)
    assert (before, type(failed), after) == (None, kind, None)
    assert await names(store) == ["after", "before"]


ENDS_OF_PROGRAMS: list[tuple[BaseException, type[BaseException]]] = [
    (asyncio.CancelledError(), asyncio.CancelledError),
    (SystemExit(3), SystemExit),
    (KeyboardInterrupt(), KeyboardInterrupt),
    (GeneratorExit(), GeneratorExit),
    (StopIteration(), RuntimeError),  # no future can hold it
]


@pytest.mark.parametrize(
    ("error", "kind"), [pytest.param(e, kind, id=type(e).__name__) for e, kind in ENDS_OF_PROGRAMS]
)
async def test_what_ends_programs_ends_one_change(
    store: SqliteStore, error: BaseException, kind: type[BaseException]
) -> None:
    """What is raised to end a task or a program reaches its caller; other changes and the thread go on."""

    def writing_first(transaction: Transaction) -> None:
        put(transaction, make_token("of the failed change"))
        raise error

    def adding(name: str) -> Callable[[Transaction], None]:
        return lambda transaction: put(transaction, make_token(name))

    gate = Gate(store)
    await gate.reached()
    # No tasks: one that ends with such an exception ends the event loop too.
    waiting = [store._writer.submit(work) for work in (adding("before"), writing_first, adding("after"))]
    await gate.open()
    assert [type(change.exception(TIMEOUT_SECONDS)) for change in waiting] == [type(None), kind, type(None)]
    async with asyncio.timeout(TIMEOUT_SECONDS):
        with pytest.raises(kind):
            await store.change(writing_first)
        await add(store, make_token("later"))
    assert await names(store) == ["after", "before", "later"]
    assert store.is_writable()


# -- files that go away -------------------------------------------------------------------------------------

REPLACE = """
import os, shutil, sys
shutil.copy(sys.argv[1], sys.argv[1] + ".copy")
os.replace(sys.argv[1] + ".copy", sys.argv[1])
"""
"""Puts an equal file in a file's place. In another process: see `reductauth.sqlite.files`."""


@pytest.mark.parametrize("way", ["removed", "replaced"])
@pytest.mark.parametrize("name", ["auth.db", "auth.gen"])
async def test_a_file_that_goes_away(store: SqliteStore, folder: Path, name: str, way: str) -> None:
    """A change that would go to a file nobody finds again is not acknowledged, nor is any after it."""
    await add(store, make_token("a"), "v")
    path = folder / name
    content = path.stat().st_size * b"?"
    path.unlink()
    if way == "replaced":
        path.write_bytes(content)
    for change in (add(store, make_token("b"), "w"), store.change(lambda t: t.remove("id-of-a"))):
        with pytest.raises(StoreUnavailableError):
            await change
        assert not store.is_writable()
    assert await store.find(digest_of("v")) is not None
    if way == "removed":
        assert not path.exists()


async def test_a_change_after_the_database_went_away_is_not_kept(store: SqliteStore, folder: Path) -> None:
    """What was not acknowledged is not in the files that the next start finds."""
    await add(store, make_token("a"))
    (folder / "auth.db").rename(folder / "away")
    with pytest.raises(StoreUnavailableError):
        await add(store, make_token("b"))
    assert {path.name for path in folder.iterdir()} >= {"away", "auth.gen", "auth.key"}
    assert not (folder / "auth.db").exists()


@pytest.mark.parametrize("way", ["removed", "replaced"])
@pytest.mark.parametrize("name", ["auth.db-wal", "auth.db-shm", "auth.gen", "auth.lock"])
async def test_a_file_beside_the_database_that_goes_away(
    store: SqliteStore, folder: Path, name: str, way: str
) -> None:
    """Changes are refused until a restart, which finds all that was acknowledged and nothing else."""
    await add(store, make_token("a"), "v")
    if way == "removed":
        (folder / name).unlink()
    else:
        async with child(REPLACE, str(folder / name)) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS) == 0
    for change in (add(store, make_token("b"), "w"), store.change(lambda t: t.remove("id-of-a"))):
        with pytest.raises(StoreUnavailableError):
            await change
        assert not store.is_writable()
    await store.close()

    after = SqliteStore.open(folder)
    assert after.is_writable()
    assert await names(after) == ["a"]
    assert await after.find(digest_of("v")) is not None
    assert await after.find(digest_of("w")) is None
    await after.close()


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda t: put(t, make_token("b")), id="creation"),
        pytest.param(lambda t: t.remove("id-of-a"), id="removal"),
    ],
)
async def test_a_change_after_another_database_was_put_in_place_is_not_kept(
    folder: Path, work: Callable[[Transaction], None]
) -> None:
    """What was refused is neither in the file that was put there nor in the one that was."""
    store = SqliteStore.open(folder)
    await add(store, make_token("a"), "v")
    await store.close()
    shutil.copy(folder / "auth.db", folder.with_name("copy"))
    store = SqliteStore.open(folder)
    folder.with_name("before").hardlink_to(folder / "auth.db")
    folder.with_name("copy").replace(folder / "auth.db")
    with pytest.raises(StoreUnavailableError):
        await store.change(work)
    assert not store.is_writable()
    await store.close()

    after = SqliteStore.open(folder)
    assert await names(after) == ["a"]
    await after.close()
    with contextlib.closing(sqlite3.connect(folder.with_name("before"))) as connection:
        assert connection.execute("SELECT name FROM tokens").fetchall() == [("a",)]


# -- others hold the registry -------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


async def test_another_process_holds_the_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked out for longer than the patience, changes are refused and reads go on; afterwards all is well."""
    monkeypatch.setattr(reductauth.sqlite.store, "_BUSY_TIMEOUT_SECONDS", 0.1)
    store = SqliteStore.open(folder)
    await add(store, make_token("a"), "v")
    generation = store.generation()
    async with child(HOLD, str(folder / "auth.db")) as holder:
        assert await line_of(holder) == "held"
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await store.change(lambda t: t.remove("id-of-a"))
            assert not store.is_writable()
        assert await store.find(digest_of("v")) is not None
        assert await names(store) == ["a"]
        assert store.generation() == generation
    await store.change(lambda t: t.remove("id-of-a"))
    assert store.is_writable()
    assert await store.find(digest_of("v")) is None
    await store.close()


async def test_a_change_waits_for_another_process(store: SqliteStore, folder: Path) -> None:
    """Within the patience a change waits for its turn."""
    async with child(HOLD, str(folder / "auth.db")) as holder:
        assert await line_of(holder) == "held"
        (waiting,) = await submitted(add(store, make_token("a")))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert holder.stdin is not None
        holder.stdin.write(b"\n")
        await asyncio.wait_for(waiting, TIMEOUT_SECONDS)
    assert await names(store) == ["a"]


async def test_another_process_holds_the_lock(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock a change of an existing token is refused whole; later ones work."""
    monkeypatch.setattr(reductauth.sqlite.files, "_LOCK_TIMEOUT_SECONDS", 0.1)
    await add(store, make_token("a"), "v")
    generation = store.generation()
    lock = FolderLock(folder / "auth.lock")
    with lock.held(), pytest.raises(StoreUnavailableError):
        await store.change(lambda t: t.remove("id-of-a"))
    assert await store.find(digest_of("v")) is not None
    assert store.generation() == generation
    assert not store.is_writable()
    await store.change(lambda t: t.remove("id-of-a"))
    assert store.is_writable()
    assert await store.find(digest_of("v")) is None
    lock.close()


# -- commits that fail --------------------------------------------------------------------------------------


async def test_a_full_disk(store: SqliteStore) -> None:
    """SQLite takes the whole transaction back: all that waited together are told, and nothing is kept."""
    await add(store, make_token("a"), "v")
    generation = store.generation()
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill(transaction: Transaction) -> None:
        for number in range(200):
            put(transaction, make_token(f"filling{number}", description="x" * 1_000))

    gate = Gate(store)
    await gate.reached()
    waiting = await submitted(
        store.change(lambda t: t.remove("id-of-a")), store.change(fill), add(store, make_token("c"))
    )
    await gate.open()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 3
    assert await names(store) == ["a"]
    assert await store.find(digest_of("v")) is not None
    assert store.generation() == generation
    assert not store.is_writable()

    connection.execute("PRAGMA max_page_count = 1000000")
    await store.change(fill)
    assert store.is_writable()
    assert len(await names(store)) == 201


async def test_a_disk_that_is_full_at_the_commit(store: SqliteStore) -> None:
    """SQLite is certain that nothing was written: the generation goes back, and later changes work."""
    await add(store, make_token("a"), "v")
    generation = store.generation()
    commits = FailingCommits(store, sqlite3.SQLITE_FULL)
    with pytest.raises(StoreUnavailableError):
        await store.change(lambda t: t.remove("id-of-a"))
    assert store.generation() == generation
    assert not store.is_writable()
    assert await store.find(digest_of("v")) is not None
    commits.repair()
    await store.change(lambda t: t.remove("id-of-a"))
    assert store.is_writable()
    assert store.generation() == generation + 2
    assert await store.find(digest_of("v")) is None


@pytest.mark.parametrize(
    "error_code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE]
)
async def test_a_commit_of_which_nobody_knows(store: SqliteStore, folder: Path, error_code: int) -> None:
    """After an I/O error the change may be on disk: nothing is kept any more, and every cache asks the disk."""
    await add(store, make_token("a"), "v")
    commits = FailingCommits(store, error_code)
    with pytest.raises(StoreUnavailableError):
        await store.change(lambda t: t.remove("id-of-a"))
    commits.repair()
    assert not store.is_writable()
    assert store.generation() % 2 == 1
    with pytest.raises(StoreUnavailableError):
        await add(store, make_token("b"))
    assert await names(store) == ["a"]
    after = SqliteStore.open(folder)
    assert after.is_writable()
    assert after.generation() % 2 == 0
    await after.change(lambda t: t.remove("id-of-a"))
    await after.close()


@pytest.mark.parametrize(
    ("error_code", "stops"),
    [
        (sqlite3.SQLITE_IOERR, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_BUSY, False),
    ],
)
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda t: put(t, make_token("b")), id="creation"),
        pytest.param(
            lambda t: t.add_usage([UsageDelta("id-of-a", 1, "2027-01-15", 1, 0, 0, 0, NOW_US, None)]),
            id="usage",
        ),
    ],
)
async def test_a_commit_that_no_cache_has_to_notice(
    store: SqliteStore,
    folder: Path,
    work: Callable[[Transaction], None],
    error_code: int,
    stops: bool,
) -> None:
    """A creation or a flush of usage of which nobody knows stops writing like any other change."""
    await add(store, make_token("a"), "v")
    commits = FailingCommits(store, error_code)
    with pytest.raises(StoreUnavailableError):
        await store.change(work)
    commits.repair()
    assert not store.is_writable()
    for later in (add(store, make_token("c")), store.change(lambda t: t.remove("id-of-a"))):
        if stops:
            with pytest.raises(StoreUnavailableError):
                await later
        else:
            await later
    await store.close()
    after = SqliteStore.open(folder)
    assert await names(after) == (["a"] if stops else ["c"])
    await after.close()
    assert store.is_writable() is not stops


FULL_FILE = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import SqliteStore
from tests.reductauth.store_contract import add, digest_of, make_token, put

async def main():
    folder = Path(sys.argv[1])
    store = SqliteStore.open(folder)
    await add(store, make_token("kept"), "v")
    changes = {
        "create": lambda t: put(t, make_token("lost", description="x" * 1_000)),
        "remove": lambda t: t.remove("id-of-kept"),
    }
    size = (folder / "auth.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        await store.change(changes[sys.argv[2]])
    except StoreUnavailableError:
        found = await store.find(digest_of("v"))
        names = [token.name for token in await store.read(lambda snapshot: snapshot.tokens())]
        print("refused", found is not None, names, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("change", ["create", "remove"])
async def test_a_write_that_the_system_refuses(folder: Path, change: str) -> None:
    """With a real limit under SQLite the change is refused, and neither memory nor disk knows of it."""
    async with child(FULL_FILE, str(folder), change) as process:
        assert await line_of(process) == "refused True ['kept']"
        await process.wait()
    store = SqliteStore.open(folder)
    assert await names(store) == ["kept"]
    assert await store.find(digest_of("v")) is not None
    await add(store, make_token("next"))
    await store.close()


# -- kills --------------------------------------------------------------------------------------------------

CREATE_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from reductauth.sqlite import SqliteStore
from tests.reductauth.store_contract import add, make_token

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    for number in itertools.count():
        name = f"{sys.argv[2]}-{number:06}"
        await add(store, make_token(name), name)
        print(name, flush=True)

asyncio.run(main())
"""


async def test_an_acknowledged_change_survives_a_kill(folder: Path) -> None:
    """After SIGKILL every acknowledged token is there with its value, and at most one that was not told."""
    acknowledged: list[str] = []
    for round_number in range(4):
        async with child(CREATE_FOR_EVER, str(folder), str(round_number)) as process:
            acknowledged += [await line_of(process) for _ in range(20 + 13 * round_number)]
            process.kill()
            assert process.stdout is not None
            rest = (await process.stdout.read()).decode()
        acknowledged += [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        store = SqliteStore.open(folder)
        present = await names(store)
        assert set(acknowledged) <= set(present)
        assert len(present) <= len(acknowledged) + round_number + 1
        for name in present:
            answer = await store.find(digest_of(name))
            assert answer is not None
            assert answer.token.name == name
        await store.close()


KILLED_WHILE_ODD = """
import asyncio, os, signal, sys
from pathlib import Path
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.generation import Generation

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def begin_and_die(self):
    begin(self)
    die()

async def main():
    global begin
    store = SqliteStore.open(Path(sys.argv[1]))
    if sys.argv[2] == "before the commit":
        begin, Generation.begin = Generation.begin, begin_and_die
    else:
        Generation.publish = die
    await store.change(lambda t: t.remove("id-of-a"))

asyncio.run(main())
"""
"""Removes a token, and dies with the counter odd."""

FORGET_VALUES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("DELETE FROM secrets")
connection.commit()
"""
"""Ends all values without a word about it. In another process: see `reductauth.sqlite.files`."""


@pytest.mark.parametrize(("moment", "is_removed"), [("before the commit", False), ("after the commit", True)])
async def test_a_writer_that_is_killed_while_the_generation_is_odd(
    store: SqliteStore, folder: Path, moment: str, is_removed: bool
) -> None:
    """The odd counter stays, so that no cache is trusted; the next opener makes it even and moves it on."""
    value = "chosen-by-somebody"
    await add(store, make_token("a"))
    await store.change(lambda t: t.add_secret("id-of-a", store.key.digest(value), NOW_US))
    authenticator = Authenticator(store, store.key)
    assert isinstance(await authenticator.authenticate(value, None, NOW_US), Identity)
    before = store.generation()

    async with child(KILLED_WHILE_ODD, str(folder), moment) as process:
        assert await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS) == -signal.SIGKILL
    assert store.generation() == before + 1
    for _ in range(2):
        answer = await authenticator.authenticate(value, None, NOW_US)
        assert isinstance(answer, InvalidTokenError if is_removed else Identity)
    if not is_removed:
        # Found while the counter was odd, it must not have been kept.
        async with child(FORGET_VALUES, str(folder / "auth.db")) as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS) == 0
        assert isinstance(await authenticator.authenticate(value, None, NOW_US), InvalidTokenError)

    after = SqliteStore.open(folder)
    assert after.generation() == store.generation()
    assert after.generation() % 2 == 0
    assert after.generation() > before
    assert isinstance(await authenticator.authenticate(value, None, NOW_US), InvalidTokenError)
    await after.close()


async def test_a_writer_finds_the_generation_odd(store: SqliteStore, folder: Path) -> None:
    """A process that still runs when another was killed goes on with a fresh number."""
    await add(store, make_token("a"))
    await add(store, make_token("b"))
    async with child(KILLED_WHILE_ODD, str(folder), "after the commit") as process:
        await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS)
    odd = store.generation()
    assert odd % 2 == 1
    await store.change(lambda t: t.remove("id-of-b"))
    assert store.generation() % 2 == 0
    assert store.generation() > odd
    again = SqliteStore.open(folder)
    assert again.generation() == store.generation()
    await again.close()


async def test_the_generation_is_odd_during_the_commit(store: SqliteStore) -> None:
    """Whoever looks while a change of an existing token is committed sees that it is under way."""
    await add(store, make_token("a"))
    seen: list[tuple[str, bool]] = []
    store._writer._connection.set_trace_callback(
        lambda statement: seen.append((statement, store.generation() % 2 == 1))
    )
    await store.change(lambda t: t.remove("id-of-a"))
    assert [is_odd for statement, is_odd in seen if statement == "BEGIN IMMEDIATE"] == [False]
    assert [is_odd for statement, is_odd in seen if statement == "COMMIT"] == [True]
    assert store.generation() % 2 == 0


WRITE = """
import asyncio, sys
from pathlib import Path
from reductauth.sqlite import SqliteStore

def work(transaction):
    print("writing", flush=True)
    sys.stdin.readline()
    transaction.remove("id-of-b")

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.readline()
    await store.change(work)
    print("removed", flush=True)
    await store.close()

asyncio.run(main())
"""
"""Holds SQLite's write lock until it is told to take `auth.lock` too."""


async def test_an_opener_and_a_writer_do_not_wait_for_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the counter odd, who opens and who writes both want both locks: each gets them, at once."""
    store = SqliteStore.open(folder)
    for name in ("a", "b"):
        await add(store, make_token(name), name)
    await store.close()
    loop = asyncio.get_running_loop()
    async with child(WRITE, str(folder)) as writer:
        assert writer.stdin is not None
        assert await line_of(writer) == "open"
        async with child(KILLED_WHILE_ODD, str(folder), "before the commit") as process:
            assert await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS) == -signal.SIGKILL
        writer.stdin.write(b"\n")
        assert await line_of(writer) == "writing"
        find_key = RegistryFolder.first_start

        def first_start(opened: RegistryFolder, given_key: RegistryKey | None) -> RegistryKey:
            """Have the writer go on when the opener holds `auth.lock`."""
            assert writer.stdin is not None
            loop.call_soon_threadsafe(writer.stdin.write, b"\n")
            return find_key(opened, given_key)

        monkeypatch.setattr(RegistryFolder, "first_start", first_start)
        begun = time.monotonic()
        store = await asyncio.to_thread(SqliteStore.open, folder)
        assert await line_of(writer) == "removed"
        assert time.monotonic() - begun < 3  # waiting for each other would end after 5 seconds
        assert await asyncio.wait_for(writer.wait(), TIMEOUT_SECONDS) == 0
    assert store.generation() % 2 == 0
    assert await names(store) == ["a"]
    assert await store.find(digest_of("b")) is None
    await store.close()
