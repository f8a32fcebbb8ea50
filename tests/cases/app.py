# Right: whatever the mode, a run counts exactly what was answered. Stands in for applications of others.
"""An application that is not the sample, by MODE: it knows /api only, or is ready later than it listens."""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE, NAME, STARTED = os.environ.get("MODE", ""), os.environ.get("INSTANCE", "?"), time.monotonic()


class Handler(BaseHTTPRequestHandler):
    """Answers with its name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as the mode has it."""
        status = 200
        if MODE == "strict" and self.path != "/api":
            status = 404
        if MODE == "slowready" and time.monotonic() - STARTED < 1.5:
            status = 503
        if MODE == "doubtful" and time.monotonic_ns() // 1_000 % 10 == 0:
            status = 401
        if MODE == "auth" and "Authorization" not in self.headers:
            status = 401
        body = b"Hello\n"
        self.send_response(status)
        self.send_header("X-Instance", NAME)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Has room for all clients at once."""

    request_queue_size = 1024


Server(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
