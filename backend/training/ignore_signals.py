"""Ignore SIGTERM and SIGINT (Ctrl-C) in the data-loader fork server.

Only that process imports this module, and the readers forked from it inherit it: a stop is for the training process,
which saves a checkpoint and then ends its readers. All of them end when it is gone.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
