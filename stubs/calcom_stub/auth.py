"""Who asks: API keys and the texts of refused credentials (FACTS-calcom-retell.md section 1.1)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers

from calcom_stub.errors import ApiError

_KEY_PREFIX = "cal_"
_NO_CREDENTIAL = (
    "PermissionsGuard - no authentication provided. Provide either authorization bearer token containing managed "
    "user access token or oAuth client id in 'x-cal-client-id' header."
)


def bearer_token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Keyring:
    """The API keys of all companies."""

    def __init__(self, company_by_key: Mapping[str, int]) -> None:
        self._company_by_key = dict(company_by_key)

    def optional(self, headers: Headers) -> int | None:
        """The company of the key, None without a credential. Raises ApiError 401 for a bad credential."""
        token = bearer_token(headers)
        if token is None:
            return None
        if not token.startswith(_KEY_PREFIX):
            raise ApiError(401, "ApiAuthStrategy - access token - Invalid Access Token.")
        if token not in self._company_by_key:
            raise ApiError(401, "ApiAuthStrategy - api key - Your api key is not valid")
        return self._company_by_key[token]

    def required(self, headers: Headers) -> int:
        """The company of the key. Raises ApiError 403 without an API key, 401 for an unknown one."""
        token = bearer_token(headers)
        if token is not None and not token.startswith(_KEY_PREFIX):
            raise ApiError(403, f"PermissionsGuard - no oAuth client found for access token={token}")
        company = self.optional(headers)
        if company is None:
            raise ApiError(403, _NO_CREDENTIAL)
        return company
