"""The columns of the track files. They are read with pandas, R and MATLAB too, so they are plain and flat."""

from enum import IntEnum, StrEnum

import pyarrow as pa

TRACKS, TRACKLETS, DOUBTS, FRAMES = "tracks.parquet", "tracklets.parquet", "doubts.parquet", "frames.parquet"
BIRDS, CAMERA, SUMMARY = "birds.npz", "camera.parquet", "summary.json"


class State(IntEnum):
    """What is known of a bird in a frame. In the file it is the name in lower case."""

    DETECTED = 0
    INTERPOLATED = 1  # between two sightings a short time apart; the box is a guess
    LOST = 2  # not seen: hidden, outside the picture, missed, or not told apart. No box.


class DoubtKind(StrEnum):
    """Why a moment should be looked at."""

    CROSSING = "crossing"  # birds met, and who left as whom is not certain
    GAP = "gap"  # a bird was not seen for a while and is thought to have come back as this one
    JUMP = "jump"  # it moved farther than birds of this video do
    DUPLICATE = "duplicate"  # two tracks follow one bird
    LOW_IDENTITY = "low_identity"  # the appearance fits several birds


STATE_NAMES = [state.name.lower() for state in State]
WORD = pa.dictionary(pa.int16(), pa.string())

# Sorted by frame, then track_id. An identity has exactly one row a frame from its first to its last frame (all frames
# of the video where the number of birds is known); a track without identity has rows only where it was followed.
TRACK_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("detection", pa.int32()),  # number within the frame in the detections run; null: interpolated or lost
        pa.field("track_id", pa.int32(), nullable=False),  # from 1; one identity is one track
        pa.field("identity", WORD),  # null: followed, but not told apart from the others
        pa.field("state", WORD, nullable=False),  # detected, interpolated, lost
        pa.field("p_identity", pa.float32()),  # that the identity is right; rough without descriptors; null where lost
        pa.field("x1", pa.float32()),  # px of the original frame; null where lost
        pa.field("y1", pa.float32()),
        pa.field("x2", pa.float32()),
        pa.field("y2", pa.float32()),
    ]
)

# One row a tracklet: a stretch in which one bird is followed beyond reasonable doubt.
TRACKLET_COLUMNS = pa.schema(
    [
        pa.field("tracklet", pa.int32(), nullable=False),  # from 1, by first frame
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("identity", WORD),
        pa.field("p_identity", pa.float32()),
        pa.field("first_frame", pa.int32(), nullable=False),
        pa.field("last_frame", pa.int32(), nullable=False),  # included
        pa.field("n_detections", pa.int32(), nullable=False),
        pa.field("mean_score", pa.float32(), nullable=False),
        pa.field("begins", WORD, nullable=False),  # how: start, entry, hidden_zone, crossing, gap
        pa.field("ends", WORD, nullable=False),  # how: end, exit, hidden_zone, crossing, gap
        pa.field("second_identity", WORD),  # the next best one, for the reviewer
        pa.field("p_second", pa.float32()),
    ]
)

# One row a doubt. ``before`` and ``after`` are tracklets; ``tracks`` the tracks they were given to.
DOUBT_COLUMNS = pa.schema(
    [
        pa.field("doubt", pa.int32(), nullable=False),  # from 1
        pa.field("kind", WORD, nullable=False),
        pa.field("from_frame", pa.int32(), nullable=False),
        pa.field("to_frame", pa.int32(), nullable=False),  # not included
        pa.field("tracks", pa.list_(pa.int32()), nullable=False),
        pa.field("before", pa.list_(pa.int32()), nullable=False),
        pa.field("after", pa.list_(pa.int32()), nullable=False),
        pa.field("p_error", pa.float32(), nullable=False),  # that the identities given after it are wrong
        pa.field("until_frame", pa.int32(), nullable=False),  # an error here would last to this frame (not included)
    ]
)

FRAME_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),  # from the video's pts
    ]
)

# What the camera did since the frame before: a still point at x, y is now at x' = a x + b y + c, y' = d x + e y + f.
CAMERA_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in "abcdef"),
    ]
)
