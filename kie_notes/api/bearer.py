"""The key, in the one header where it belongs, and in nothing else that anybody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests.auth

from kie_notes.errors import AuthenticationError

if TYPE_CHECKING:
    from kie_notes.errors import ApiError


class Bearer(requests.auth.AuthBase):
    """Put a key into requests; given as ``auth``, so that no ~/.netrc replaces it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def check(self, url: str) -> None:
        """Raise what is wrong with the key, before anything is sent to ``url``.

        Raises
        ------
        AuthenticationError
            If there is no key, or it holds characters that no key has.
        """
        if not self._key:
            msg = "no key: pass api_key=... or set KIE_API_KEY (the service's API key page shows yours)"
            raise AuthenticationError(msg, url=url)
        if not (self._key.isascii() and self._key.isprintable()):
            msg = "the key holds characters that no key has (a line break, or a letter outside ASCII?)"
            raise AuthenticationError(msg, url=url)

    def hide_in(self, fault: ApiError) -> None:
        """Take the key out of an error about an answer that held it."""
        if self._key:
            fault.args = tuple(str(part).replace(self._key, "***") for part in fault.args)
            fault.body = fault.body.replace(self._key.encode(), b"***")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into one request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request
