"""Start the web app: ``python -m gui [--host ADDRESS] [--port PORT] [--access-log]``.

    python -m gui                                       # on 127.0.0.1:8501, or as the settings say
    python -m gui --host 0.0.0.0                        # open to the network; sign-in is always asked for

A second start on the same state folder says where the app runs and ends well. Ctrl-C or SIGTERM stop the app; jobs
go on.
"""

from pydantic import Field

from backend.jobs import JobStore, start_scheduler
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.ports import Port
from backend.project.settings import Address, load_settings, state_folder
from backend.web.links import app_link
from backend.web.listen import listen
from backend.web.serve import serve
from gui.server import announce, build_app, recorded, running_app


class AppSettings(ScriptSettings):
    """What the command line can set for one run; None takes the installation's setting."""

    host: Address | None = Field(
        default=None, description="address to listen on (settings: bind_address); 0.0.0.0 opens it to the network"
    )
    port: Port | None = Field(default=None, description="port to listen on (settings: app_port)")
    access_log: bool = Field(default=False, description="log every request, not only refusals")


def main(argv: list[str]) -> None:
    """Start the app, or say where it runs already."""
    given = ScriptParser("gui", __doc__).settings(AppSettings, argv)
    state = state_folder()
    if found := running_app(state):
        announce(found.address, state)
        return
    settings = load_settings(state)
    settings = settings.model_copy(update={"bind_address": given.host or settings.bind_address})
    port = given.port or settings.app_port
    with recorded(settings, port, state), listen(settings.bind_address, port) as listener:
        app = build_app(settings, port, state)
        start_scheduler(JobStore(state))
        announce(app_link(settings, port), state)
        serve(app, settings.bind_address, port, access_log=given.access_log, listener=listener)


if __name__ == "__main__":
    run_script("gui", main)
