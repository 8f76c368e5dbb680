"""Requests generated from the API's own description, to real servers: every answer is as described.

`--rounds N` makes N examples of each kind.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.test_fuzz import PARSERS
from tests.servers import ROOT_VALUE, clean_environment, serving

CONFIGURATION = """
# `$batch` is no legal name of a token, which is said before what a method would do with the token.
[checks]
unsupported_method.enabled = false

# Faults of one item are told in the answer, which is 200.
[[operations]]
include-operation-id = "changeTokens"
checks.negative_data_rejection.enabled = false
checks.positive_data_acceptance.enabled = false

# Between their fields there are rules that a schema cannot express: of two times one must be the earlier one, and so
# on; and what schemas call an integer may be written with a fraction of zero, which is refused.
[[operations]]
include-operation-id = ["listTokens", "showUsage", "checkToken", "createToken", "editToken", "rotateToken", "rotateMe"]
checks.positive_data_acceptance.enabled = false
"""

# Who is nobody is refused, whatever the request is like.
OF_NOBODY = """
[checks]
positive_data_acceptance.enabled = false
unsupported_method.enabled = false
"""


@pytest.mark.long
@pytest.mark.parametrize("caller", ["administrator", "nobody"])
@pytest.mark.parametrize("parser", PARSERS)
def test_what_nobody_thought_of(
    tmp_path: Path, parser: str, caller: str, rounds: int | None, seed: int | None
) -> None:
    """Right and wrong requests, with full access and without any, at both of aiohttp's parsers."""
    is_known = caller == "administrator"
    is_thorough = rounds is not None or (is_known and parser == "C parser")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION if is_known else OF_NOBODY, "utf-8")
    with serving(tmp_path, {"RS_API_TOKEN": ROOT_VALUE, **PARSERS[parser]}) as server:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
                *("run", f"{server.url}/api/v1/openapi.json", "--no-shrink"),
                *(("--header", f"Authorization: Bearer {ROOT_VALUE}") if is_known else ()),
                *("--max-examples", str(rounds or 2), "--seed", str(seed or 1)),
                *("--phases", "examples,coverage,fuzzing" if is_thorough else "fuzzing"),
            ],
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=300 + 60 * (rounds or 0),
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "Traceback" not in server.log
