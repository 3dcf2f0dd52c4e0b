"""Errors of the API, without HTTP machinery (FACTS-calcom-retell.md section 1.3). Anything below raises ApiError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from calcom_stub.wire_time import iso_ms

_CODES = {
    400: ("BadRequestException", "Bad Request"),
    401: ("UnauthorizedException", "Unauthorized"),
    403: ("ForbiddenException", "Forbidden"),
    404: ("NotFoundException", "Not Found"),
    409: ("ConflictException", "Conflict"),
    422: ("UnprocessableEntityException", "Unprocessable Entity"),
}


@dataclass(frozen=True)
class ValidationProblem:
    """One property that failed; `children` are the failed properties of a nested object."""

    property: str
    constraints: tuple[str, ...] = ()
    children: tuple[ValidationProblem, ...] = ()

    def as_text(self) -> str:
        """The text form of the custom pipes: `<prop> property is wrong,<constraints> <children>`."""
        return f"{self.property} property is wrong,{', '.join(self.constraints)} {problems_text(self.children)}"

    def as_json(self) -> dict[str, Any]:
        """The form of the global pipe's `details.errors`."""
        return {
            "property": self.property,
            "children": [child.as_json() for child in self.children],
            "constraints": {f"constraint{index}": text for index, text in enumerate(self.constraints)},
        }


def problems_text(problems: Sequence[ValidationProblem]) -> str:
    return ", ".join(problem.as_text() for problem in problems)


class ApiError(Exception):
    """An HTTP error in the envelope. `details` defaults to that of the usual text exceptions."""

    def __init__(self, status: int, message: str, *, code: str | None = None, details: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES[status][0]
        self.details = details or {"message": message, "error": _CODES[status][1], "statusCode": status}

    def body(self, path: str) -> dict[str, Any]:
        return {
            "status": "error",
            "timestamp": iso_ms(datetime.now(UTC)),
            "path": path,
            "error": {"code": self.code, "message": self.message, "details": self.details},
        }


class RawApiError(ApiError):
    """An error that escapes the envelope: `{"statusCode", "message"}` and nothing else."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message, code="HttpError", details=message)

    def body(self, path: str) -> dict[str, Any]:
        return {"statusCode": self.status, "message": self.message}


class BareApiError(ApiError):
    """An error whose filter gives no details: of tRPC, and of the database's unique keys."""

    def body(self, path: str) -> dict[str, Any]:
        body = super().body(path)
        return {**body, "error": {"code": self.code, "message": self.message}}


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def not_found(message: str) -> ApiError:
    return ApiError(404, message)


def throttled() -> ApiError:
    """Section 1.9: the limit is exceeded; the headers come from the gate."""
    text = "CustomThrottlerGuard - Too many requests. Please try again later."
    return ApiError(429, text, code="ThrottlerException", details="Too Many Requests")


def suspended() -> ApiError:
    """Section 4.1 tells of accounts suspended for sustained excess; status and text are not documented, and ours."""
    return ApiError(403, "This account has been suspended.")


def invalid_by_custom_pipe(problems: Sequence[ValidationProblem]) -> ApiError:
    """POST bookings, GET slots: the problems are the message."""
    return ApiError(400, problems_text(problems))


def invalid_by_global_pipe(problems: Sequence[ValidationProblem]) -> ApiError:
    """GET bookings: a fixed message, the problems in `details.errors`."""
    return ApiError(400, "Bad Request Exception", details={"errors": [problem.as_json() for problem in problems]})
