"""Make a proxy video, in which every frame is a key frame, for fast seeking and playback on the board.

    python -m backend.proxy --video lek-north

It is PROJECT/.cache/proxies/VIDEO/proxy.mp4, at most 960 px wide, made once; frame numbers are those of the video.
`python -m backend.admin clean` deletes it with all else that can be made again. Paused pictures, tracking and
statistics never use it.
"""

from backend.jobs.progress import Progress
from backend.jobs.script import run_script
from backend.project.disk import as_bytes
from backend.project.locks import output_lock
from backend.video.library import open_video
from backend.video.proxies import has_proxy, inputs_of, make_proxy, proxy_folder
from backend.video.video_argument import parse_video_argument


def main(argv: list[str]) -> None:
    """Make one proxy; see the module's text."""
    project, record = parse_video_argument("backend.proxy", __doc__, argv)
    folder = proxy_folder(project, record.slug)
    with output_lock(folder), Progress() as progress:
        if has_proxy(project, record):
            print(f"{folder} is there already")
            return
        progress.stage("reading the video's index")
        with open_video(project, record.slug) as reader:
            progress.stage("making the proxy video", total=len(reader))
            manifest = make_proxy(folder, reader, inputs_of(record), progress.update)
    (file,) = manifest.files.values()
    unread = f"; {manifest.counts['damaged']} frames cannot be decoded and are black" * bool(manifest.counts["damaged"])
    print(f"{folder}: {manifest.counts['frames']} frames, {as_bytes(file.size)}{unread}")


if __name__ == "__main__":
    run_script("proxy", main)
