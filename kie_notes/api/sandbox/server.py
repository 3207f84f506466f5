"""The sandbox's line: an HTTP server on loopback that sends what it is told to, and can cut or silence the line.

It knows nothing of tasks: a function answers, and this module carries the answer.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from kie_notes.api.sandbox.faults import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Method, target, headers and body of a request in, the answer out.
    Answer = Callable[[str, str, dict[str, str], bytes], Reply]

#: Largest request that is read, in bytes.
_LARGEST = 1 << 20

#: Seconds for which a connection may be idle, and for which a silent answer stays silent.
_PATIENCE = 60.0


def is_loopback(host: str | None) -> bool:
    """Say whether a host names this machine itself: ``localhost``, 127.0.0.0/8, or ``::1``.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "127.0.0.1.example.com", "")]
    [True, True, True, False, False, False]
    """
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "kie-notes-sandbox"
    disable_nagle_algorithm = True
    timeout = _PATIENCE
    server: SandboxServer

    def do_GET(self) -> None:
        """Answer a GET."""
        self._send(self.server.answer("GET", self.path, dict(self.headers.items()), b""))

    def do_POST(self) -> None:
        """Answer a POST, once its body is read."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > _LARGEST or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(Reply(b"the request is too large, or does not say how large it is", 413, "text/plain"))
            return
        body = self.rfile.read(int(length))
        self._send(self.server.answer("POST", self.path, dict(self.headers.items()), body))

    def _send(self, reply: Reply) -> None:
        whole = reply.cut is None
        if whole or reply.cut:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body if whole else reply.body[: reply.cut])
        if reply.silent:
            self.connection.recv(1)  # until the client hangs up, or the sandbox closes
        self.close_connection = self.close_connection or not whole

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 -- the base's signature
        """Keep the standard error clean: the sandbox has a log of its own."""


class SandboxServer(ThreadingHTTPServer):
    """Listen on a loopback address and carry the answers of a function, each connection in a thread.

    Parameters
    ----------
    host
        A loopback address, not a name.
    port
        0 takes a free one.
    answer
        Called with method, target, headers and body, in several threads at once.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((host, port), _Handler)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without looking the machine's own name up, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base's signature
        """Note the connection before its thread begins, so that ``close`` misses none."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base's signature
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._open.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base's signature
        """Take it quietly when a client hangs up: many of the faults make it do so."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop listening, hang up on every client, and wait until all connections are closed."""
        self.shutdown()
        self._thread.join()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=5.0)
        self.server_close()
