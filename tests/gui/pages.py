"""Pages as a person opens and clicks them, without a browser."""

from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

APP = Path(__file__).parents[2] / "gui" / "app.py"


def opened(key: str, **state: object) -> AppTest:
    """Return the app on one page, come to from Home with ``state`` in its session, drawn without an error."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception, app.exception
    for name, value in state.items():
        app.session_state[name] = value
    if key != "home":
        app.switch_page(f"app_pages/{key}.py").run()
    assert not app.exception, app.exception
    return app


def button(app: AppTest, label: str) -> Button:
    """Return the first button with this label."""
    return next(each for each in app.button if each.label == label)
