"""The key, in the one header where it belongs, and in nothing else that anybody sees."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

import requests.auth

from kie_notes.errors import AuthenticationError

if TYPE_CHECKING:
    import logging

    from kie_notes.errors import ApiError

#: Characters of the shortest key that is looked for in answers: a shorter one is none, and stands in many by chance.
_SHORTEST = 8


class Bearer(requests.auth.AuthBase):
    """Put a key into requests; given as ``auth``, so that no ~/.netrc replaces it."""

    def __init__(self, key: str) -> None:
        self._key = key
        pattern = "".join(map(_spelt, key)) if len(key) >= _SHORTEST else "(?!)"
        self._text = re.compile(pattern)
        self._bytes = re.compile(pattern.encode())
        self._packed = _in_base64(key) if len(key) >= _SHORTEST else []

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

    def cut_out(self, body: bytes) -> tuple[bytes, bool]:
        """Give a body without the key, and whether it was there."""
        clean = self._bytes.sub(b"***", body)
        for form in self._packed:
            clean = clean.replace(form.encode(), b"***")
        return clean, clean != body

    def hidden(self, text: str) -> str:
        """Give a text without the key."""
        text = self._text.sub("***", text)
        for form in self._packed:
            text = text.replace(form, "***")
        return text

    def hide_in(self, fault: ApiError) -> None:
        """Take the key out of an error: out of its text and its causes, and out of reach of their frames.

        Frames of the HTTP library hold the header; tools that show local variables beside a traceback would show it.
        """
        fault.args = tuple(self.hidden(str(part)) for part in fault.args)
        link: BaseException | None = fault
        while link is not None:
            link.__traceback__ = None
            vars(link).pop("request", None)  # of requests' errors: the header is in it
            inner = link.__cause__ or link.__context__
            if inner is not None and self._holds(f"{inner} {inner!r}"):
                link.__cause__ = link.__context__ = inner = None
            link = inner

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the key out of a log line: urllib3 tells of header lines that it cannot read, whatever they hold."""
        told = record.getMessage()
        if self._holds(told):
            record.msg, record.args, record.exc_info = self.hidden(told), (), None
        return True

    def _holds(self, text: str) -> bool:
        return self.hidden(text) != text

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into one request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _spelt(letter: str) -> str:
    r"""How a letter of the key may come back: as it is, or as texts in JSON, Python and addresses have it.

    >>> _spelt("a"), bool(re.fullmatch(_spelt("/"), r"\/")), bool(re.fullmatch(_spelt("/"), "%2f"))
    ('a', True, True)
    """
    if letter.isalnum() or letter in "-._~":
        return re.escape(letter)
    code = f"{ord(letter):02x}"
    return rf"(?:\\*{re.escape(letter)}|(?i:%{code}|\\+u00{code}))"


def _in_base64(key: str) -> list[str]:
    """What is the same in the base64 of every text in which the key stands, as JSON and addresses have it.

    >>> _in_base64("sesame01")
    ['Nlc2FtZTAx', 'c2VzYW1lMD', 'zZXNhbWUwM']
    """
    found = []
    for before in range(3):  # bytes that share its first letters
        text = b64encode(b" " * before + key.encode("utf-8", "replace")).decode()
        form = text[-(-8 * before // 6) : (before + len(key)) * 8 // 6]
        found += [form, form.replace("/", "\\/"), form.replace("+", "-").replace("/", "_")]
    return sorted(set(found))
