"""Every error that kie_notes raises on purpose.

::

    KieNotesError
    ├── ApiError                   an exchange with the service went wrong: url, status, code
    │   ├── AuthenticationError    the key is missing, wrong, or not allowed from here
    │   ├── CreditsError           the account or the key has no credits left
    │   ├── NotFoundError          the service does not know the task (or not yet)
    │   ├── RateLimitError         too many requests; retry_after seconds when the service says so
    │   ├── MaintenanceError       the service is being repaired; come back later
    │   ├── TaskFailedError        the service tried and could not make a result
    │   ├── RefusedError           the request itself will never be accepted as it is
    │   ├── ServerError            the service failed; trying again may help
    │   ├── NoAnswerError          no answer came: refused, time-out, TLS, name look-up
    │   │   └── AmbiguousError     ... after a request that may have been carried out: do not repeat it blindly
    │   └── BadResponseError       an answer came that cannot be one: no JSON, cut short, too large, another task
    ├── TaskExpiredError           the 14 days are over and the result is gone
    ├── RecordError (ValueError)   a body from which no record can be read
    ├── SignatureError (ValueError)  a callback that was not signed with a key of ours, or too long ago
    ├── NotesSchemaError (ValueError)  a frame that is no notes table, or not the result that a plot draws
    │   └── NotesOrderError        ... or one whose rows are not in canonical order
    ├── MidiError (ValueError)     notes that no MIDI file can hold, or a file that holds no notes
    ├── StoreError                 a store that cannot be opened, read or written
    ├── PartError                  some parts could not be worked on, all others were (in kie_notes.mapping)
    ├── WorkerError                a process that worked for this one died
    └── MissingExtraError (ImportError)  an optional library is not installed

    ExpiryWarning (UserWarning)    a result will be gone within two days and has not come yet

A message says where, what was expected, what came, and what to do about it when that is known. It never holds a key.
"""

from __future__ import annotations


class KieNotesError(Exception):
    """Base of every error that kie_notes raises on purpose."""


class ApiError(KieNotesError):
    """An exchange with the service went wrong.

    Attributes
    ----------
    url
        Address of the request, without any key.
    status
        HTTP status, or None when no answer came.
    code
        The body's own ``code``, or None when there was none.
    body
        The answer byte for byte, empty when there was none.
    retry_after
        Seconds that the service asked to wait, or None.
    passing
        Whether the fault may pass by itself, so that asking again later can help.
    """

    passing = False

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        status: int | None = None,
        code: int | None = None,
        body: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.code = code
        self.body = body
        self.retry_after = retry_after


class AuthenticationError(ApiError):
    """The key is missing, wrong, or not allowed from here (HTTP 401 or 403, body 401)."""


class CreditsError(ApiError):
    """The account or the key has no credits left (body 402 or 433, or a text that speaks of credits)."""


class NotFoundError(ApiError):
    """The service does not know the task, or does not know it yet."""

    passing = True


class RateLimitError(ApiError):
    """Too many requests (429, 430, 405)."""

    passing = True


class MaintenanceError(ApiError):
    """The service is being repaired (455)."""

    passing = True


class TaskFailedError(ApiError):
    """The service tried and could not make a result (501, 531)."""


class RefusedError(ApiError):
    """The request will never be accepted as it is (400, 409, 413, 422, 451, 505, a redirect to another host)."""


class ServerError(ApiError):
    """The service failed (408, 500, 5xx)."""

    passing = True


class NoAnswerError(ApiError):
    """No answer came: connection refused, time-out, TLS, name look-up, or a line cut in the middle."""

    passing = True


class AmbiguousError(NoAnswerError):
    """No usable answer came to a request that may have been carried out: repeating it may do the work twice."""

    passing = False


class BadResponseError(ApiError):
    """An answer came that cannot be one: no JSON, cut short, too large, or about another task."""

    passing = True


class TaskExpiredError(KieNotesError):
    """The service keeps results for 14 days; this one is gone."""


class RecordError(KieNotesError, ValueError):
    """A body from which no record can be read."""


class SignatureError(KieNotesError, ValueError):
    """A callback whose signature is missing, wrong, or too old; nothing of it is taken."""


class NotesSchemaError(KieNotesError, ValueError):
    """A frame that is no notes table, or not the result that a plot draws."""


class NotesOrderError(NotesSchemaError):
    """A notes table whose rows are not in canonical order; ``sort_notes`` mends it."""


class MidiError(KieNotesError, ValueError):
    """Notes that no MIDI file can hold, or a file from which no notes can be read."""


class StoreError(KieNotesError):
    """A store that cannot be opened, read or written."""


class WorkerError(KieNotesError):
    """A process that worked for this one died: it was killed, or its memory was at an end."""


class MissingExtraError(KieNotesError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


class ExpiryWarning(UserWarning):
    """A result will be gone within two days and has not come yet."""
