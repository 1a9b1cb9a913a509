"""The stand-in on a port of loopback, and the faults that can be set for its requests."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from .api import Answer, Hub, Request


@dataclass
class Fault:
    """What happens to the first requests whose `METHOD path` matches.

    action: gives a status to answer with, "drop" for a connection that breaks, or None to go on. after: whether it
    strikes after the request took effect.
    """

    pattern: str
    action: Callable[[], int | str | None]
    times: int = 1
    after: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def interrupted() -> str:
    """A fault's action: Ctrl-C for the test that is running, and a connection that breaks."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)
    return "drop"


@dataclass
class StandIn(Hub):
    """The Hub with faults to come, and the requests that came."""

    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        """What is on the main branch of a repo, by path."""
        return self.repos[kind, name].files

    @property
    def writes(self) -> list[str]:
        """The requests that asked for a change, or prepared one."""
        return [each for each in self.requests if re.search(r"preupload|/commit/|lfs|storage|create|validate", each)]


@contextmanager
def running() -> Iterator[StandIn]:
    """A stand-in on a free port, in threads."""
    hub = StandIn()

    class Handler(_Handler):
        stand_in = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def reachable(hub: StandIn, token: str | None = "hf_writer") -> Iterator[None]:
    """Lets huggingface_hub, which tests keep offline, reach the stand-in and nothing else.

    Large files go the way of git-lfs: the other one, Xet, is a protocol between programs of its own.
    """
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace(constants.ENDPOINT, hub.url))
        patch.setattr(constants, "ENDPOINT", hub.url)
        for name, value in environment(hub, token).items():
            patch.setenv(name, value)
        if token is None:
            patch.delenv("HF_TOKEN", raising=False)
        yield


def environment(hub: StandIn, token: str | None = "hf_writer") -> dict[str, str]:
    """The same for another process."""
    loopback = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        **({"HF_TOKEN": token} if token else {}),
    }


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        # The whole body is read before anything else: what never arrived has no effect.
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        url = urlsplit(self.path)
        line = f"{self.command} {url.path}"
        self.stand_in.requests.append(line)
        if self._strikes(line, after=False):
            return
        given = self.headers.get("Authorization")
        token = given.removeprefix("Bearer ") if given else None
        answer = self.stand_in.answer(Request(self.command, url.path, parse_qs(url.query), token, body))
        if not self._strikes(line, after=True):
            self._send(answer)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _strikes(self, line: str, *, after: bool) -> bool:
        """Let the first fault for this request strike; whether the request is over with that."""
        for fault in self.stand_in.faults:
            if fault.times and fault.after == after and re.search(fault.pattern, line):
                fault.times -= 1
                outcome = fault.action()
                if isinstance(outcome, int):
                    self._send(Answer(outcome, fault.headers, json.dumps({"error": "a fault was set"}).encode()))
                elif outcome == "drop":
                    self.close_connection = True
                    self.connection.close()
                return outcome is not None
        return False

    def _send(self, answer: Answer) -> None:
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content)
        except OSError:
            self.close_connection = True
