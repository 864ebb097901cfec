"""The steps of the work, in order: what the sidebar shows and what comes before what."""

from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parent / "app_pages"


@dataclass(frozen=True)
class Step:
    """One page. ``before`` is the key of the step whose result this one needs; ``purpose`` is one plain sentence."""

    key: str
    title: str
    icon: str
    section: str
    purpose: str
    before: str | None = None

    @property
    def file(self) -> Path:
        """The page's script."""
        return PAGES / f"{self.key}.py"

    @property
    def is_built(self) -> bool:
        """Whether this version has the page."""
        return self.file.is_file()


LABEL, MEASURE, SYSTEM = "Teach", "Measure", "Lektrack"

STEPS = (
    Step("home", "Home", ":material/home:", "", "The project at a glance."),
    Step("videos", "Videos", ":material/video_library:", "", "The videos of the project."),
    Step("annotation", "Annotation", ":material/brush:", LABEL, "Outline birds in a few frames.", "videos"),
    Step("export", "Export frames", ":material/photo_library:", LABEL, "Save frames as pictures.", "videos"),
    Step("coco", "Create COCO JSON", ":material/dataset:", LABEL, "Turn outlines into a training set.", "export"),
    Step("train", "Train", ":material/model_training:", LABEL, "Teach the network your birds.", "coco"),
    Step("models", "Models", ":material/deployed_code:", LABEL, "Compare what was trained.", "train"),
    Step("inference", "Inference", ":material/frame_inspect:", MEASURE, "Find the birds in whole videos.", "models"),
    Step("track", "Track", ":material/timeline:", MEASURE, "Follow each bird with its identity.", "inference"),
    Step("correct", "Correct mistakes", ":material/rule:", MEASURE, "Put doubtful moments right.", "track"),
    Step("zones", "Zones", ":material/pentagon:", MEASURE, "Draw the parts of the lek.", "videos"),
    Step("statistics", "Statistics", ":material/bar_chart:", MEASURE, "Tables and plots per zone and bird.", "track"),
    Step("jobs", "Jobs", ":material/list_alt:", SYSTEM, "What runs, waits and ended."),
    Step("settings", "Settings", ":material/settings:", SYSTEM, "Folders, addresses, slots."),
)
BY_KEY = {step.key: step for step in STEPS}
