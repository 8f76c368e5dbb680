"""Settings of the module: what the environment may say, and that every fault is told at once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from reductauth.errors import ConfigurationError
from reductauth.settings import Settings, setting
from reductauth.web import setup

HEX_KEY = "0123456789abcdef" * 4
VALUE = "chosen-by-people-and-long-enough-for-it"

DATA_PATH_RIGHT = "must be a folder's path"
BASE_PATH_RIGHT = "must be a path such as / or /storage"
PROXIES_RIGHT = "must be IP addresses or networks in CIDR form, comma separated"
DISABLE_RIGHT = "must be true or false"


class WiderSettings(Settings):
    """What a server makes of the module's settings: its own beside them."""

    port: int = setting(8383, "where to listen", "a number")


def faults_of(environ: dict[str, str]) -> list[str]:
    """Return what is said of an environment that is refused."""
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_environment(environ)
    assert str(refusal.value) == "; ".join(refusal.value.faults)
    return list(refusal.value.faults)


def test_defaults() -> None:
    """An environment that says nothing: ./data, every route below /, no proxy trusted, authentication on."""
    settings = Settings.from_environment({})
    assert settings.data_path == Path("data")
    assert settings.auth_folder == Path("data/auth")
    assert settings.api_base_path == ""
    assert settings.trusted_proxies.entries == ()
    assert settings.token_max_lifetime_seconds is None
    assert settings.auth_failures_per_minute == 60
    assert settings.disable_auth is False
    assert settings == Settings()


def test_every_variable_is_read() -> None:
    """Each setting has one variable, its name in capitals after RS_."""
    settings = Settings.from_environment(
        {
            "RS_DATA_PATH": "/var/lib/storage",
            "RS_API_BASE_PATH": "/storage",
            "RS_TRUSTED_PROXIES": "10.0.0.0/8",
            "RS_TOKEN_MAX_LIFETIME_SECONDS": "3600",
            "RS_AUTH_FAILURES_PER_MINUTE": "0",
            "RS_DISABLE_AUTH": "true",
            "HOME": "/root",
            "data_path": "ignored",
            "rs_data_path": "ignored",
        }
    )
    assert settings.data_path == Path("/var/lib/storage")
    assert settings.auth_folder == Path("/var/lib/storage/auth")
    assert settings.api_base_path == "/storage"
    assert settings.trusted_proxies.entries == ("10.0.0.0/8",)
    assert settings.token_max_lifetime_seconds == 3_600
    assert settings.auth_failures_per_minute == 0
    assert settings.disable_auth is True


@pytest.mark.parametrize("given", ["", " ", "0", "-1", "1.5", "an hour", "null", "3162240001", "1e3"])
def test_lifetimes_that_are_refused(given: str) -> None:
    """A whole number of seconds, at least one, at most a hundred years; nothing else switches the cap off."""
    right = "must be a number of seconds from 1 to 3162240000"
    (fault,) = faults_of({"RS_TOKEN_MAX_LIFETIME_SECONDS": given})
    assert fault.startswith("RS_TOKEN_MAX_LIFETIME_SECONDS")
    assert fault.endswith(right)


@pytest.mark.parametrize("given", ["", " ", "-1", "1.5", "+1", "1e3", "sixty", "none", "1000001"])
def test_limits_of_failures_that_are_refused(given: str) -> None:
    """A whole number up to a million; only 0 switches the limit off."""
    faults = faults_of({"RS_AUTH_FAILURES_PER_MINUTE": given})
    assert faults == [f"RS_AUTH_FAILURES_PER_MINUTE={given!r}: must be a whole number from 0 to 1000000"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/", ""),
        ("/storage", "/storage"),
        ("/storage/", "/storage"),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/", "/a/b"),
        ("/A-1_b.c~d", "/A-1_b.c~d"),
        ("/.hidden", "/.hidden"),
        ("/..a", "/..a"),
        ("/...", "/..."),
    ],
)
def test_base_paths(given: str, kept: str) -> None:
    """A path from the root; a slash at its end means nothing."""
    assert Settings.from_environment({"RS_API_BASE_PATH": given}).api_base_path == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "storage",
        "./storage",
        "//",
        "//storage",
        "/a//b",
        "/a//",
        "/.",
        "/..",
        "/../a",
        "/a/..",
        "/a/./b",
        "/a/../b/",
        "/a b",
        " /a",
        "/a ",
        "/a\n",
        "/\n",
        "/a?b",
        "/a#b",
        "/a;b",
        "/%61",
        "/%2e%2e",
        "/{name}",
        "/a\\b",
        "/\u00e9",
        "http://host/a",
    ],
)
def test_base_paths_that_are_refused(given: str) -> None:
    """Relative, empty or climbing segments, and whatever would need escaping, are refused and quoted."""
    assert faults_of({"RS_API_BASE_PATH": given}) == [f"RS_API_BASE_PATH={given!r}: {BASE_PATH_RIGHT}"]


@pytest.mark.parametrize(
    ("given", "entries"),
    [
        ("", ()),
        ("10.0.0.7", ("10.0.0.7",)),
        ("10.0.0.7/8", ("10.0.0.0/8",)),
        ("10.0.0.0/8,192.168.0.1", ("10.0.0.0/8", "192.168.0.1")),
        (" 10.0.0.0/8 , ::1 ", ("10.0.0.0/8", "::1")),
        ("10.0.0.1,10.0.0.1", ("10.0.0.1",)),
        ("::ffff:10.0.0.1", ("10.0.0.1",)),
        ("2001:db8::/32", ("2001:db8::/32",)),
    ],
)
def test_trusted_proxies(given: str, entries: tuple[str, ...]) -> None:
    """Networks, comma separated, white space around them allowed; nothing trusts nobody."""
    assert Settings.from_environment({"RS_TRUSTED_PROXIES": given}).trusted_proxies.entries == entries


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "*",
        "localhost",
        "010.0.0.1",
        "10.0.0.1/33",
        "10.0.0.1/08",
        "1.2.3.4/255.0.0.0",
        "fe80::1%eth0",
        "10.0.0.1 10.0.0.2",
        "10.0.0.1;10.0.0.2",
        "10.0.0.1,x",
        "10.0.0.1:80",
    ],
)
def test_trusted_proxies_that_are_refused(given: str) -> None:
    """One entry that is no network refuses the whole list: half a list would trust the wrong hosts."""
    assert faults_of({"RS_TRUSTED_PROXIES": given}) == [f"RS_TRUSTED_PROXIES={given!r}: {PROXIES_RIGHT}"]


@pytest.mark.parametrize(
    ("given", "is_disabled"),
    [
        *((text, True) for text in ("true", "True", "TRUE", "tRuE")),
        *((text, False) for text in ("false", "False", "FALSE", "fAlSe")),
    ],
)
def test_disable_auth(given: str, is_disabled: bool) -> None:
    """`true` switches authentication off, `false` leaves it on."""
    assert Settings.from_environment({"RS_DISABLE_AUTH": given}).disable_auth is is_disabled


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "maybe",
        "2",
        "-1",
        "none",
        "null",
        "tru",
        "truee",
        "true false",
        " true",
        "true ",
        "true\n",
        "enabled",
        *("0", "1", "1.0", "y", "n", "t", "f", "on", "off", "ON", "yes", "no", "Yes"),
    ],
)
def test_disable_auth_with_something_else(given: str) -> None:
    """Whatever is neither true nor false stops the start: nobody has to guess whether the door is open."""
    assert faults_of({"RS_DISABLE_AUTH": given}) == [f"RS_DISABLE_AUTH={given!r}: {DISABLE_RIGHT}"]


@pytest.mark.parametrize(("given"), ["", "a\0b"])
def test_data_paths_that_are_refused(given: str) -> None:
    """An empty path would be the working directory, and no path holds NUL."""
    assert faults_of({"RS_DATA_PATH": given}) == [f"RS_DATA_PATH={given!r}: {DATA_PATH_RIGHT}"]


def test_every_fault_is_told_at_once() -> None:
    """One start tells all that is wrong, the secrets' faults included, and shows no secret."""
    faults = faults_of(
        {
            "RS_DATA_PATH": "",
            "RS_API_BASE_PATH": "storage",
            "RS_TRUSTED_PROXIES": "010.0.0.1",
            "RS_DISABLE_AUTH": "maybe",
            "RS_API_TOKEN": "has a space in it",
            "RS_INIT_API_TOKEN": "",
            "RS_AUTH_KEY": "0123",
        }
    )
    assert sorted(faults) == sorted(
        [
            f"RS_DATA_PATH='': {DATA_PATH_RIGHT}",
            f"RS_API_BASE_PATH='storage': {BASE_PATH_RIGHT}",
            f"RS_TRUSTED_PROXIES='010.0.0.1': {PROXIES_RIGHT}",
            f"RS_DISABLE_AUTH='maybe': {DISABLE_RIGHT}",
            "RS_API_TOKEN: may hold visible ASCII characters only, without spaces",
            "RS_INIT_API_TOKEN: is empty; give it a value, or remove the variable",
            "RS_AUTH_KEY: not a registry key; it must be exactly 64 hexadecimal digits (32 bytes)",
            "RS_API_TOKEN and RS_INIT_API_TOKEN are both set: keep the one that is meant",
        ]
    )


def test_days() -> None:
    """Usage is kept by day for 400 days, and ended tokens for good, unless a deployment says otherwise."""
    default = Settings.from_environment({})
    assert (default.usage_days, default.ended_token_days, default.audit_days) == (400, None, None)
    given = Settings.from_environment(
        {"RS_USAGE_DAYS": "1", "RS_ENDED_TOKEN_DAYS": "36500", "RS_AUDIT_DAYS": "90"}
    )
    assert (given.usage_days, given.ended_token_days, given.audit_days) == (1, 36_500, 90)


@pytest.mark.parametrize("variable", ["RS_USAGE_DAYS", "RS_ENDED_TOKEN_DAYS", "RS_AUDIT_DAYS"])
@pytest.mark.parametrize("given", ["", "0", "-1", "36501", "1.0", "+1", " 1", "1_0", "1e2", "many", "9" * 30])
def test_days_that_are_refused(variable: str, given: str) -> None:
    """Only whole numbers of days that a calendar can hold; zero days would be a trap."""
    assert faults_of({variable: given}) == [f"{variable}={given!r}: must be a whole number from 1 to 36500"]


def test_the_cache_size() -> None:
    """65,536 values are remembered, unless a deployment says otherwise."""
    assert Settings.from_environment({}).auth_cache_size == 65_536
    for given in ("1", "100000000"):
        assert Settings.from_environment({"RS_AUTH_CACHE_SIZE": given}).auth_cache_size == int(given)
    for given in ("", "0", "-1", "100000001", "1.5", "64K"):
        right = "must be a whole number from 1 to 100000000"
        assert faults_of({"RS_AUTH_CACHE_SIZE": given}) == [f"RS_AUTH_CACHE_SIZE={given!r}: {right}"]


@pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN"])
def test_a_token_beside_disable_is_a_fault(variable: str) -> None:
    """Both together contradict each other."""
    faults = faults_of({"RS_DISABLE_AUTH": "true", variable: VALUE})
    assert faults == [f"{variable} and RS_DISABLE_AUTH=true are both set: remove one of them"]
    assert Settings.from_environment({"RS_DISABLE_AUTH": "false", variable: VALUE}).disable_auth is False


@pytest.mark.parametrize("word", ["true", "TRUE"])
@pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN", "RS_API_TOKEN_FILE"])
def test_a_token_beside_disable_is_told_beside_other_faults(variable: str, word: str) -> None:
    """That another setting is wrong hides nothing: who corrects it does not meet the next fault then."""
    faults = faults_of(
        {
            "RS_API_BASE_PATH": "storage",
            "RS_DISABLE_AUTH": word,
            variable: VALUE,
        }
    )
    assert f"RS_API_BASE_PATH='storage': {BASE_PATH_RIGHT}" in faults
    name = variable.removesuffix("_FILE")
    assert f"{name} and RS_DISABLE_AUTH=true are both set: remove one of them" in faults


def test_no_secret_enters_the_settings() -> None:
    """Values and keys are read past the settings: nothing that shows or dumps them shows a secret."""
    settings = Settings.from_environment({"RS_API_TOKEN": VALUE, "RS_AUTH_KEY": HEX_KEY})
    for text in (repr(settings), str(settings), str(settings.model_dump()), str(vars(settings))):
        assert VALUE not in text
        assert HEX_KEY not in text


def test_unknown_variables_are_listed() -> None:
    """RS_ variables that mean nothing, in order; neither other variables nor known ones."""
    environ = [
        "RS_DISABLE_AUHT",
        "RS_API_TOKENS",
        "RS_",
        "RS_data_path",
        "rs_typo",
        "PATH",
        "XRS_TYPO",
        "RS_DATA_PATH",
        "RS_API_BASE_PATH",
        "RS_TRUSTED_PROXIES",
        "RS_DISABLE_AUTH",
        "RS_API_TOKEN",
        "RS_API_TOKEN_FILE",
        "RS_INIT_API_TOKEN",
        "RS_INIT_API_TOKEN_FILE",
        "RS_AUTH_KEY",
        "RS_AUTH_KEY_FILE",
    ]
    expected = ["RS_", "RS_API_TOKENS", "RS_DISABLE_AUHT", "RS_data_path"]
    assert Settings.unknown_variables(environ) == expected


async def test_unknown_variables_are_warned_about_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelled variable is said in the log; what it holds, which may be a token, is not."""
    environ = {"RS_API_TOKEN": VALUE, "RS_INIT_API_TOKENN": "misspelled-but-secret"}
    app = web.Application()
    setup(app, Settings(data_path=tmp_path), environ=environ)
    runner = web.AppRunner(app)
    with caplog.at_level(logging.DEBUG):
        await runner.setup()
        await runner.cleanup()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text for text in warnings if "RS_INIT_API_TOKENN" in text] == [
        "environment variable RS_INIT_API_TOKENN is unknown: it changes nothing"
    ]
    assert "misspelled-but-secret" not in caplog.text


@pytest.mark.parametrize("name", ["data_path", "api_base_path", "trusted_proxies", "disable_auth", "unknown"])
def test_settings_are_frozen(name: str) -> None:
    """What was checked at the start cannot be changed afterwards."""
    settings = Settings()
    with pytest.raises(ValidationError):
        setattr(settings, name, True)
    assert settings == Settings()


def test_a_setting_that_does_not_exist_is_refused() -> None:
    """A misspelled setting in code is an error too."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"disable_authentication": True})


def test_a_server_reads_its_own_settings_with_the_same_call() -> None:
    """A subclass has the module's settings and its own, and all their faults in one list."""
    assert WiderSettings.from_environment({"RS_PORT": "9000", "RS_DATA_PATH": "d"}).port == 9000
    assert WiderSettings.unknown_variables(["RS_PORT", "RS_PROT"]) == ["RS_PROT"]
    assert Settings.unknown_variables(["RS_PORT"]) == ["RS_PORT"]
    with pytest.raises(ConfigurationError) as refusal:
        WiderSettings.from_environment({"RS_PORT": "x", "RS_DATA_PATH": "", "RS_API_TOKEN": " "})
    assert sorted(refusal.value.faults) == [
        "RS_API_TOKEN: is empty; give it a value, or remove the variable",
        "RS_DATA_PATH='': must be a folder's path",
        "RS_PORT='x': must be a number",
    ]
