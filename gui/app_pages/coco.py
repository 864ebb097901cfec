"""Create COCO JSON: turn images and masks into a training set, look at it, and at what training makes of it."""

from pathlib import Path

import streamlit as st

from backend.dataset.outputs import Outputs
from backend.dataset.proposals import PairFacts, resulting_counts
from backend.dataset.sources import distinct_names
from backend.dataset.split import Side, SplitBy, SplitSettings
from backend.jobs import JobSpec, JobState
from backend.project.errors import InputError
from backend.project.manifest import MANIFEST
from backend.project.paths import check_name
from gui.widgets.coco_merge import MergedFile, choose_merged
from gui.widgets.coco_pairs import choose_pairs
from gui.widgets.coco_sets import browse, choose_set, free_name, show_augmentation, show_done, show_report
from gui.widgets.context import active_jobs, job_store, project, refusals, submit, title
from gui.widgets.job_view import show_job
from gui.widgets.live import live

KIND = "mask2coco"
MAKE, LOOK, SEE = "Make a set", "Look at a set", "What training sees"
Pairs = list[tuple[Path, Path, PairFacts]]


def choose_settings(classes: list[str]) -> dict[str, object]:
    """Draw the settings of the set; return them by the script's option names."""
    name = st.text_input("Name of the set", free_name(), max_chars=70)
    names = st.text_input(
        "Class names, separated by commas", ", ".join(classes), key=f"classes-{classes}",
        help="Filled in from objects.json. Without that file they are in the order of the pixel values 1, 2, ...",
    )  # fmt: skip
    ratio = st.slider(
        "Share for training", 0.05, 1.0, 0.8, 0.05, help="0.7 to 0.9 is usual; 1 writes no validation file."
    )
    with st.expander("More settings"):
        whole = st.toggle("Keep whole videos on one side", help="Else each video gives blocks of time to validation.")
        gap = st.number_input("Frames between training and validation", 1, 100_000, 25)
        area = st.number_input("Smallest mask, px", 1, 1_000_000, 16)
        form = st.segmented_control("Form of the masks", ("polygons", "rle"), default="polygons", required=True)
        seed = st.number_input("Seed of the split", 0, 2**31 - 1, 0)
        reviewed = st.toggle("Only masks that were hand-made or reviewed")
        bad = st.toggle("Leave out what does not fit together", help="Else nothing is written while anything is wrong.")
    return {
        "name": name, "train-ratio": ratio, "annot-names": [part.strip() for part in names.split(",") if part.strip()],
        "split": "videos" if whole else "blocks", "gap-frames": int(gap), "min-area": int(area), "segmentation": form,
        "seed": int(seed), "reviewed-only": reviewed, "skip-bad": bad,
    }  # fmt: skip


def outputs_of(chosen: dict[str, object]) -> Outputs:
    """Return the files of the set; InputError if the name cannot be used or is taken."""
    stem = project().coco_jsons / check_name(str(chosen["name"]), "name of the set")
    val = None if chosen["train-ratio"] == 1 else Path(f"{stem}_val.json")
    found = Outputs.beside(Path(f"{stem}_train.json"), val)
    for path in (found.manifest, *found.files):
        if path.exists():
            raise InputError(f"{path.name} is there already; choose another name")
    return found


def queue(pairs: Pairs, merged: list[MergedFile], chosen: dict[str, object], outputs: Outputs) -> None:
    """Hand the work to the queue."""
    command = ["-m", "backend.mask2coco", "--json-path-train", str(outputs.train)]
    command += ["--json-path-val", str(outputs.val)] if outputs.val else []
    if pairs:
        command += ["--img-folder-path", *(str(images) for images, _, _ in pairs)]
        command += ["--mask-folder-paths", *(str(masks) for _, masks, _ in pairs)]
    command += ["--merge", *(str(file.path) for file in merged)] if merged else []
    for option, value in chosen.items():
        if option == "name" or value is False or value == []:
            continue
        command += [f"--{option}", *([] if value is True else map(str, value if isinstance(value, list) else [value]))]
    submit(
        JobSpec(
            kind=KIND,
            title=f"Create data set {chosen['name']}",
            command=tuple(command),
            output=outputs.manifest,
            project=project().root,
            videos=tuple(images.name for images, _, _ in pairs),
            resumable=True,
        )  # fmt: skip
    )


def make() -> None:
    """Draw the way from folders to a set."""
    pairs = choose_pairs()
    merged = choose_merged()
    left, right = st.columns([0.5, 0.5], gap="large")
    with left, refusals():
        found = [facts.classes for _, _, facts in pairs] + [file.classes for file in merged]
        chosen = choose_settings(distinct_names(name for names in found for name in names))
        outputs = outputs_of(chosen)
        ways = SplitSettings(chosen["train-ratio"], SplitBy(chosen["split"]), chosen["gap-frames"], chosen["seed"])
        if pairs:
            counts = resulting_counts([facts for _, _, facts in pairs], ways)
            st.markdown(
                f"About **{counts[Side.TRAIN]} images for training**, **{counts[Side.VAL]} for validation**, "
                f"{counts[Side.LEFT_OUT]} left out between them."
            )
        if merged:
            st.markdown(f"{sum(file.images for file in merged)} images of COCO files come on top, in the same shares.")
        busy = bool(active_jobs(KIND))
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=busy or not (pairs or merged)):
            queue(pairs, merged, chosen, outputs)
            st.rerun()
    with right:
        st.subheader("Last set")
        live(draw_last, busy=bool(active_jobs(KIND)))


def draw_last() -> bool:
    """Draw the newest job and, when it is done, what came of it; return whether one is at work."""
    jobs = job_store().list(kind=KIND, project=project().root, limit=1)
    for job in jobs:
        show_job(job, "coco")
        if job.state is JobState.SUCCEEDED and job.output is not None:
            show_done(job.output.name.removesuffix(f".{MANIFEST}"))
    if not jobs:
        st.caption("No set was made yet.")
    return bool(active_jobs(KIND))


title("coco")
mode = st.segmented_control("What to do", (MAKE, LOOK, SEE), default=MAKE, required=True, label_visibility="collapsed")
if mode == MAKE:
    make()
elif (chosen := choose_set()) is not None:
    if mode == SEE:
        show_augmentation(chosen)
    else:
        browse(chosen)
        show_report(chosen)
