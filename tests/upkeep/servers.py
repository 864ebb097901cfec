"""A mail server and a web server that take what the morning report sends."""

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer


@dataclass
class Received:
    """What arrived."""

    port: int = 0
    mails: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    posts: list[dict] = field(default_factory=list)


@contextlib.contextmanager
def mail_server() -> Iterator[Received]:
    """Run an SMTP server (RFC 5321 without extensions) on a free port of loopback."""
    received = Received()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (text := self.rfile.readline()) != b".\r\n":
                        lines.append(text.decode())
                    received.mails.append("".join(lines))
                elif word == b"RCPT":
                    received.recipients.append(line.decode().split("<")[1].split(">")[0])
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    with running(socketserver.TCPServer(("127.0.0.1", 0), Session), received):
        yield received


@contextlib.contextmanager
def web_server(status: int = 200) -> Iterator[Received]:
    """Run a web server that keeps what is posted as JSON."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with running(HTTPServer(("127.0.0.1", 0), Handler), received):
        yield received


@contextlib.contextmanager
def running(server: socketserver.TCPServer, received: Received) -> Iterator[None]:
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
