"""The receiver of callbacks: an ASGI app that has every callback on disk before it answers 200.

::

    request ── size, time ── task_of ── verify_signature ── queue ── one writer: Store.receive ── 200
                                                                     a sealer: Store.seal
                                                                     a confirmer: watch (when there is a client)

A transaction that is truly on disk takes milliseconds, whether it holds one callback or sixty. So one thread writes,
and takes with it all that arrived while it wrote the last time. Everything that waits is bounded, in number, in bytes
and in time: what would go beyond is answered with 503, and the service delivers it again.

The service waits 15 s for an answer and gives up after three tries, so an answer goes out in any case. A 200 says that
the callback is on disk; without a 200 it may be there all the same, and the next delivery is a second one, which
changes nothing.
"""

from kie_notes.receiver.app import WITHOUT_SIGNATURE, create_app
from kie_notes.receiver.server import listen

__all__ = ["WITHOUT_SIGNATURE", "create_app", "listen"]
