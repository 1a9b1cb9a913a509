"""Serves the site on this machine while it is edited: what changes is built again, and open pages reload.

Only for editing: the site itself is files, for any static host.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from ..tasks import HoldfastError, UsageError
from .documents import DOCUMENTS
from .render import STATIC, TEMPLATES

_PAUSE = 0.5
"""Seconds between two looks at the files."""


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site, and `/built`: how often it was built."""

    def do_GET(self) -> None:
        if self.path != "/built":
            super().do_GET()
            return
        content = str(cast(_Server, self.server).built).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        # One line a request would drown what the builds say.
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    built = 0


def serve(
    build: Callable[[], object], out: Path, watched: list[Path], *, port: int, say: Callable[[str], None]
) -> Iterator[str]:
    """Serve `out` on loopback and yield the address; then build again whenever something watched changes.

    watched: folders besides those of the templates, styles and documents. A build that fails is said, and the last good
    one stays. Raises: UsageError when the port is taken.
    """
    build()
    try:
        server = _Server(("127.0.0.1", port), partial(_Handler, directory=str(out)))
    except OSError as error:
        raise UsageError(f"Port {port} is taken ({error.strerror}); give another with --port.") from error
    server.built = 1
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
        folders = [*watched, TEMPLATES, STATIC, DOCUMENTS]
        before = _state(folders)
        while True:
            time.sleep(_PAUSE)
            now = _state(folders)
            if now == before:
                continue
            before = now
            try:
                build()
            except HoldfastError as error:
                say(str(error))
            else:
                server.built += 1
                say("Built again.")
    finally:
        server.shutdown()
        server.server_close()


def _state(folders: list[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file():
                    status = path.stat()
                    found[str(path)] = (status.st_size, status.st_mtime_ns)
            except OSError:
                continue  # Gone between the listing and the look.
    return found
