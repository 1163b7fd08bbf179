"""The HTTP server: threads, keep-alive, one send per answer, and the ways in which an answer can go wrong on the wire."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from nectorbridge.sandbox.contract import Reply, Request

BODY_MAX_BYTES = 64_000_000
FILLER_CHUNK_BYTES = 65_536
POLL_SECONDS = 0.02
CONNECTION_LOST = (ConnectionError, TimeoutError)
PHRASES = {status.value: status.phrase for status in HTTPStatus}

Answer = Callable[[Request], Reply]


class Server(ThreadingHTTPServer):
    """Listens from its creation on; answers between `start` and `stop`."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        """Listen on the address. Raises OSError where it can't be had."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.stopping = threading.Event()
        self._open: set[Any] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=[POLL_SECONDS], name="sandbox", daemon=True)
        super().__init__((host, port), Handler)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that the base class makes, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        """Answer in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering: end the pauses, close every connection and the port."""
        self.stopping.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        for connection in list(self._open):
            _hang_up(connection)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's end."""
        if seconds > 0:
            self.stopping.wait(seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, to be closed at the end."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests whole, writes each answer in one send."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve the connection until either side has had enough."""
        try:
            super().handle()
        except CONNECTION_LOST:
            self.close_connection = True

    def serve(self) -> None:
        """Answer one request."""
        body = self._body()
        if body is None:
            return
        try:
            url = urlsplit(self.path)
        except ValueError:
            self._refuse(400)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        self._write(self.server.answer(Request(self.command, unquote(url.path), query, headers, body)))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def _body(self) -> bytes | None:
        """Return the body; answer and close where it cannot be read."""
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding"):
            self._refuse(411)
            return None
        if not length.isascii() or not length.isdigit():
            self._refuse(400)
            return None
        if int(length) > BODY_MAX_BYTES:
            self._refuse(413)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError
        return body

    def _refuse(self, status: int) -> None:
        """Answer a request that can't be read, and close."""
        self.close_connection = True
        self._write(Reply(status))

    def _write(self, reply: Reply) -> None:
        """Send the answer, in the manner it asks for."""
        if reply.is_cut:
            self.close_connection = True
            return
        if reply.filler_bytes:
            self.close_connection = True
        body = b"" if self.command == "HEAD" else reply.body
        data = self._head(reply) + body
        if reply.drip_seconds:
            self._drip(data, reply.drip_seconds)
        else:
            self.connection.sendall(data)
        self._fill(reply.filler_bytes)

    def _head(self, reply: Reply) -> bytes:
        """Return the status line and the headers."""
        lines = [f"HTTP/1.1 {reply.status} {PHRASES.get(reply.status, 'Unknown')}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if not reply.filler_bytes:
            lines.append(f"Content-Length: {len(reply.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drip(self, data: bytes, seconds: float) -> None:
        """Send a byte, wait, send the next."""
        for i in range(len(data)):
            if self.server.stopping.is_set():
                raise ConnectionResetError
            self.connection.sendall(data[i : i + 1])
            self.server.pause(seconds)

    def _fill(self, size: int) -> None:
        """Send that many spaces: after a JSON body they change nothing but its size."""
        chunk = b" " * FILLER_CHUNK_BYTES
        while size > 0:
            self.connection.sendall(chunk[:size])
            size -= len(chunk)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: what arrived is on the page."""


def _hang_up(connection: Any) -> None:
    """Wake a thread that reads from the connection; it closes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was quicker
