"""A service: [--after S] [--die-after S] [--code N] --host H --port P. Ready S seconds after its start."""

import argparse
import os
import threading
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from backend.jobs.script import run_script
from backend.project.settings import load_settings
from backend.web.gate import protect
from backend.web.serve import serve
from backend.web.token import token_source


def main(argv: list[str]) -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--after", type=float, default=0.0)
    parser.add_argument("--die-after", type=float)
    parser.add_argument("--code", type=int, default=0)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(argv)
    time.sleep(given.after)
    if given.die_after is not None:
        threading.Timer(given.die_after, os._exit, [given.code]).start()
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    serve(protect(app, settings=load_settings(), port=given.port, token=token_source()), given.host, given.port)


if __name__ == "__main__":
    run_script("server", main)
