"""Columns and units of the files that tracking writes: the one place that documents them.

They are read with pandas, R and MATLAB, too, so they are plain and flat. Lengths and coordinates are px of the original
frame, origin in its upper left corner, y downwards; boxes are ``x1 y1 x2 y2``. Frames count from 0 in display order.
Times are s from the video's first frame. Ranges of frames leave out ``to_frame`` and ``until_frame``, but include
``last_frame``. Probabilities are 0 to 1. Names are stored as dictionaries of strings. "detections run" is the folder
that backend.inference or backend.import_detections wrote.

Beside these tables a track run holds:

``birds.npz``
    Appearance of the N identities (only with embeddings of D numbers): ``names`` (N,) str; ``centres`` (N, D) float64
    and ``covariances`` (N, D, D) float64, posterior of each identity's mean embedding; ``mean`` (D,) and ``between``
    (D, D), mean and covariance of such means over identities; ``space`` str, which embedding they belong to.
``summary.json``
    Counts and the expected identity error, as `backend.track` prints them.

Beside a detections run, `backend.describe` writes a table for each chunk:

``appearance_A_B.parquet``
    ``frame`` int32 and ``detection`` int32 (number within the frame), sorted by both; ``vector`` list of D float32, the
    embedding, without unit; NaN where it is unknown. A detection without an embedding may be left out.
"""

from enum import IntEnum, StrEnum

import pyarrow as pa

TRACKS, TRACKLETS, DOUBTS, FRAMES = "tracks.parquet", "tracklets.parquet", "doubts.parquet", "frames.parquet"
BIRDS, CAMERA, SUMMARY = "birds.npz", "camera.parquet", "summary.json"


class State(IntEnum):
    """Observation state of an identity in a frame. The file has the name in lower case."""

    DETECTED = 0
    INTERPOLATED = 1  # box interpolated between two detections a short time apart
    LOST = 2  # hidden, outside the picture, missed, or not told apart. No box.


class DoubtKind(StrEnum):
    """Why a moment needs a reviewer."""

    CROSSING = "crossing"  # birds met; which of them left as which is uncertain
    GAP = "gap"  # a bird was not detected for a while and is assumed to be the one that reappeared
    JUMP = "jump"  # displacement larger than birds of this video make
    DUPLICATE = "duplicate"  # two tracks on one bird
    LOW_IDENTITY = "low_identity"  # the appearance fits several identities


STATE_NAMES = [state.name.lower() for state in State]
WORD = pa.dictionary(pa.int16(), pa.string())

# tracks.parquet: sorted by frame, then track_id. An identity has exactly one row a frame from its first to its last
# frame (all frames of the video where the number of birds is known); a track without identity has rows only in frames
# with a box.
TRACK_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("detection", pa.int32()),  # number within the frame in the detections run; null: interpolated or lost
        pa.field("track_id", pa.int32(), nullable=False),  # from 1; one identity is one track
        pa.field("identity", WORD),  # null: tracked, but not identified
        pa.field("state", WORD, nullable=False),  # `STATE_NAMES`
        # Probability that the identity is right; rough without embeddings; 1 where a reviewer set it; null where lost.
        pa.field("p_identity", pa.float32()),
        pa.field("x1", pa.float32()),  # px; all four null where lost
        pa.field("y1", pa.float32()),
        pa.field("x2", pa.float32()),
        pa.field("y2", pa.float32()),
    ]
)

# tracklets.parquet: one row for each segment of a tracklet (linking cuts tracklets where birds touch).
TRACKLET_COLUMNS = pa.schema(
    [
        pa.field("tracklet", pa.int32(), nullable=False),  # from 1, by first frame
        pa.field("track_id", pa.int32(), nullable=False),  # track it was given to
        pa.field("identity", WORD),  # null: not identified
        pa.field("p_identity", pa.float32()),  # probability that the identity is right
        pa.field("first_frame", pa.int32(), nullable=False),
        pa.field("last_frame", pa.int32(), nullable=False),  # included
        pa.field("n_detections", pa.int32(), nullable=False),
        pa.field("mean_score", pa.float32(), nullable=False),  # of the detector, 0 to 1
        pa.field("begins", WORD, nullable=False),  # start (of the video), entry, hidden_zone, crossing, gap
        pa.field("ends", WORD, nullable=False),  # end (of the video), exit, hidden_zone, crossing, gap
        pa.field("second_identity", WORD),  # the second most probable one, for the reviewer; null: none
        pa.field("p_second", pa.float32()),  # its probability
    ]
)

# doubts.parquet: one row for each moment that a reviewer should check.
DOUBT_COLUMNS = pa.schema(
    [
        pa.field("doubt", pa.int32(), nullable=False),  # from 1
        pa.field("kind", WORD, nullable=False),  # `DoubtKind`
        pa.field("from_frame", pa.int32(), nullable=False),
        pa.field("to_frame", pa.int32(), nullable=False),  # not included
        pa.field("tracks", pa.list_(pa.int32()), nullable=False),  # track_id of the tracks involved
        pa.field("before", pa.list_(pa.int32()), nullable=False),  # tracklets that lead into it
        pa.field("after", pa.list_(pa.int32()), nullable=False),  # tracklets that leave it
        pa.field(
            "p_error", pa.float32(), nullable=False
        ),  # probability that the identities assigned after it are wrong
        pa.field("until_frame", pa.int32(), nullable=False),  # an error here would last to this frame (not included)
    ]
)

# frames.parquet: every frame that was processed, those without detections included.
FRAME_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),  # s, presentation time stamp of the video
    ]
)

# camera.parquet: motion of the camera since the processed frame before, an affine transform of the picture. A point of
# the background at x, y is now at x' = a x + b y + c, y' = d x + e y + f; c and f in px, the others without unit.
CAMERA_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in "abcdef"),
    ]
)
