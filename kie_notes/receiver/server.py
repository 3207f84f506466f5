"""The app on a line: uvicorn, with limits of its own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from kie_notes.receiver.app import create_app, missing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    import uvicorn
    from starlette.applications import Starlette

    from kie_notes.api.client import KieClient
    from kie_notes.receiver.app import Unsigned
    from kie_notes.store import Store


def listen(
    store: Store,
    *,
    keys: Sequence[str] | Unsigned,
    client: KieClient | None = None,
    host: str = "127.0.0.1",
    port: int = 8780,
    path: str = "/",
    ready: Callable[[str], object] | None = None,
) -> None:
    """Take callbacks into a store until Ctrl-C.

    It speaks plain HTTP. The service must reach it by a public address, so a reverse proxy belongs in front, for TLS
    and against floods.

    Parameters
    ----------
    store, keys, client, path
        As for ``create_app``.
    host, port
        Where to listen; port 0 takes a free one.
    ready
        Called with the address, once connections are taken.

    Raises
    ------
    OSError
        If host and port cannot be listened on.
    MissingExtraError
        If starlette or uvicorn is not installed.
    KeyboardInterrupt
        At Ctrl-C, once all that was acknowledged is sealed.
    """
    runner = server(create_app(store, keys=keys, client=client, path=path))
    with bound(host, port) as line:
        if ready is not None:
            ready(f"http://{f'[{host}]' if ':' in host else host}:{line.getsockname()[1]}{path}")
        runner.run(sockets=[line])


def bound(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send at once; asyncio sees to that only for sockets that it made."""
    line = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def server(app: Starlette, *, patience: float = 10.0) -> uvicorn.Server:
    """A uvicorn server that hangs up on whoever takes more than ``patience`` seconds for the head of a request."""
    try:
        import h11
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError as fault:
        raise missing("uvicorn") from fault

    class Prompt(H11Protocol):
        """uvicorn bounds the pause between two requests, but not the time in which a request's head comes."""

        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.late = self.loop.call_later(patience, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._in_time()
            elif self.late is None:
                self.late = self.loop.call_later(patience, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            super().connection_lost(exc)

        def _in_time(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Prompt,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=500,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=15,
            h11_max_incomplete_event_size=16 * 1024,
        )
    )
