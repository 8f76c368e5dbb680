"""The registry's folder: the first start, what is refused, and that nothing is made over what was lost."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reductauth.actor import Actor, Identity
from reductauth.authenticator import Authenticator
from reductauth.draft import TokenDraft
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.store import Transaction
from tests.reductauth.store_contract import NOW_US

REPOSITORY = Path(__file__).parents[3]
TIMEOUT_SECONDS = 30
ENVIRONMENT = Actor.environment()

State = dict[str, tuple[int, bytes]]
"""Mode and content of each file; a link's target, and `.` for the folder itself."""


def state_of(folder: Path) -> State:
    """Read all that is in the folder. Only while nothing in this process has the registry open."""
    gc.collect()
    state: State = {".": (folder.lstat().st_mode, b"")}
    for path in sorted(folder.iterdir()):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            state[path.name] = (mode, bytes(path.readlink()))
        else:
            state[path.name] = (mode, path.read_bytes() if stat.S_ISREG(mode) else b"")
    return state


async def create(store: SqliteStore, name: str) -> str:
    """Create a token and return its value."""
    registry = TokenRegistry(store, store.key, lambda: NOW_US)
    return (await registry.create(ENVIRONMENT, name, TokenDraft())).value


async def remove(store: SqliteStore, name: str) -> None:
    """Delete a token, without the registry's rule of the last administrator."""

    def work(transaction: Transaction) -> None:
        token = transaction.token_named(name)
        assert token is not None
        transaction.remove(token.token_id)

    await store.change(work)


async def is_good(store: SqliteStore, value: str) -> bool:
    """Whether a value is a token's."""
    answer = await Authenticator(store, store.key).authenticate(value, None, NOW_US)
    return isinstance(answer, Identity)


async def make_registry(folder: Path, key: RegistryKey | None = None) -> str:
    """Make a registry with a history: `kept`, whose value is returned, and a token that was deleted."""
    store = SqliteStore.open(folder, key)
    value = await create(store, "kept")
    await create(store, "deleted")
    await remove(store, "deleted")
    await store.close()
    return value


async def assert_works(folder: Path, value: str | None = None, key: RegistryKey | None = None) -> None:
    """Open the registry; an old value works, a new token can be made, and it is there after a restart."""
    store = SqliteStore.open(folder, key)
    if value is not None:
        assert await is_good(store, value)
    new = await create(store, "new")
    await store.close()
    store = SqliteStore.open(folder, key)
    assert await is_good(store, new)
    assert store.generation() % 2 == 0
    await store.close()
    assert {path.name for path in folder.iterdir()} - {"auth.key"} == {"auth.db", "auth.gen", "auth.lock"}


def assert_refused(folder: Path, message: str, key: RegistryKey | None = None) -> None:
    """Check that the registry does not open, says why, and leaves every file as it was."""
    before = state_of(folder)
    with pytest.raises(ConfigurationError, match=message) as raised:
        SqliteStore.open(folder, key)
    assert str(folder) in str(raised.value)
    del raised
    assert state_of(folder) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a path where no registry has been yet."""
    return tmp_path / "data" / "auth"


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Let nothing but the code itself keep files from others."""
    before = os.umask(0)
    yield
    os.umask(before)


# -- first start --------------------------------------------------------------------------------------------


async def test_modes_under_umask_0(folder: Path, no_umask: None) -> None:
    """The folder is 0700 and each file 0600, SQLite's own too, whatever the umask; the folder above is not ours."""
    store = SqliteStore.open(folder)
    await create(store, "a")
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
    assert modes == dict.fromkeys(
        ("auth.db", "auth.db-shm", "auth.db-wal", "auth.gen", "auth.key", "auth.lock"), 0o600
    )
    await store.close()


async def test_the_key_file(folder: Path) -> None:
    """The key is 64 hexadecimal digits, another one for each registry, and stays."""
    value = await make_registry(folder)
    text = (folder / "auth.key").read_text()
    assert len(bytes.fromhex(text)) == 32
    assert text == text.strip() + "\n"
    await make_registry(folder.with_name("second"))
    assert (folder.with_name("second") / "auth.key").read_text() != text
    await assert_works(folder, value)
    assert (folder / "auth.key").read_text() == text


async def test_a_key_from_the_environment_is_not_written(folder: Path) -> None:
    """With a given key there is no key file, and the registry opens with that key only."""
    key = RegistryKey(b"k" * 32)
    value = await make_registry(folder, key)
    assert not (folder / "auth.key").exists()
    await assert_works(folder, value, key)
    assert_refused(folder, "was made with another key", RegistryKey(b"o" * 32))
    assert_refused(folder, r"auth\.key: the key of the token registry is missing.*RS_AUTH_KEY")
    await is_unharmed(folder, value, key)


async def test_a_key_file_that_moves_to_the_environment(folder: Path) -> None:
    """The same key may be given beside its file, and instead of it."""
    value = await make_registry(folder)
    key = RegistryKey.from_hex((folder / "auth.key").read_text().strip(), "auth.key")
    await is_unharmed(folder, value, key)
    (folder / "auth.key").unlink()
    await is_unharmed(folder, value, key)


async def is_unharmed(folder: Path, value: str, key: RegistryKey | None = None) -> None:
    """Check that the registry opens and its token works."""
    store = SqliteStore.open(folder, key)
    assert await is_good(store, value)
    await store.close()


# What a first start leaves when it is killed; `db` and the others stand for the finished files.
LEFT_BEHIND: list[tuple[str, dict[str, str | bytes]]] = [
    ("an empty folder", {}),
    ("the lock", {"auth.lock": b""}),
    (".new, empty", {"auth.db.new": b""}),
    (".new, torn", {"auth.db.new": b"SQLite format 3\0torn", "auth.db.new-journal": b"torn"}),
    (
        ".new, before its checkpoint",
        {"auth.db.new": b"", "auth.db.new-wal": b"wal", "auth.db.new-shm": b"shm"},
    ),
    (".new", {"auth.db.new": "db"}),
    (".new and a torn key.new", {"auth.db.new": "db", "auth.key.new": b"0123"}),
    (".new and key.new", {"auth.db.new": "db", "auth.key.new": "key"}),
    (".new and key", {"auth.db.new": "db", "auth.key": "key"}),
    ("database and key", {"auth.db": "db", "auth.key": "key"}),
    ("and a torn gen.new", {"auth.db": "db", "auth.key": "key", "auth.gen.new": b"\2\0"}),
    ("and gen", {"auth.db": "db", "auth.key": "key", "auth.gen": "gen"}),
]


@pytest.mark.parametrize("left", [pytest.param(left, id=name) for name, left in LEFT_BEHIND])
async def test_a_first_start_that_was_cut_short(folder: Path, left: dict[str, str | bytes]) -> None:
    """Whatever a killed first start left, the next one finishes; a key that was written is the key."""
    finished = folder.with_name("finished")
    await SqliteStore.open(finished).close()
    folder.mkdir(mode=0o700)
    for name, content in left.items():
        source = finished / f"auth.{content!s}"
        (folder / name).write_bytes(source.read_bytes() if isinstance(content, str) else content)
        (folder / name).chmod(0o600)
    store = SqliteStore.open(folder)
    value = await create(store, "a")
    await store.close()
    if "auth.key" in left:
        assert (folder / "auth.key").read_bytes() == (finished / "auth.key").read_bytes()
    (folder / "auth.key.new").unlink(missing_ok=True)
    (folder / "auth.gen.new").unlink(missing_ok=True)
    await assert_works(folder, value)


@pytest.mark.parametrize(
    "left",
    [{"auth.db.new": b""}, {"auth.db.new": "db"}, {"auth.db": "db"}, {"auth.db": "db", "auth.gen": "gen"}],
)
async def test_a_first_start_with_a_given_key_that_was_cut_short(
    folder: Path, left: dict[str, str | bytes]
) -> None:
    """The same where the environment holds the key: there is no key file to wait for."""
    key = RegistryKey(b"k" * 32)
    finished = folder.with_name("finished")
    await SqliteStore.open(finished, key).close()
    folder.mkdir(mode=0o700)
    for name, content in left.items():
        source = finished / f"auth.{content!s}"
        (folder / name).write_bytes(source.read_bytes() if isinstance(content, str) else content)
        (folder / name).chmod(0o600)
    await assert_works(folder, key=key)
    assert not (folder / "auth.key").exists()


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from reductauth.sqlite import SqliteStore

def start(folder, fatal_step):
    steps = 0
    def step(event, arguments):
        nonlocal steps
        steps += 1
        if steps == fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if child == 0:
        if fatal_step:
            sys.addaudithook(step)
        SqliteStore.open(folder)
        os._exit(0)
    return child

def was_killed(child):
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

root, way = Path(sys.argv[1]), sys.argv[2]
if way == "steps":
    step = 1
    while was_killed(start(root / f"{step:03}", step)):
        print(f"{step:03}")
        step += 1
else:
    begun = time.monotonic()
    was_killed(start(root / "whole", 0))
    whole_seconds = time.monotonic() - begun
    for round_number in range(20):
        child = start(root / f"{round_number:03}", 0)
        time.sleep(random.uniform(0, whole_seconds))
        os.kill(child, signal.SIGKILL)
        if was_killed(child):
            print(f"{round_number:03}")
"""
"""Starts first starts in children and kills them: at each step that Python can see, or at random moments."""


@pytest.mark.parametrize("way", ["steps", "moments"])
async def test_killed_first_starts(tmp_path: Path, way: str) -> None:
    """SIGKILL at every step and at random moments of a first start: the next one always finishes."""
    killed = run_child(KILLS, str(tmp_path), way).split()
    left = set()
    for name in killed:
        folder = tmp_path / name
        if folder.exists():
            left.add(frozenset(path.name for path in folder.iterdir()))
        store = SqliteStore.open(folder)
        value = await create(store, "a")
        await store.close()
        store = SqliteStore.open(folder)
        assert await is_good(store, value)
        await store.close()
        assert not (folder / "auth.db.new").exists()
    assert killed, "no child was killed before it was done"
    if way == "steps":  # else the kills missed what they are for
        assert frozenset({"auth.lock", "auth.db.new"}) in left
        assert frozenset({"auth.lock", "auth.db.new", "auth.key"}) in left
        assert frozenset({"auth.lock", "auth.db", "auth.key"}) in left
        assert len(left) >= 6


STARTS = """
import asyncio, sys
from pathlib import Path
from reductauth.actor import Actor
from reductauth.draft import TokenDraft
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore

async def main():
    for line in sys.stdin:
        store = SqliteStore.open(Path(line.strip()))
        registry = TokenRegistry(store, store.key, lambda: 1)
        print((await registry.create(Actor.environment(), sys.argv[1], TokenDraft())).value, flush=True)
        await store.close()

asyncio.run(main())
"""


async def test_two_first_starts_at_once(tmp_path: Path) -> None:
    """Two processes that start on the same empty folder end with one registry and one key, and both work."""
    children = [
        subprocess.Popen(  # noqa: ASYNC220 - they wait for a line
            [sys.executable, "-c", STARTS, name],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    try:
        for number in range(12):
            folder = tmp_path / str(number)
            for child in children:
                assert child.stdin is not None
                child.stdin.write(f"{folder}\n")
                child.stdin.flush()
            values = []
            for child in children:
                assert child.stdout is not None
                values.append((await asyncio.to_thread(child.stdout.readline)).strip())
            store = SqliteStore.open(folder)
            assert [await is_good(store, value) for value in values] == [True, True]
            await store.close()
    finally:
        for child in children:
            child.communicate(timeout=TIMEOUT_SECONDS)
    assert [child.returncode for child in children] == [0, 0]


def run_child(code: str, *arguments: str) -> str:
    """Run code in a process of its own and return what it prints."""
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        timeout=TIMEOUT_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode in {0, -signal.SIGKILL}, child.stderr
    return child.stdout


# -- what is refused ----------------------------------------------------------------------------------------


def unlink(*names: str) -> Callable[[Path], None]:
    """Lose files."""

    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def write(name: str, content: bytes) -> Callable[[Path], None]:
    """Put something else into a file."""

    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return spoil


def execute(statement: str) -> Callable[[Path], None]:
    """Change the database behind the registry's back."""

    def spoil(folder: Path) -> None:
        connection = sqlite3.connect(folder / "auth.db", isolation_level=None)
        connection.execute(statement)
        connection.close()

    return spoil


def link(name: str) -> Callable[[Path], None]:
    """Move a file away and put a symbolic link in its place."""

    def spoil(folder: Path) -> None:
        (folder / name).rename(folder.with_name("elsewhere"))
        (folder / name).symlink_to(folder.with_name("elsewhere"))

    return spoil


def chmod(name: str, mode: int) -> Callable[[Path], None]:
    """Open a file, or the folder, to others."""
    return lambda folder: (folder / name).chmod(mode)


def make_folder(folder: Path) -> None:
    """Put a folder where the lock was."""
    (folder / "auth.lock").unlink()
    (folder / "auth.lock").mkdir(mode=0o700)


def make_fifo(folder: Path) -> None:
    """Put a pipe, on which an open would wait, where the key was."""
    (folder / "auth.key").unlink()
    os.mkfifo(folder / "auth.key", 0o600)


LOST = r"auth\.db: the token registry is missing.*restore auth\.db.*remove "
LOST_KEY = r"auth\.key: the key of the token registry is missing.*restore auth\.key.*remove "
NO_KEY = r"auth\.key: not a registry key"
LINK = r"is a symbolic link"

REFUSED: list[tuple[str, Callable[[Path], None], str]] = [
    ("key lost", unlink("auth.key"), LOST_KEY),
    ("key and generation lost", unlink("auth.key", "auth.gen"), LOST_KEY),
    ("database lost", unlink("auth.db"), LOST),
    ("database and generation lost", unlink("auth.db", "auth.gen"), LOST),
    ("database and key lost", unlink("auth.db", "auth.key"), LOST),
    ("wrong key", write("auth.key", b"ab" * 32 + b"\n"), r"auth\.db: was made with another key.*auth\.key"),
    ("empty key", write("auth.key", b""), NO_KEY),
    ("short key", write("auth.key", b"a" * 63), NO_KEY),
    ("long key", write("auth.key", b"a" * 65), NO_KEY),
    ("key with two line feeds", write("auth.key", b"a" * 64 + b"\n\n"), NO_KEY),
    ("key that is no text", write("auth.key", b"\xff" * 64), NO_KEY),
    ("database of no bytes", write("auth.db", b""), r"auth\.db: not a token registry.*restore"),
    ("garbage for a database", write("auth.db", b"x" * 8_192), r"auth\.db: can't be opened"),
    ("newer schema", execute("PRAGMA user_version = 2"), r"auth\.db: made by a newer release"),
    ("schema from the future", execute("PRAGMA user_version = 2147483647"), "made by a newer release"),
    *(
        (
            f"no {name}",
            execute(f"DELETE FROM meta WHERE name = '{name}'"),
            rf"auth\.db: is damaged \({name} .*backup",
        )
        for name in ("key_check", "generation")
    ),
    ("empty generation", write("auth.gen", b""), r"auth\.gen: not a generation file"),
    ("long generation", write("auth.gen", b"\0" * 9), r"auth\.gen: not a generation file"),
    *((f"{name} is a link", link(name), LINK) for name in ("auth.db", "auth.key", "auth.gen", "auth.lock")),
    ("folder for group", chmod(".", 0o750), r"auth: open to group or others \(mode 750\); run chmod 700"),
    ("folder for others", chmod(".", 0o701), r"auth: open to group or others \(mode 701\); run chmod 700"),
    ("database for group", chmod("auth.db", 0o640), r"auth\.db: open to group or others.*chmod 600"),
    ("key for others", chmod("auth.key", 0o604), r"auth\.key: open to group or others.*chmod 600"),
    ("generation writable", chmod("auth.gen", 0o620), r"auth\.gen: open to group or others.*chmod 600"),
    ("lock for group", chmod("auth.lock", 0o660), r"auth\.lock: open to group or others.*chmod 600"),
    ("a folder for a file", make_folder, r"auth\.lock: is not a file"),
    ("a pipe for a file", make_fifo, r"auth\.key: is not a file"),
]


@pytest.mark.parametrize(("spoil", "message"), [pytest.param(s, m, id=name) for name, s, m in REFUSED])
async def test_refused(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    """A folder in which something was lost, exchanged or opened to others is refused, and left as it is."""
    await make_registry(folder)
    spoil(folder)
    assert_refused(folder, message)


@pytest.mark.parametrize("lost", [("auth.db",), ("auth.db", "auth.lock")])
async def test_a_lost_database_is_refused_with_a_given_key_too(folder: Path, lost: tuple[str, ...]) -> None:
    """The generation alone says that there was a registry, where the environment holds the key."""
    key = RegistryKey(b"k" * 32)
    await make_registry(folder, key)
    unlink(*lost)(folder)
    (folder / "auth.lock").touch(0o600)
    assert_refused(folder, LOST, key)


@pytest.mark.parametrize("left", ["auth.db-wal", "auth.db-journal"])
@pytest.mark.parametrize("has_generation", [True, False])
async def test_what_the_database_left_beside_it(folder: Path, left: str, has_generation: bool) -> None:
    """A log or a journal belongs to a database that was lost: none is made over it, nor over the log."""
    key = RegistryKey(b"k" * 32)
    await make_registry(folder, key)
    unlink("auth.db", *([] if has_generation else ["auth.gen"]))(folder)
    (folder / left).write_bytes(b"acknowledged changes")
    (folder / left).chmod(0o600)
    assert_refused(folder, LOST, key)


@pytest.mark.parametrize("left", ["auth.gen", "auth.db-wal", "auth.db-journal"])
async def test_an_unfinished_database_beside_what_a_finished_one_left(folder: Path, left: str) -> None:
    """It is not taken for the registry that was lost, though its key is there."""
    await make_registry(folder)
    (folder / "auth.db").rename(folder / "auth.db.new")
    content = (folder / "auth.gen").read_bytes()
    (folder / "auth.gen").unlink()
    (folder / left).write_bytes(content)
    (folder / left).chmod(0o600)
    assert_refused(folder, LOST)


async def test_a_folder_that_is_a_link(folder: Path) -> None:
    """A registry behind a symbolic link is refused, also where there is none yet."""
    await make_registry(folder)
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))
    assert_refused(folder, LINK)
    folder.unlink()
    folder.symlink_to(folder.with_name("nowhere"))
    with pytest.raises(ConfigurationError, match=LINK):
        SqliteStore.open(folder)
    assert not folder.with_name("nowhere").exists()


async def test_a_file_for_a_folder(folder: Path) -> None:
    """A file where the folder should be is refused and kept, there and above."""
    folder.parent.mkdir()
    folder.write_bytes(b"precious")
    for path, message in ((folder, "is not a folder"), (folder / "auth", "can't keep a token registry here")):
        with pytest.raises(ConfigurationError, match=message):
            SqliteStore.open(path)
    assert folder.read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", [".", "auth.db", "auth.key"])
async def test_what_belongs_to_somebody_else(folder: Path, name: str) -> None:
    """A folder or file of another user is refused."""
    await make_registry(folder)
    os.chown(folder / name, 12_345, -1)
    assert_refused(folder, "belongs to user 12345")


async def test_a_folder_above_may_be_open(folder: Path) -> None:
    """The data folder is not the registry's: volumes are often open to their group."""
    folder.parent.mkdir(mode=0o777)
    folder.parent.chmod(0o777)
    await assert_works(folder)


async def test_what_was_refused_opens_when_it_is_put_right(folder: Path) -> None:
    """A refusal does no harm: with the lost file put back all is as before."""
    value = await make_registry(folder)
    for name in ("auth.db", "auth.key"):
        (folder / name).rename(folder.with_name("away"))
        with pytest.raises(ConfigurationError):
            SqliteStore.open(folder)
        gc.collect()
        folder.with_name("away").rename(folder / name)
        await is_unharmed(folder, value)


# -- an older copy ------------------------------------------------------------------------------------------


async def restore_older_copy(folder: Path) -> tuple[str, str]:
    """Put back a database from before a deletion; return the values of a kept and of the deleted token."""
    kept = await make_registry(folder)
    store = SqliteStore.open(folder)
    deleted = await create(store, "doomed")
    await store.close()
    shutil.copy(folder / "auth.db", folder.with_name("backup.db"))
    store = SqliteStore.open(folder)
    await remove(store, "doomed")
    assert not await is_good(store, deleted)
    await store.close()
    shutil.copy(folder.with_name("backup.db"), folder / "auth.db")
    return kept, deleted


async def test_an_older_copy_is_refused(folder: Path) -> None:
    """A database from before the last revocation does not bring revoked tokens back by itself."""
    await restore_older_copy(folder)
    assert_refused(folder, r"auth\.gen: says change \d+.*older copy of auth\.db.*remove .*auth\.gen")
    assert_refused(folder, "older copy")


def move_generation(folder: Path, by: int) -> int:
    """Leave another counter than a clean close does; return it."""
    path = folder / "auth.gen"
    moved = int.from_bytes(path.read_bytes(), sys.byteorder) + by
    path.write_bytes(moved.to_bytes(8, sys.byteorder))
    return moved


async def test_an_older_copy_beside_an_odd_generation_is_refused(folder: Path) -> None:
    """That a writer was killed, too, does not let an older copy in."""
    await restore_older_copy(folder)
    assert move_generation(folder, 1) % 2 == 1
    assert_refused(folder, r"auth\.gen: says change \d+.*older copy of auth\.db.*remove .*auth\.gen")


@pytest.mark.parametrize(
    ("by", "opens"), [(-3, True), (-2, True), (-1, True), (1, True), (2, False), (3, False)]
)
async def test_a_generation_beside_its_database(folder: Path, by: int, opens: bool) -> None:
    """It may be behind, or ahead by the one that makes it odd: then it opens and is even, else it is refused."""
    value = await make_registry(folder)
    moved = move_generation(folder, by)
    if not opens:
        assert_refused(folder, "older copy")
        return
    store = SqliteStore.open(folder)
    assert store.generation() % 2 == 0
    assert store.generation() > max(moved, moved - by)
    assert await is_good(store, value)
    await store.close()
    await assert_works(folder, value)


async def test_an_older_copy_is_accepted_on_purpose(folder: Path) -> None:
    """An operator who removes `auth.gen` says that the older copy is meant."""
    kept, deleted = await restore_older_copy(folder)
    (folder / "auth.gen").unlink()
    store = SqliteStore.open(folder)
    assert await is_good(store, kept)
    assert await is_good(store, deleted)
    await store.close()
    await assert_works(folder, kept)


async def test_a_copy_that_misses_no_revocation_is_accepted(folder: Path) -> None:
    """Creations do not count: nobody comes back with a copy that only lacks newer tokens."""
    kept = await make_registry(folder)
    shutil.copy(folder / "auth.db", folder.with_name("backup.db"))
    store = SqliteStore.open(folder)
    newer = await create(store, "newer")
    await store.close()
    shutil.copy(folder.with_name("backup.db"), folder / "auth.db")
    store = SqliteStore.open(folder)
    assert await is_good(store, kept)
    assert not await is_good(store, newer)
    await store.close()


async def test_a_lost_generation_is_made_again(folder: Path) -> None:
    """Without `auth.gen` nothing can be compared: the registry opens, and counts on."""
    value = await make_registry(folder)
    (folder / "auth.gen").unlink()
    await assert_works(folder, value)
    assert (folder / "auth.gen").stat().st_size == 8


async def test_a_generation_that_is_behind_catches_up(folder: Path) -> None:
    """After power loss the file may hold an older number than the database: that is no fault."""
    value = await make_registry(folder)
    numbers = []
    for _ in range(2):
        store = SqliteStore.open(folder)
        await store.change(lambda t: t.remove("nobody"))
        numbers.append(store.generation())
        await store.close()
        (folder / "auth.gen").write_bytes((2).to_bytes(8, sys.byteorder))
    store = SqliteStore.open(folder)
    assert store.generation() > max(numbers)
    assert store.generation() % 2 == 0
    assert await is_good(store, value)
    await store.close()
