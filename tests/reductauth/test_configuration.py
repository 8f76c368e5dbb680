"""The configuration file: what it may say, that the environment wins, and that every fault is told at once."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from reductauth.bootstrap import Bootstrap
from reductauth.configuration import Configuration, Given, Group
from reductauth.document import read_document
from reductauth.errors import ConfigurationError
from reductauth.provisioning import TOKENS
from reductauth.settings import Settings, setting

VALUE = "chosen-by-people-and-long-enough-for-it"
OTHER = "another-chosen-by-people-and-long-enough"
HEX_KEY = "0123456789abcdef" * 4


class WiderSettings(Settings):
    """What a server makes of the module's settings: its own beside them."""

    port: int = setting(8383, "where to listen", "a number")


def written(folder: Path, text: str | bytes) -> Path:
    """Write a configuration file."""
    path = folder / "storage.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults_of(folder: Path, text: str | bytes, **environ: str) -> list[str]:
    """Return what is said of a file that is refused, without the path of its folder."""
    with pytest.raises(ConfigurationError) as refusal:
        WiderSettings.load(environ, written(folder, text))
    return [fault.replace(f"{folder}/", "") for fault in refusal.value.faults]


class TestFile:
    """What a file may hold."""

    @pytest.mark.parametrize(
        ("text", "name", "expected"),
        [
            ("port: 9000", "port", 9000),
            ("port: '9000'", "port", 9000),
            ("disable_auth: true", "disable_auth", True),
            ("disable_auth: True", "disable_auth", True),
            ('disable_auth: "false"', "disable_auth", False),
            ("data_path: /var/lib/x", "data_path", Path("/var/lib/x")),
            ("data_path: here", "data_path", Path("here")),
            ("data_path: 0123", "data_path", Path("0123")),
            ("api_base_path: /storage/ # with a comment", "api_base_path", "/storage"),
            ("\ufeffport: 1", "port", 1),
            ("{port: 2}", "port", 2),
            ("---\nport: 3\n", "port", 3),
        ],
    )
    def test_settings(self, tmp_path: Path, text: str, name: str, expected: object) -> None:
        """A scalar counts as the text that stands there, quoted or not."""
        assert getattr(WiderSettings.load({}, written(tmp_path, text)), name) == expected

    @pytest.mark.parametrize(
        ("text", "entries"),
        [
            ("trusted_proxies: 10.0.0.0/8", ("10.0.0.0/8",)),
            ("trusted_proxies: 10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")),
            ('trusted_proxies: [10.0.0.0/8, "::1"]', ("10.0.0.0/8", "::1")),
            ("trusted_proxies:\n  - 10.0.0.1\n  - 10.0.0.1", ("10.0.0.1",)),
            ("trusted_proxies: []", ()),
        ],
    )
    def test_lists(self, tmp_path: Path, text: str, entries: tuple[str, ...]) -> None:
        """A list, or one text with commas."""
        assert Settings.load({}, written(tmp_path, text)).trusted_proxies.entries == entries

    def test_without_a_file(self) -> None:
        """`from_environment` is the shorthand."""
        assert Settings.load({"RS_DATA_PATH": "x"}) == Settings.from_environment({"RS_DATA_PATH": "x"})

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("prot: 1", "storage.yaml: prot: is not a known key; known are "),
            ("Port: 1", "storage.yaml: Port: is not a known key"),
            ("RS_PORT: 1", "storage.yaml: RS_PORT: is not a known key"),
            ("buckets: {}", "storage.yaml: buckets: is not a known key"),
            ("<<: {port: 1}", "storage.yaml: <<: is not a known key"),
            ("port: 1\nport: 1", "storage.yaml, line 2: 'port' is there twice"),
            (
                f"tokens:\n  a:\n    role: viewer\n    role: admin\n    value: {VALUE}",
                "storage.yaml, line 4: 'role' is there twice",
            ),
            ("port: x", "storage.yaml: port='x': must be a number"),
            ("port:", "storage.yaml: port='': must be a number"),
            ("port: null", "storage.yaml: port='': must be a number"),
            ("port: [1]", "storage.yaml: port=['1']: must be a number"),
            ("port: {a: 1}", "storage.yaml: port: must be a number, not a mapping"),
            ("disable_auth: yes", "storage.yaml: disable_auth='yes': must be true or false"),
            ("disable_auth: 1", "storage.yaml: disable_auth='1': must be true or false"),
            ("disable_auth: [true]", "storage.yaml: disable_auth=['true']: must be true or false"),
            ("data_path: [a]", "storage.yaml: data_path=['a']: must be a folder's path"),
            ("api_base_path: [/]", "storage.yaml: api_base_path=['/']: must be a path"),
            ("trusted_proxies: [x]", "storage.yaml: trusted_proxies=['x']: must be IP addresses"),
            ("trusted_proxies: {a: b}", "storage.yaml: trusted_proxies: must be IP addresses or"),
            ("trusted_proxies: [[10.0.0.1]]", "storage.yaml, line 1: a list may hold text only"),
            ("? [a]\n: b", "storage.yaml, line 1: a key must be text"),
            ("~: b", "storage.yaml, line 1: a key must be text"),
            ("", "storage.yaml: must be a YAML mapping"),
            ("# nothing", "storage.yaml: must be a YAML mapping"),
            ("just text", "storage.yaml: must be a YAML mapping"),
            ("- port", "storage.yaml: must be a YAML mapping"),
            ("a: b: c", "storage.yaml, line 1, column 5: is not valid YAML"),
            ("port: 1\n---\nport: 2", "storage.yaml, line 2, column 1: is not valid YAML"),
            ("port: 'x", "storage.yaml, line 1, column 9: is not valid YAML"),
            ("port: \x07", "storage.yaml: is not valid YAML"),
            (b"port: \xff", "storage.yaml: can't be read (not UTF-8 text)"),
            ("port: *one", "storage.yaml, line 1: aliases (*), anchors (&) and tags (!) are not read"),
            ("port: &one 1", "storage.yaml, line 1: aliases (*), anchors (&) and tags (!) are not read"),
            ("port: !!int 1", "storage.yaml, line 1: aliases (*), anchors (&) and tags (!) are not read"),
            ("port: !!python/object/apply:os.system [x]", "storage.yaml, line 1: aliases (*)"),
            ("a: &a [*a]", "storage.yaml, line 1: aliases (*)"),
            ("[" * 5000, "storage.yaml: is nested too deeply"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, text: str | bytes, expected: str) -> None:
        """With the place, and what would be right."""
        (fault,) = faults_of(tmp_path, text)
        assert fault.startswith(expected)

    @pytest.mark.parametrize("name", ["missing.yaml", ".", "missing/storage.yaml"])
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, name: str) -> None:
        """Missing, or a folder: the start is refused rather than begun with defaults."""
        with pytest.raises(ConfigurationError) as refusal:
            Settings.load({}, tmp_path / name)
        (fault,) = refusal.value.faults
        assert fault.startswith(f"{tmp_path / name}: can't be read (")

    def test_every_fault_is_told_at_once(self, tmp_path: Path) -> None:
        """Those of the file, of settings, of secrets and of declarations, from both places, once each."""
        text = (
            "prot: 1\nport: x\nport: y\napi_token: ''\ntokens:\n  a: {role: boss, value: 'a b'}\n"
            "  b: {colour: red}\n"
        )
        faults = faults_of(tmp_path, text, RS_DATA_PATH="", RS_AUTH_KEY="12", RS_TOKEN_X_READ="a")
        assert len(faults) == len(set(faults))
        for part in (
            "storage.yaml, line 3: 'port' is there twice",
            "storage.yaml: prot: is not a known key",
            "storage.yaml: port='x': must be a number",
            "storage.yaml: api_token: is empty",
            "storage.yaml: tokens.a.role='boss': must be admin, recorder or viewer",
            "storage.yaml: tokens.a.value: may hold visible ASCII characters only",
            "storage.yaml: tokens.b.colour: is not a known key",
            "storage.yaml: tokens.b: needs exactly one of value, value_file, digest; has none",
            "storage.yaml: tokens.b: needs either role, or some of permissions.full_access",
            "RS_DATA_PATH='': must be a folder's path",
            "RS_AUTH_KEY: not a registry key",
            "RS_TOKEN_X: needs the token's name in RS_TOKEN_X_NAME",
            "RS_TOKEN_X: needs exactly one of RS_TOKEN_X_VALUE, RS_TOKEN_X_VALUE_FILE, RS_TOKEN_X_DIGEST",
        ):
            assert [fault for fault in faults if fault.startswith(part)], part

    @pytest.mark.parametrize(
        "text",
        [
            "api_token: {secret}\n  x: 1",
            "api_token: *{secret}",
            "api_token: &{secret}",
            "api_token: !{secret}",
            "api_token: !{secret}!x y",
            "api_token: [{secret}]",
            "api_token: {{x: {secret}}}",
            "data_path:\n  api_token: {secret}",
            "api_token: '{secret}",
            'api_token: "{secret}\\q"',
            "api_token: {secret} {secret}",
            "api_token={secret}",
            "- {secret}",
            "api_token: {secret}\napi_token: {secret}",
            "api_token_file: {secret}",
            "auth_key: {secret}",
            "tokens: {secret}",
            "tokens: {{a: {secret}}}",
            "tokens: {{a: {{value: [{secret}]}}}}",
            "tokens: {{a: {{digest: {secret}, role: admin}}}}",
            "tokens: {{a: {{value_file: {secret}, role: admin}}}}",
            "tokens: {{a: {{permissions: {secret}}}}}",
        ],
    )
    def test_no_fault_shows_a_secret(self, tmp_path: Path, text: str) -> None:
        """However a line with a value in it went wrong, what is said of it does not show the value."""
        faults = faults_of(tmp_path, text.format(secret=VALUE))
        assert faults
        assert VALUE not in str(faults)


class TestTogether:
    """Environment and file: the environment wins, key by key."""

    def test_the_environment_wins(self, tmp_path: Path) -> None:
        """Where it says something; elsewhere the file does, then the default."""
        file = written(tmp_path, "port: 1\ndata_path: of-file\n")
        settings = WiderSettings.load({"RS_PORT": "2"}, file)
        assert (settings.port, settings.data_path, settings.api_base_path) == (2, Path("of-file"), "")

    def test_a_fault_that_the_environment_overrides_is_none(self, tmp_path: Path) -> None:
        """The file's key is not looked at."""
        assert WiderSettings.load({"RS_PORT": "2"}, written(tmp_path, "port: x")).port == 2

    @pytest.mark.parametrize("key", ["api_token", "api_token_file"])
    @pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_API_TOKEN_FILE"])
    def test_a_variable_or_its_twin_overrides_both_keys(
        self, tmp_path: Path, key: str, variable: str
    ) -> None:
        """Whichever stands in the file."""
        (tmp_path / "of-file").write_text(VALUE)
        (tmp_path / "of-environment").write_text(OTHER)
        file = written(tmp_path, f"{key}: {tmp_path / 'of-file' if key.endswith('_file') else VALUE}")
        given = str(tmp_path / "of-environment") if variable.endswith("_FILE") else OTHER
        (token,) = Bootstrap.of(
            Configuration.read({variable: given}, file), disable_auth=False, now_us=0
        ).tokens
        assert token.secret == OTHER

    @pytest.mark.parametrize("key", ["api_token", "init_api_token"])
    @pytest.mark.parametrize("twin", [False, True])
    def test_bootstrap_values_in_the_file(self, tmp_path: Path, key: str, twin: bool) -> None:
        """By themselves or by their twins."""
        (tmp_path / "value").write_text(VALUE + "\n")
        text = f"{key}_file: {tmp_path / 'value'}" if twin else f"{key}: {VALUE}"
        text += f"\nauth_key: {HEX_KEY}"
        file = written(tmp_path, text)
        assert Settings.load({}, file).disable_auth is False
        secrets = Bootstrap.of(Configuration.read({}, file), disable_auth=False, now_us=0)
        (token,) = secrets.everyone
        assert (token.name, token.secret) == ("init-token", VALUE)
        assert (secrets.seed is not None) == (key == "init_api_token")
        assert secrets.key is not None
        assert secrets.key.to_hex() == HEX_KEY

    @pytest.mark.parametrize(
        ("text", "environ", "expected"),
        [
            (
                f"api_token: {VALUE}\ninit_api_token: {OTHER}",
                {},
                "storage.yaml: api_token and storage.yaml: init_api_token are both set",
            ),
            (
                f"api_token: {VALUE}\napi_token_file: x",
                {},
                "storage.yaml: api_token and storage.yaml: api_token_file are both set",
            ),
            (
                f"init_api_token: {OTHER}",
                {"RS_API_TOKEN": VALUE},
                "RS_API_TOKEN and storage.yaml: init_api_token are both set",
            ),
            (
                "disable_auth: true",
                {"RS_API_TOKEN": VALUE},
                "RS_API_TOKEN and storage.yaml: disable_auth=true are both set",
            ),
            (
                f"disable_auth: true\ntokens: {{a: {{role: viewer, value: {VALUE}}}}}",
                {},
                "storage.yaml: tokens.a and storage.yaml: disable_auth=true are both set",
            ),
            (
                f"tokens: {{a: {{role: viewer, value: {VALUE}}}}}",
                {"RS_DISABLE_AUTH": "true"},
                "storage.yaml: tokens.a and RS_DISABLE_AUTH=true are both set",
            ),
        ],
    )
    def test_contradictions(self, tmp_path: Path, text: str, environ: dict[str, str], expected: str) -> None:
        """Between the two places as within one."""
        (fault,) = faults_of(tmp_path, text, **environ)
        assert fault.startswith(expected)

    def test_no_secret_is_shown_or_copied(self, tmp_path: Path) -> None:
        """Neither by settings nor by what holds the file."""
        file = written(tmp_path, f"api_token: {VALUE}\ntokens: {{a: {{role: viewer, value: {OTHER}}}}}")
        configuration = Configuration.read({"RS_AUTH_KEY": HEX_KEY}, file)
        secrets = Bootstrap.of(configuration, disable_auth=False, now_us=0)
        settings = Settings.of(configuration)
        given = configuration.get("RS_API_TOKEN")
        for thing in (
            configuration,
            given,
            settings,
            secrets,
            secrets.tokens,
            configuration.declarations(TOKENS, []),
        ):
            shown = f"{thing!r} {thing}"
            assert not [text for text in (VALUE, OTHER, HEX_KEY) if text in shown]
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="secrets are not pickled"):
                duplicate(configuration)


class TestDeclarations:
    """Variables with an id -> things with a name."""

    @pytest.mark.parametrize(
        ("variable", "expected"),
        [
            ("RS_TOKEN_A_NAME", ("A", "name")),
            ("RS_TOKEN_1_VALUE", ("1", "value")),
            ("RS_TOKEN_A_VALUE_FILE", ("A", "value_file")),
            ("RS_TOKEN_A_FULL_ACCESS", ("A", "full_access")),
            ("RS_TOKEN_MY_APP_2_READ", ("MY_APP_2", "read")),
            ("RS_TOKEN_READ_READ", ("READ", "read")),
            ("RS_TOKEN_A_IP_ALLOWLIST", ("A", "ip_allowlist")),
            ("RS_TOKEN_NAME", None),
            ("RS_TOKEN__NAME", None),
            ("RS_TOKEN_A__NAME", None),
            ("RS_TOKEN_a_NAME", None),
            ("RS_TOKEN_A_name", None),
            ("RS_TOKEN_A_EXPIRES", None),
            ("RS_TOKEN_A", None),
            ("RS_TOKEN_\u0661_NAME", None),
            ("RS_TOKENS_A_NAME", None),
            ("RS_BUCKET_A_NAME", None),
        ],
    )
    def test_ids(self, variable: str, expected: tuple[str, str] | None) -> None:
        """Capitals, digits and single underscores; the field is what the variable ends with."""
        assert TOKENS.split(variable) == expected
        known = Settings.unknown_variables([variable]) == []
        assert known is (expected is not None)

    def test_no_field_ends_like_another(self) -> None:
        """So every variable has one reading."""
        names = ["name", *TOKENS.fields]
        assert [(a, b) for a in names for b in names if a != b and a.endswith(f"_{b}")] == []

    def test_the_environment_wins_name_by_name(self, tmp_path: Path) -> None:
        """As a whole: nothing of the file's declaration is mixed in, or looked at."""
        file = written(tmp_path, "tokens:\n  a: {read: nothing, x: y}\n  b: {ttl: 5}\n")
        faults: list[str] = []
        configuration = Configuration.read({"RS_TOKEN_X_NAME": "a", "RS_TOKEN_X_TTL": "3"}, file)
        declared = configuration.declarations(TOKENS, faults)
        assert [(one.name, {name: given.node for name, given in one.fields.items()}) for one in declared] == [
            ("a", {"ttl": "3"}),
            ("b", {"ttl": "5"}),
        ]
        assert faults == []

    @pytest.mark.parametrize(
        ("text", "environ", "expected"),
        [
            (
                "",
                {"RS_TOKEN_A_NAME": "x", "RS_TOKEN_B_NAME": "x"},
                "RS_TOKEN_A and RS_TOKEN_B both declare token 'x': keep the one that is meant",
            ),
            ("", {"RS_TOKEN_A_TTL": "1"}, "RS_TOKEN_A: needs the token's name in RS_TOKEN_A_NAME"),
            ("", {"RS_TOKEN_A_NAME": ""}, "RS_TOKEN_A: needs the token's name in RS_TOKEN_A_NAME"),
            (
                "",
                {"RS_TOKEN_A_EXPIRE": "x"},
                "RS_TOKEN_A_EXPIRE: is not a variable of a declared token; it must",
            ),
            ("tokens: x", {}, "storage.yaml: tokens: must be a mapping, keyed by the token's name"),
            ("tokens: [a]", {}, "storage.yaml: tokens: must be a mapping, keyed by the token's name"),
            ("tokens: {a: x}", {}, "storage.yaml: tokens.a: must be a mapping"),
            (
                "tokens: {a: {name: b}}",
                {},
                "storage.yaml: tokens.a.name: is not a known key; known are value",
            ),
            ("tokens: {a: {read: [b]}}", {}, "storage.yaml: tokens.a.read: is not a known key"),
            ("tokens: {a: {permissions: [b]}}", {}, "storage.yaml: tokens.a.permissions: must be a mapping"),
            (
                "tokens: {a: {permissions: {role: b}}}",
                {},
                "storage.yaml: tokens.a.permissions.role: is not a known key; known are full_access, read, write",
            ),
        ],
    )
    def test_faults(self, tmp_path: Path, text: str, environ: dict[str, str], expected: str) -> None:
        """What can't be gathered is told with its place."""
        faults: list[str] = []
        Configuration.read(environ, written(tmp_path, text or "port: 1")).declarations(TOKENS, faults)
        assert [fault.replace(f"{tmp_path}/", "").startswith(expected) for fault in faults] == [True]

    @pytest.mark.parametrize("text", ["tokens:", "tokens: {}", "tokens: null", "port: 1"])
    def test_nothing_declared(self, tmp_path: Path, text: str) -> None:
        """An empty mapping may be left in the file."""
        faults: list[str] = []
        assert Configuration.read({}, written(tmp_path, text)).declarations(TOKENS, faults) == []
        assert faults == []

    def test_a_group_without_nested_fields(self, tmp_path: Path) -> None:
        """An empty declaration is one too: all its fields have their defaults."""
        group = Group("thing", {"size": "how large"})
        configuration = Configuration.read({}, written(tmp_path, "things: {a: , b: {size: 3}}"))
        declared = configuration.declarations(group, [])
        assert [(one.name, sorted(one.fields), one.where[-8:]) for one in declared] == [
            ("a", [], "things.a"),
            ("b", ["size"], "things.b"),
        ]


class TestGiven:
    """Readers of one place."""

    @pytest.mark.parametrize(
        ("method", "node", "expected"),
        [
            ("flag", "TRUE", True),
            ("flag", "false", False),
            ("text", "", ""),
            ("items", "a, b ,c", ("a", "b", "c")),
            ("items", "a,,b", ("a", "", "b")),
            ("items", (), ()),
            ("items", ("a,b",), ("a,b",)),
        ],
    )
    def test_accepted(self, method: str, node: Any, expected: object) -> None:
        """What each takes."""
        assert getattr(Given("here", node), method)() == expected

    @pytest.mark.parametrize(
        ("method", "node", "message"),
        [
            ("flag", "1", "here='1': must be true or false"),
            ("flag", ("true",), "here=['true']: must be true or false"),
            ("text", ("a",), "here: must be a single text"),
            ("text", {"a": "b"}, "here: must be a single text"),
            ("items", "", "here='': must be a list, comma separated"),
            ("items", " ", "here=' ': must be a list, comma separated"),
            ("items", {"a": "b"}, "here: must be a list, comma separated, not a mapping"),
        ],
    )
    def test_refused(self, method: str, node: Any, message: str) -> None:
        """With the place, and what would be right; a mapping is not shown."""
        with pytest.raises(ConfigurationError) as refusal:
            getattr(Given("here", node), method)()
        assert refusal.value.faults == (message,)

    @pytest.mark.parametrize("node", ["", "-1", "+1", "1.0", "1_0", "0x1", "11", "\u0661", "9" * 30, ("1",)])
    def test_numbers_that_are_refused(self, node: Any) -> None:
        """Whole, of ASCII digits, within the limits."""
        assert Given("here", "10").number(1, 10) == 10
        with pytest.raises(ConfigurationError, match="must be a whole number from 1 to 10"):
            Given("here", node).number(1, 10)


def test_a_document_is_text(tmp_path: Path) -> None:
    """No scalar becomes a number, a boolean or a date on the way."""
    text = "a: 010\nb: on\nc: 2030-01-01\nd: 1e3\ne: 1:30\nf: [yes, ~, '~', 0x1F]\ng: {h: .5}\n"
    faults: list[str] = []
    assert read_document(written(tmp_path, text), faults) == {
        "a": "010",
        "b": "on",
        "c": "2030-01-01",
        "d": "1e3",
        "e": "1:30",
        "f": ("yes", "", "~", "0x1F"),
        "g": {"h": ".5"},
    }
    assert faults == []
