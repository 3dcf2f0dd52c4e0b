"""What a reply looks like around its data (FACTS-calcom-retell.md section 1.3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from calcom_stub.errors import ApiError, not_found


def cannot(request: Request) -> ApiError:
    """The router's own 404, for an unknown path and for a version that lacks the route."""
    return not_found(f"Cannot {request.method} {path_with_query(request)}")


def path_with_query(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def error_reply(request: Request, error: ApiError) -> Response:
    return JSONResponse(error.body(path_with_query(request)), status_code=error.status)


def success(data: object, status: int = 200, **more: object) -> Response:
    return JSONResponse({"status": "success", "data": data, **more}, status_code=status)
