"""Settings of the server: those of the module, and its own; beside tokens, buckets can be declared."""

from __future__ import annotations

import re
import socket
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from yarl import URL

from reductauth.configuration import Configuration, Group
from reductauth.settings import Flag, Settings, check_path, setting
from storage_demo.base_url import check_base_url
from storage_demo.provisioning import BUCKETS, declared_buckets

__all__ = ["LogLevel", "ServerSettings"]

_HOST = r"^[A-Za-z0-9.:_-]+$"
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[A-Za-z0-9.\[\]:_-]+", re.ASCII)  # RFC 6454 §6.1
_INSTANCE_NAME = r"^[A-Za-z0-9._-]{1,128}$"


class LogLevel(StrEnum):
    """From which weight on an event is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def _upper(given: Any) -> Any:
    return given.upper() if isinstance(given, str) else given


def _origins(given: Any) -> Any:
    origins = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
    if not all(_ORIGIN.fullmatch(origin) for origin in origins if origin):
        raise ValueError
    return tuple(origin for origin in origins if origin)


def _check_public_url(given: str | None) -> str | None:
    if given is None:
        return None
    if URL(given).user:
        raise ValueError
    return check_base_url(given)


def _check_metrics(given: bool) -> bool:
    if given and find_spec("prometheus_client") is None:
        raise ValueError
    return given


def _default_instance_name() -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:128]
    return name or "storage-demo"


class ServerSettings(Settings):
    """What `storage_demo` needs to know. Frozen."""

    groups: ClassVar[tuple[Group, ...]] = (*Settings.groups, BUCKETS)

    host: Annotated[str, Field(pattern=_HOST)] = setting(
        "127.0.0.1", "address to listen on", "an IP address or a host name"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = setting(
        8383, "port to listen on; 0 lets the system choose", "a number from 0 to 65535"
    )
    instance_name: Annotated[str, Field(pattern=_INSTANCE_NAME)] = setting(
        _default_instance_name(), "name of this server in `/info`", "1 to 128 of A-Z a-z 0-9 . _ -"
    )
    public_url: Annotated[str | None, AfterValidator(_check_public_url)] = setting(
        None,
        "address under which clients reach this server, at the beginning of the links that it makes; without it, "
        "`http://` or `https://` with `RS_HOST`, `RS_PORT` and `RS_API_BASE_PATH`",
        "an address such as https://storage.example.com/",
    )
    cors_allow_origin: Annotated[tuple[str, ...], BeforeValidator(_origins)] = setting(
        (),
        "origins whose pages may read answers, comma separated; `*` for any",
        "origins such as https://console.example.com, comma separated, or *",
    )
    cert_path: Annotated[Path | None, BeforeValidator(check_path)] = setting(
        None, "certificate chain in PEM form: serve HTTPS", "a file's path"
    )
    cert_key_path: Annotated[Path | None, BeforeValidator(check_path)] = setting(
        None, "private key of the certificate, in PEM form", "a file's path"
    )
    metrics: Annotated[Flag, AfterValidator(_check_metrics)] = setting(
        False,
        "Prometheus metrics at `/metrics`, for tokens that may read the bucket `$metrics`",
        "false, or true where prometheus-client is installed: pip install 'reductauth[metrics]'",
    )
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = setting(
        LogLevel.INFO, "from which weight on events are logged", "DEBUG, INFO, WARNING or ERROR"
    )

    @classmethod
    def further_faults(cls, configuration: Configuration) -> list[str]:
        """Say what is wrong with the declared buckets."""
        faults: list[str] = []
        declared_buckets(configuration, faults)
        return faults
