"""SAM 2.1 or EdgeTAM through `transformers`: outlines from points and boxes, and propagation with a bounded memory.

Frames go through the network as a stream of their own numbering, 0 for the labelled frame and then upward in either
direction of the video. Only what the memory attention can still reach is kept, so an hour of video needs as much
memory as a few seconds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from transformers import AutoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession
from transformers.utils import logging as transformers_logging

from backend.detectors.precision import FORMATS, number_format, pick_device
from backend.project.errors import InputError
from segannot.engines.base import LabelledFrame, PropagatedFrame, Stroke, StrokeKind
from segannot.mask_edits import put_object

POINTS_A_STROKE = 6
POINTS_INSIDE = 3  # taken from the current outline when a person corrects it
POSITIVE, NEGATIVE, CORNERS = 1, 0, (2, 3)  # the network's labels of points
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as SAM 2 was trained


class Sam2Engine:
    """See `segannot.engines.base.Engine`.

    Parameters
    ----------
    folder
        A model as ``save_pretrained`` writes it: ``config.json`` and ``model.safetensors``. Nothing is downloaded.
    device
        "cpu" or "cuda:0".
    half_precision
        bf16 (fp16 before compute capability 8.0) on a GPU.

    Raises
    ------
    InputError
        If the folder holds no such model.
    """

    name = "sam2"

    def __init__(self, folder: Path, device: str = "cpu", half_precision: bool = False):
        target = pick_device(device)
        self._dtype = FORMATS[number_format(target, "auto" if half_precision else "fp32")]
        transformers_logging.disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=self._dtype)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} holds no SAM 2 or EdgeTAM video model: {str(error).splitlines()[0]}") from error
        self._model = model.to(target).eval()
        self._device = target
        size = model.config.image_size
        self._side = int(size if isinstance(size, int) else size[0])
        self._reach = max(model.config.num_maskmem, model.config.max_object_pointers_in_encoder) + 1
        self._still: tuple[int, Sam2VideoInferenceSession] | None = None  # the frame that is being annotated

    def learn(self, view: LabelledFrame, numbers: Sequence[int]) -> None:
        """Do nothing: the network is trained already."""

    @torch.inference_mode()
    def segment(self, view: LabelledFrame, number: int, drawn: Sequence[Stroke]) -> np.ndarray:
        """See `Engine.segment`. Strokes become point prompts, as do a few points deep inside the current outline."""
        before = view.labels == number
        if not drawn:
            return before
        points, labels = self._prompts(before, drawn)
        session = self._session_of(view)
        index = session.obj_id_to_idx(number)
        scaled = points * (self._side / np.array(view.picture.shape[1::-1]))
        session.add_point_inputs(
            index,
            0,
            {
                "point_coords": torch.tensor(scaled, dtype=self._dtype)[None, None],
                "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None],
            },
        )
        session.obj_with_new_inputs = [number]
        output = self._model(session, frame_idx=0, run_mem_encoder=False)
        return self._mask(output.pred_masks[0, 0], view.picture.shape[:2])

    @torch.inference_mode()
    def propagate(self, start: LabelledFrame, pictures: Iterator[tuple[int, np.ndarray]], numbers: Sequence[int],
                  order: Sequence[int]) -> Iterator[PropagatedFrame]:  # fmt: skip
        """See `Engine.propagate`."""
        session = self._new_session()
        session.add_new_frame(self._pixels(start.picture), 0)
        numbers = [number for number in order if number in numbers and (start.labels == number).any()]
        for number in numbers:
            mask = cv2.resize((start.labels == number).astype(np.float32), (self._side,) * 2)
            session.add_mask_inputs(session.obj_id_to_idx(number), 0, torch.tensor(mask > 0.5)[None, None].float())
        session.obj_with_new_inputs = list(numbers)
        if numbers:
            self._model(session, frame_idx=0)
        for step, (frame, picture) in enumerate(pictures, 1):
            yield self._propagated(session, step, frame, picture, numbers)
            self._forget(session, step)

    def _propagated(
        self, session: Sam2VideoInferenceSession, step: int, frame: int, picture: np.ndarray, numbers: Sequence[int]
    ) -> PropagatedFrame:
        labels = np.zeros(picture.shape[:2], np.uint8)
        if not numbers:
            return PropagatedFrame(frame, labels)
        output = self._model(session, frame=self._pixels(picture), frame_idx=step)
        scores = torch.sigmoid(output.object_score_logits.float()).flatten().tolist()
        confidence = {}
        for number, logits, score in zip(numbers, output.pred_masks[:, 0], scores, strict=True):
            mask = self._mask(logits, labels.shape)
            labels = put_object(labels, mask, number, set())
            sure = torch.sigmoid(logits.float().abs()).mean().item() * 2 - 1  # 0: every pixel is undecided
            confidence[number] = float(score * sure) if mask.any() else 0.0
        return PropagatedFrame(frame, labels, confidence)

    def _forget(self, session: Sam2VideoInferenceSession, step: int) -> None:
        """Drop what later frames cannot reach: images at once, outputs beyond the memory attention."""
        session.processed_frames.pop(step, None)
        session.processed_frames.pop(0, None)
        for index in range(session.get_obj_num()):
            outputs = session.output_dict_per_obj[index]["non_cond_frame_outputs"]
            for old in [past for past in outputs if past <= step - self._reach]:
                del outputs[old]
            tracked = session.frames_tracked_per_obj[index]
            for old in [past for past in tracked if past <= step - self._reach]:
                del tracked[old]

    def _new_session(self) -> Sam2VideoInferenceSession:
        return Sam2VideoInferenceSession(
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=self._dtype,
        )

    def _session_of(self, view: LabelledFrame) -> Sam2VideoInferenceSession:
        """Return a session that holds the frame; its image is encoded once, however many strokes are drawn on it."""
        if self._still is None or self._still[0] != view.frame:
            session = self._new_session()
            session.add_new_frame(self._pixels(view.picture), 0)
            self._still = view.frame, session
        session = self._still[1]
        session.reset_tracking_data()
        return session

    def _pixels(self, picture: np.ndarray) -> torch.Tensor:
        """Return (3, side, side): the image as network input, resized to a square."""
        small = cv2.resize(picture, (self._side,) * 2, interpolation=cv2.INTER_AREA)
        values = torch.from_numpy(small).to(self._device).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(each, device=self._device)[:, None, None] for each in (MEAN, STD))
        return ((values - mean) / std).to(self._dtype)

    def _mask(self, logits: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
        values = logits.float().cpu().numpy()
        return cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) > 0

    def _prompts(self, before: np.ndarray, drawn: Sequence[Stroke]) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, 2) points, px of the frame, and their (N,) labels; corners of a box come first."""
        points: list[np.ndarray] = []
        labels: list[int] = []
        boxes = [each for each in drawn if each.kind is StrokeKind.BOX]
        if boxes:
            corners = np.sort(boxes[-1].points, axis=0)
            points += [corners]
            labels += CORNERS
        for each in drawn:
            if each.kind is not StrokeKind.BOX:
                along = np.linspace(0, len(each.points) - 1, min(len(each.points), POINTS_A_STROKE)).round().astype(int)
                points.append(each.points[along])
                labels += [POSITIVE if each.positive else NEGATIVE] * len(along)
        if before.any() and not any(each.positive for each in drawn):
            inside = _deep_points(before, [each.points for each in drawn])
            points.append(inside)
            labels += [POSITIVE] * len(inside)
        return np.concatenate(points), np.array(labels)


def _deep_points(mask: np.ndarray, away: Sequence[np.ndarray]) -> np.ndarray:
    """Return up to `POINTS_INSIDE` points deep inside a bool mask, away from each other and from ``away``."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for points in away:
        for px, py in points[:: max(1, len(points) // 20)]:
            depth = np.minimum(depth, np.hypot(x - px, y - py))
    inside = []
    for _ in range(POINTS_INSIDE):
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        if not mask[row, column] or depth[row, column] < 1:
            break
        inside.append((column + 0.5, row + 0.5))
        depth = np.minimum(depth, np.hypot(x - column, y - row))
    return np.array(inside).reshape(-1, 2)
