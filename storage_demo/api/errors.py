"""EngineError -> status: one table."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from reductauth.web import drain, error_response
from storage_demo.engine import (
    AlreadyExistsError,
    ContentDamagedError,
    EngineError,
    FifoQuotaError,
    InvalidError,
    LengthMismatchError,
    NotFoundError,
    ProvisionedBucketError,
    QuotaError,
    StorageFullError,
)

__all__ = ["engine_errors", "status_of"]

_STATUS: tuple[tuple[type[EngineError], int], ...] = (
    (InvalidError, 422),
    (NotFoundError, 404),
    (AlreadyExistsError, 409),
    (ProvisionedBucketError, 409),
    (FifoQuotaError, 500),
    (QuotaError, 400),
    (LengthMismatchError, 400),
    (StorageFullError, 507),
    (ContentDamagedError, 500),
    (EngineError, 503),
)

_logger = logging.getLogger("storage_demo.api")


def status_of(error: EngineError) -> int:
    """The status that a refusal or failure of the engine is answered with."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


@web.middleware
async def engine_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with what the engine refused."""
    try:
        return await handler(request)
    except EngineError as error:
        if request.writer.output_size > 0:
            raise  # the answer has begun: another one would be taken for its content, so the connection ends
        status = status_of(error)
        if status >= 500:
            _logger.error("storage failed method=%s path=%s error=%s", request.method, request.path, error)  # noqa: TRY400
        response = error_response(status, str(error))
    await drain(request, response)
    return response
