"""What acts leave behind for those that follow: strokes, labelled frames, and how a frame came about."""

import numpy as np
import pytest

from backend.masks.objects import MaskOrigin
from backend.project.errors import InputError
from segannot.requests import Draw, FrameAct, ObjectAct
from segannot.session import Session
from tests.segannot.conftest import SIZE

HERE, ELSEWHERE = [[250.0, 108.0], [250.0, 132.0]], [[75.0, 66.0], [85.0, 72.0]]


def objects(session: Session, kind: str, **rest) -> None:
    session.object_act(ObjectAct(version=session.store.version, kind=kind, **rest))


def draw(session: Session, frame: int, number: int, points: list, kind: str = "scribble", **rest) -> None:
    session.draw(Draw(version=session.store.version, frame=frame, object=number, kind=kind, points=points, **rest))


def on_frame(session: Session, frame: int, kind: str, **rest) -> None:
    session.frame_act(FrameAct(version=session.store.version, frame=frame, kind=kind, **rest))


@pytest.mark.parametrize(("kind", "rest"), [("delete", {}), ("merge", {"into": 1})])
def test_a_bird_with_the_number_of_one_that_is_gone_does_not_inherit_its_strokes(
    session: Session, kind: str, rest: dict
) -> None:
    for _ in range(2):
        objects(session, "add")
    for frame in (0, 1, 10):
        draw(session, frame, 2, HERE)
        assert len(session.store.inputs(frame, 2)) == 1
    objects(session, kind, object=2, **rest)
    objects(session, "add")
    assert [entry.id for entry in session.store.objects] == [1, 2]
    assert [session.store.inputs(frame, 2) for frame in (0, 1, 10)] == [[], [], []]
    draw(session, 10, 2, ELSEWHERE)
    y, x = 120, 250
    assert session.store.labels(10)[y, x] == (0 if kind == "delete" else 1)
    for _ in range(3):
        session.turn("undo", session.store.version, "")
    assert [len(session.store.inputs(frame, 2)) for frame in (0, 1, 10)] == [1, 1, 1]


def test_engines_look_again_at_the_frames_of_a_bird_that_is_gone(session: Session) -> None:
    for _ in range(2):
        objects(session, "add")
    for frame in (0, 1):
        draw(session, frame, 2, HERE)
    draw(session, 5, 1, ELSEWHERE)
    assert session._learnt["classic"] >= {0, 1}
    objects(session, "delete", object=2)
    assert not session._learnt["classic"]


@pytest.mark.parametrize(
    "act",
    [
        lambda session: on_frame(session, 15, "clear", object=1),
        lambda session: on_frame(session, 15, "clear"),
        lambda session: on_frame(session, 15, "specks"),
        lambda session: draw(session, 15, 1, [[5.0, 5.0]], "eraser", radius=5),
        lambda session: draw(session, 15, 1, [[5.0, 5.0], [9.0, 5.0], [9.0, 9.0]], "polygon", positive=False),
    ],
)
def test_a_stray_key_on_a_frame_without_outlines_does_not_say_that_no_bird_is_there(session: Session, act) -> None:
    objects(session, "add")
    version = session.store.version
    with pytest.raises(InputError, match="frame 15 has no outlines, and this would make none; nothing was changed"):
        act(session)
    assert session.store.version == version and not session.store.origins
    assert not session.store.mask_path(15).exists()


def test_a_frame_emptied_by_a_person_stays_one_without_birds(session: Session) -> None:
    objects(session, "add")
    draw(session, 15, 1, HERE, "brush")
    on_frame(session, 15, "clear", object=1)
    assert session.store.origins == {15: MaskOrigin.HAND_MADE} and not session.store.labels(15).any()


class OneBird:
    """A detector that finds a bird in a corner."""

    def propose(self, picture: np.ndarray) -> list[tuple[np.ndarray, str]]:
        """Return the bird, whatever the picture."""
        mask = np.zeros(SIZE[::-1], bool)
        mask[150:170, 20:50] = True
        return [(mask, "bird")]


def test_birds_that_a_model_proposes_leave_a_frame_drawn_by_hand_what_it_is(session: Session) -> None:
    session.engines._detector = OneBird()
    objects(session, "add")
    for frame in (10, 11):
        draw(session, frame, 1, HERE, "brush")
    on_frame(session, 11, "review")
    for frame in (10, 11, 12):
        on_frame(session, frame, "propose")
    assert session.store.origins == {
        10: MaskOrigin.HAND_MADE, 11: MaskOrigin.REVIEWED, 12: MaskOrigin.PROPAGATED
    }  # fmt: skip
    assert [session.store.labels(frame)[160, 30] for frame in (10, 11, 12)] == [2, 3, 4]
