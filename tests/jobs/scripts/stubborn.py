"""A tree that is hard to end: FOLDER [marked]. Each of its processes writes its pid there.

It ignores SIGTERM, has a child that does, too, a grandchild in a session of its own, and an orphan in a session of its
own without any mark in its environment (but for ``marked``).
"""

import os
import signal
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


def live(name: str) -> None:
    """Say so, then stay for ever."""
    (folder / name).write_text(str(os.getpid()))
    while True:
        time.sleep(100)


signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        live("grandchild")
    live("child")
if "marked" not in sys.argv and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        text = f"import os, time; open({str(folder / 'unmarked')!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
        os.execve(sys.executable, [sys.executable, "-c", text], {})
    os._exit(0)
live("script")
