"""The default ports of an installation; Settings can change them.

The service ports also stand in apptainer/start.sh, Caddyfile and nginx.conf; a test compares them.
"""

from typing import Annotated

from pydantic import Field

Port = Annotated[int, Field(ge=1, le=65535)]

APP_PORT = 8501  # the web app
SERVICE_PORTS = (8880, 8900)  # first and last port of SegAnnot, the board and TensorBoard
