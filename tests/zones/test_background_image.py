"""What zones are drawn on."""

import cv2
import numpy as np

from backend.project.paths import Project
from backend.video import VideoReader
from backend.video.library import add_video
from backend.zones.background_image import frame_jpeg, median_jpeg


def test_a_frame_and_the_median_of_some(make_video, tmp_path):
    path = make_video(n_frames=30)
    project = Project(tmp_path / "project")
    video = add_video(project, path, [tmp_path])
    with VideoReader(path) as reader:
        pictures = reader.read(range(30)).astype(int)
    shown = cv2.imdecode(np.frombuffer(frame_jpeg(project, video, 7), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    differences = [np.abs(shown.astype(int) - picture).mean() for picture in pictures]
    assert int(np.argmin(differences)) == 7 and shown.shape == pictures[0].shape
    median = cv2.imdecode(np.frombuffer(median_jpeg(project, video), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    places = np.unique(np.linspace(0, 29, 9).astype(int))
    assert np.abs(median.astype(int) - np.median(pictures[places], axis=0)).mean() < 6
    assert median_jpeg(project, video) == median_jpeg(project, video)
