"""Importing this makes a process deaf to SIGTERM and Ctrl-C.

It is imported by the process from which readers of pictures are forked, and by nothing else: stopping is for the
training process, which saves a checkpoint and then ends its readers. All of them end when it is gone.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
