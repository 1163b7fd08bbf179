"""The one HTTP door to providers: pooled connections, no redirects, a wall-clock limit, a size limit.

`requests` limits each socket operation, not the whole exchange: a server that drips a byte now and then would hold a
worker for ever. Here every read gets only what is left of the call's time. A fault says whether the request may have
reached the provider, since that decides between *transient* and *uncertain*.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import requests
from django.utils.translation import gettext_noop as _
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, ProtocolError

from integrations import __version__
from integrations.hygiene import keep_queries_out_of_logs, storable, without
from integrations.providers.base import Answer, Fault, Request, Response

USER_AGENT = f"Nectorbridge/{__version__} (+https://nector.io)"
LARGEST_ANSWER_BYTES = 4_194_304  # a thousand refused records with their echo stay below 1 MB
CONNECT_SHARE = 0.5  # of the wall clock: what is left must be enough to send and to read
CHUNK_BYTES = 65_536
POOL_SIZE = 32
UNSENDABLE = "unsendable"  # the kind of fault of a request that cannot even be written down
LATIN_1 = 256
# What can only go wrong once a request is under way.
ANSWER_FAULTS = (
    requests.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    ProtocolError,
    http.client.HTTPException,
    ConnectionResetError,
    BrokenPipeError,
)

keep_queries_out_of_logs()
_local = threading.local()
_sessions: dict[int, requests.Session] = {}
_sessions_lock = threading.Lock()
_under_way: set[socket.socket] = set()
_has_hung_up = threading.Event()


def _remaining() -> float:
    """Return the seconds left for this thread's call. Raises TimeoutError when there are none."""
    left = getattr(_local, "deadline", float("inf")) - time.monotonic()
    if left <= 0:
        raise TimeoutError("the wall clock ran out")
    return float(left)


class _DeadlineReader(socket.SocketIO):
    """A socket's reading end that never waits longer than what is left of the call's time."""

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, waiting at most until the deadline."""
        self._sock.settimeout(_remaining())  # type: ignore[attr-defined]
        return super().readinto(buffer)


class _DeadlineSocket:
    """Hands http.client a file whose reads respect the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        """Wrap the connected socket."""
        self._sock = sock

    def makefile(self, mode: str) -> Any:
        """Return the buffered reading end."""
        self._sock._io_refs += 1  # type: ignore[attr-defined]  # as socket.makefile does: the file keeps it open
        return io.BufferedReader(_DeadlineReader(self._sock, "r"), CHUNK_BYTES)


class _DeadlineResponse(http.client.HTTPResponse):
    """An answer read through `_DeadlineSocket`."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        """Read status line, headers and body from the wrapped socket."""
        super().__init__(_DeadlineSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _Sending:
    """Notes, per thread, that a request's body has begun to leave."""

    response_class: Any = _DeadlineResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect first, so that a refused connection is known not to have sent anything; then send."""
        if self.sock is None:  # type: ignore[attr-defined]
            _local.sent = False
            self.connect()  # type: ignore[attr-defined]
        _local.sent = False
        _local.socket = self.sock  # type: ignore[attr-defined]
        _under_way.add(_local.socket)
        if _has_hung_up.is_set():
            raise ConnectionAbortedError
        self.sock.settimeout(_remaining())  # type: ignore[attr-defined]
        _local.sent = True
        super().request(*args, **kwargs)  # type: ignore[misc]


class _PlainConnection(_Sending, HTTPConnection):
    """HTTP within the deadline."""


class _SecureConnection(_Sending, HTTPSConnection):
    """HTTPS within the deadline."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Uses the connections above, and never retries by itself: what is retried, and when, is the outbox's decision."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Point the pool manager at our connection classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


def _session() -> requests.Session:
    """Return this process's session. Sockets must not cross a fork, so each process makes its own."""
    session = _sessions.get(os.getpid())
    if session is None:
        with _sessions_lock:
            session = requests.Session()
            session.trust_env = False  # no proxy, no .netrc: only what the settings say
            adapter = _Adapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.headers.clear()
            _sessions.clear()
            _sessions[os.getpid()] = session
    return session


def send(request: Request, timeout: float, secrets: Iterable[str] = ()) -> Answer:
    """Send one request and return the answer, or the fault in words. Never raises for anything the network does.

    `timeout` is wall-clock seconds from connecting to the last byte. `secrets`, and what the secret headers say, are masked
    wherever the answer echoes them, also percent-encoded, so that nothing that reads, stores or shows it has to think of
    them. An answer without a date gets ours: the moment of a reset header is compared with it.
    """
    if not all(_sendable(value) for value in request.headers.values()):
        return Fault(
            UNSENDABLE, _("A credential has characters that cannot be sent. Copy it again from the provider."), sent=False
        )
    answer = _exchange(request, timeout)
    if isinstance(answer, Fault):
        return answer
    return replace(answer, text=without([*secrets, *_credentials(request)], storable(answer.text)))


def _credentials(request: Request) -> Iterable[str]:
    """Yield what the secret headers say: of `Basic …` what is behind the scheme, since it holds the key in other letters."""
    for name in request.secret_headers:
        yield request.headers.get(name, "").rpartition(" ")[2]


def _sendable(value: str) -> bool:
    """Tell whether a header's value can travel: Latin letters, no line break."""
    return value.isprintable() and all(ord(character) < LATIN_1 for character in value)


def _exchange(request: Request, timeout: float) -> Answer:
    """Send the request and read what comes back."""
    _local.deadline = time.monotonic() + timeout
    _local.sent = None  # not known: no connection of ours was asked yet
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity", **request.headers}
    try:
        answer = _session().request(
            request.method,
            request.url,
            data=request.body or None,
            headers=headers,
            timeout=(timeout * CONNECT_SHARE, timeout),
            allow_redirects=False,
            stream=True,
        )
        with answer:
            return _read(answer)
    except (requests.RequestException, OSError, http.client.HTTPException, ValueError) as error:
        return _fault(error)
    finally:
        _local.deadline = float("inf")
        _under_way.discard(getattr(_local, "socket", None))
        _local.socket = None


def hang_up() -> None:
    """End every exchange under way in this process, and let none begin any more: the process is about to be killed.

    Each ends as a connection that was cut, so that what is uncertain about it can still be written down.
    """
    _has_hung_up.set()
    for connection in list(_under_way):
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # also of a TLS socket: its own waits for an answer


def _read(answer: requests.Response) -> Answer:
    """Read the body within the limits."""
    if 300 <= answer.status_code < 400:
        return Fault(
            "redirect",
            _("The provider answered with a redirect (%(status)s); it is not followed.") % {"status": answer.status_code},
            sent=False,
        )
    body = bytearray()
    for chunk in answer.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            return Fault("too_large", _("The answer is larger than %(most)s bytes.") % {"most": LARGEST_ANSWER_BYTES}, sent=True)
        _remaining()
    headers = {"date": formatdate(usegmt=True)} | {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, bytes(body).decode("utf-8-sig", errors="replace"))


def _fault(error: Exception) -> Fault:
    """Name what went wrong, without the address: it may carry a secret."""
    chain = list(_causes(error))
    sent = getattr(_local, "sent", None)
    if sent is None:  # the exception alone must tell
        sent = any(isinstance(cause, ANSWER_FAULTS) for cause in chain) and not isinstance(error, requests.ConnectTimeout)
    timed_out = any(isinstance(cause, requests.Timeout | TimeoutError) or "timed out" in str(cause) for cause in chain)
    if sent and timed_out:
        return Fault("read_timeout", _("The provider did not answer in time."), sent=True)
    if sent:
        return Fault("cut", _("The connection was cut before the whole answer had come."), sent=True)
    if any(isinstance(cause, NameResolutionError | socket.gaierror) for cause in chain):
        return Fault("dns", _("The provider's name could not be resolved."), sent=False)
    if any(isinstance(cause, requests.exceptions.SSLError | ssl.SSLError) for cause in chain):
        return Fault("tls", _("No secure connection: the provider's certificate or protocol was not accepted."), sent=False)
    if timed_out:
        return Fault("connect_timeout", _("The provider did not accept a connection in time."), sent=False)
    return Fault("refused", _("The provider refused the connection."), sent=False)


def _causes(error: BaseException | None) -> Any:
    """Yield the exception and what lies beneath it, urllib3's `reason` included."""
    seen: set[int] = set()
    queue: list[Any] = [error]
    while queue:
        item = queue.pop()
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
