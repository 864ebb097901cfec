"""Network output to table rows: scale, crop and tiles are undone, masks are encoded."""

import numpy as np
import pyarrow as pa

from backend.masks.from_network import EncodedMasks, encode_masks
from backend.pipeline.chunk_plan import VideoPlan
from backend.pipeline.chunk_tables import AnalysedFrames, Instances
from backend.pipeline.decode import BatchDecoded
from backend.pipeline.network import NetworkDetections
from backend.pipeline.regions import merge_tiles


def rows_of_batch(
    output: NetworkDetections, decoded: BatchDecoded, video: VideoPlan, threshold: float = 0.5
) -> tuple[AnalysedFrames, Instances]:
    """Return the frames of one batch and their detections, sorted by frame and falling score.

    Parameters
    ----------
    output
        Detections in px of the network's input. Pictures beyond the decoded ones are left out.
    decoded
        Which frames the pictures belong to.
    video
        Gives the regions that the pictures are of, the input's size and the frame's.
    threshold
        Probability from which a pixel belongs to a mask.
    """
    regions = video.regions
    frame, region_index = output.picture // len(regions), output.picture % len(regions)
    boxes = np.zeros((len(frame), 4), np.float32)
    for number, region in enumerate(regions):
        boxes[region_index == number] = region.to_frame(output.boxes[region_index == number], video.input_size)
    sound = (frame < len(decoded.frames)) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows = np.flatnonzero(sound)
    if len(regions) > 1:
        rows = _merge_tiles_of_frames(rows, frame, region_index, boxes, output.score, video)
    rows = rows[np.lexsort((rows, -output.score[rows], frame[rows]))]
    n = np.bincount(frame[rows], minlength=len(decoded.frames)).astype(np.int32)
    frames = np.array(decoded.frames, np.int32)
    encoded = encode_masks(output.masks[rows], boxes[rows], video.size, threshold)
    instances = Instances(
        frame=np.repeat(frames, n),
        detection=_number_within(n),
        class_id=output.class_id[rows].astype(np.int32),
        score=output.score[rows].astype(np.float32),
        boxes=boxes[rows],
        area_px2=encoded.area_px2,
        rle=_arrow(encoded),
    )
    return AnalysedFrames(frames, np.array(decoded.times_s), n), instances


def join_batches(parts: list[tuple[AnalysedFrames, Instances]]) -> tuple[AnalysedFrames, Instances]:
    """Join the rows of batches that follow each other."""
    frames, instances = [part[0] for part in parts], [part[1] for part in parts]
    seen = AnalysedFrames(
        *(np.concatenate([getattr(part, name) for part in frames]) for name in ("frame", "time_s", "n"))
    )
    plain = ("frame", "detection", "class_id", "score", "boxes", "area_px2")
    columns = [np.concatenate([getattr(part, name) for part in instances]) for name in plain]
    return seen, Instances(*columns, pa.concat_arrays([part.rle for part in instances]))


def _merge_tiles_of_frames(
    rows: np.ndarray,
    frame: np.ndarray,
    region_index: np.ndarray,
    boxes: np.ndarray,
    score: np.ndarray,
    video: VideoPlan,
) -> np.ndarray:
    kept = [np.zeros(0, np.int64)]
    for number in np.unique(frame[rows]):
        own = rows[frame[rows] == number]
        kept.append(own[merge_tiles(boxes[own], score[own], region_index[own], video.regions)])
    return np.concatenate(kept)


def _number_within(n: np.ndarray) -> np.ndarray:
    """Return 0, 1, ... anew for each frame, (sum of n,) int32."""
    starts = np.cumsum(n) - n
    return (np.arange(n.sum()) - np.repeat(starts, n)).astype(np.int32)


def _arrow(encoded: EncodedMasks) -> pa.Array:
    count = len(encoded.area_px2)
    return pa.BinaryArray.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(encoded.offsets), pa.py_buffer(encoded.data)]
    )
