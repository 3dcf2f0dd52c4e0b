"""Refusals and failures in the service's one error shape (docs/interfaces.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What a failed request did: definitely nothing, or nobody knows yet."""

    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(eq=False)
class ServiceError(Exception):
    """An answer that is not a success. `retry_after_s` is given exactly on 503."""

    status: int
    code: str
    message: str
    effect: Effect = Effect.NONE
    retry_after_s: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, object]:
        return {"error": {"code": self.code, "message": self.message, "effect": self.effect.value}}


def _unavailable(code: str, message: str, effect: Effect = Effect.NONE, retry_after_s: int = 1) -> ServiceError:
    return ServiceError(503, code, message, effect, retry_after_s)


def slot_taken() -> ServiceError:
    return ServiceError(409, "slot_taken", "The person is not free at that time.")


def not_held(message: str = "There is no such booking of this caller.") -> ServiceError:
    return ServiceError(409, "not_held", message)


def busy() -> ServiceError:
    return _unavailable("busy", "Another booking of this person is being decided.")


def overloaded(message: str = "No capacity is free at the moment.") -> ServiceError:
    return _unavailable("overloaded", message)


def rate_limited(retry_after_s: int = 1) -> ServiceError:
    return _unavailable("rate_limited", "The request budget of Cal.com is spent.", retry_after_s=retry_after_s)


def calcom_unavailable(message: str = "Cal.com does not answer.", effect: Effect = Effect.NONE) -> ServiceError:
    return _unavailable("calcom_unavailable", message, effect)


def redis_unavailable() -> ServiceError:
    return _unavailable("redis_unavailable", "Redis does not answer.")


def database_unavailable() -> ServiceError:
    return _unavailable("database_unavailable", "The database does not answer.")


def bad_signature() -> ServiceError:
    return ServiceError(401, "bad_signature", "The request is not signed, or its signature is wrong or too old.")


def invalid(message: str, status: int = 422) -> ServiceError:
    return ServiceError(status, "invalid", message)


def not_found(message: str) -> ServiceError:
    return ServiceError(404, "not_found", message)


def too_large(limit_bytes: int) -> ServiceError:
    return ServiceError(413, "too_large", f"The body is larger than {limit_bytes} bytes.")
