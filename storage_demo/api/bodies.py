"""JSON bodies, as lenient as the protocol wants: unknown fields are ignored, null is absent."""

from __future__ import annotations

from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reductauth.web.body import read_body
from storage_demo.engine import InvalidError, QuotaType, SettingsChange

__all__ = ["Body", "json_response", "parse", "read_body", "read_new_name", "read_settings_change"]

ModelT = TypeVar("ModelT", bound=BaseModel)


class Body(BaseModel):
    """A JSON object, read strictly: nothing is coerced."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _SettingsBody(Body):
    quota_type: QuotaType | None = Field(default=None, strict=False)
    quota_size: int | None = None
    max_block_size: int | None = None
    max_block_records: int | None = None


class _RenameBody(Body):
    new_name: str


async def read_settings_change(request: web.Request) -> SettingsChange:
    """Read bucket settings; an empty body changes nothing. Raises `InvalidError`."""
    body = await read_body(request)
    return SettingsChange(**dict(parse(_SettingsBody, body))) if body else SettingsChange()


async def read_new_name(request: web.Request) -> str:
    """Read the body of a renaming. Raises `InvalidError`."""
    return parse(_RenameBody, await read_body(request)).new_name


def json_response(content: object) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(content), content_type="application/json")


def parse(model: type[ModelT], body: bytes) -> ModelT:
    """Read a JSON object as `model` describes it. Raises `InvalidError`."""
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"Invalid JSON: {error}") from None
    except RecursionError:
        raise InvalidError("Invalid JSON: is nested too deeply") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise InvalidError(f"Invalid JSON: {f'{where}: ' if where else ''}{fault['msg']}") from None
