"""The steps of the work, in order: what the sidebar shows."""

from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parent / "app_pages"


@dataclass(frozen=True)
class Step:
    """One page. ``purpose`` is one plain sentence; the section of the user guide has the page's title."""

    key: str
    title: str
    icon: str
    section: str
    purpose: str

    @property
    def file(self) -> Path:
        """The page's script."""
        return PAGES / f"{self.key}.py"


LABEL, MEASURE, SYSTEM = "Teach", "Measure", "Lektrack"

STEPS = (
    Step("home", "Home", ":material/home:", "", "Your project at a glance."),
    Step("videos", "Videos", ":material/video_library:", "", "Add and describe the videos of this project."),
    Step("annotation", "Annotation", ":material/brush:", LABEL, "Outline birds in a few frames."),
    Step("export", "Export frames", ":material/photo_library:", LABEL, "Save frames of a video as images."),
    Step("coco", "Create COCO JSON", ":material/dataset:", LABEL, "Turn outlines into a training set."),
    Step("train", "Train", ":material/model_training:", LABEL, "Teach a network to recognise your birds."),
    Step("models", "Models", ":material/deployed_code:", LABEL, "Compare trained models."),
    Step("inference", "Inference", ":material/frame_inspect:", MEASURE, "Detect the birds in whole videos."),
    Step("track", "Track", ":material/timeline:", MEASURE, "Follow each bird and keep its identity."),
    Step("correct", "Correct mistakes", ":material/rule:", MEASURE, "Check and correct doubtful identities."),
    Step("zones", "Zones", ":material/pentagon:", MEASURE, "Draw the areas of the lek."),
    Step("statistics", "Statistics", ":material/bar_chart:", MEASURE, "Tables and plots by zone and bird."),
    Step("jobs", "Jobs", ":material/list_alt:", SYSTEM, "Running, queued and finished jobs."),
    Step("settings", "Settings", ":material/settings:", SYSTEM, "Folders, addresses, resources and notifications."),
)
BY_KEY = {step.key: step for step in STEPS}
