"""Create COCO JSON: turn images and masks into a training set, browse it, preview its augmentation."""

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
CREATE, BROWSE, PREVIEW = "Create a data set", "Browse", "Augmentation preview"
Pairs = list[tuple[Path, Path, PairFacts]]


def choose_settings(classes: list[str]) -> dict[str, object]:
    """Draw the settings of the set; return them by the script's option names."""
    name = st.text_input("Data set name", free_name(), max_chars=70)
    names = st.text_input(
        "Class names, separated by commas", ", ".join(classes), key=f"classes-{classes}",
        help="Read from objects.json. For masks without it, list the names in the order of pixel values 1, 2, ...",
    )  # fmt: skip
    ratio = st.slider(
        "Training share", 0.05, 1.0, 0.8, 0.05, help="0.7 to 0.9 is usual. With 1 there is no validation set."
    )
    with st.expander("More settings"):
        whole = st.toggle("Split by video", help="Otherwise every video contributes some stretches to validation.")
        gap = st.number_input("Gap between training and validation, frames", 1, 100_000, 25)
        area = st.number_input("Minimum mask area, px", 1, 1_000_000, 16)
        mask_format = st.segmented_control("Mask format", ("polygons", "rle"), default="polygons", required=True)
        seed = st.number_input("Random seed of the split", 0, 2**31 - 1, 0)
        reviewed = st.toggle("Only drawn or accepted masks")
        crowds = st.toggle(
            "Crowds are animals", help="Of other COCO files: takes masks with iscrowd 1 as animals, as CVAT marks them."
        )
        bad = st.toggle("Skip frames that do not match", help="Otherwise a mismatch stops the job.")
    return {
        "name": name, "train-ratio": ratio, "annot-names": [part.strip() for part in names.split(",") if part.strip()],
        "split": "videos" if whole else "blocks", "gap-frames": int(gap), "min-area": int(area),
        "segmentation": mask_format, "seed": int(seed), "reviewed-only": reviewed, "skip-bad": bad,
        "crowds-are-animals": crowds,
    }  # fmt: skip


def outputs_of(chosen: dict[str, object]) -> Outputs:
    """Return the files of the set; InputError if the name cannot be used or is taken."""
    stem = project().coco_jsons / check_name(str(chosen["name"]), "data set name")
    val = None if chosen["train-ratio"] == 1 else Path(f"{stem}_val.json")
    outputs = Outputs.beside(Path(f"{stem}_train.json"), val)
    for path in (outputs.manifest, *outputs.files):
        if path.exists():
            raise InputError(f"{path.name} already exists; choose another name")
    return outputs


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


def create() -> None:
    """Draw the form from folders to a data set."""
    pairs = choose_pairs()
    merged = choose_merged()
    left, right = st.columns([0.5, 0.5], gap="large")
    with left, refusals():
        class_lists = [facts.classes for _, _, facts in pairs] + [file.classes for file in merged]
        chosen = choose_settings(distinct_names(name for names in class_lists for name in names))
        outputs = outputs_of(chosen)
        split = SplitSettings(chosen["train-ratio"], SplitBy(chosen["split"]), chosen["gap-frames"], chosen["seed"])
        if pairs:
            counts = resulting_counts([facts for _, _, facts in pairs], split)
            st.markdown(
                f"About **{counts[Side.TRAIN]} images for training**, **{counts[Side.VAL]} for validation**, "
                f"{counts[Side.LEFT_OUT]} left out in the gap."
            )
            st.caption(
                "An estimate from frame numbers alone. The job also balances the number of birds per image between "
                "both sides, so its result can differ by a few images; the report has the final numbers."
            )
        if merged:
            st.markdown(f"Plus {sum(file.images for file in merged)} images from other COCO files, split the same way.")
        busy = bool(active_jobs(KIND))
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=busy or not (pairs or merged)):
            queue(pairs, merged, chosen, outputs)
            st.rerun()
    with right:
        st.subheader("Latest data set")
        live(draw_last, busy=bool(active_jobs(KIND)))


def draw_last() -> bool:
    """Draw the newest job and, when it is done, its result; return whether one is running."""
    jobs = job_store().list(kind=KIND, project=project().root, limit=1)
    for job in jobs:
        show_job(job, "coco")
        if job.state is JobState.SUCCEEDED and job.output is not None:
            show_done(job.output.name.removesuffix(f".{MANIFEST}"))
    if not jobs:
        st.caption("No data set yet.")
    return bool(active_jobs(KIND))


title("coco")
mode = st.segmented_control(
    "What to do", (CREATE, BROWSE, PREVIEW), default=CREATE, required=True, label_visibility="collapsed"
)
if mode == CREATE:
    create()
elif (chosen := choose_set()) is not None:
    if mode == PREVIEW:
        show_augmentation(chosen)
    else:
        browse(chosen)
        show_report(chosen)
