"""SAM 2 through `transformers`: real loading and inference with a tiny random network that the test makes and saves."""

from pathlib import Path

import numpy as np
import pytest

from backend.project.errors import InputError
from segannot.engines.base import LabelledFrame, Stroke, StrokeKind
from segannot.engines.registry import Engines
from tests.segannot.conftest import SIZE, picture, truth

pytest.importorskip("transformers", reason="transformers is not installed (bash setup.sh install --sam2)")

SIDE = 128


def save_tiny(folder: Path) -> Path:
    """Save a SAM 2 video network of two million random weights for pictures of 128 x 128 px."""
    import torch
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig
    from transformers.models.sam2_video import configuration_sam2_video as parts

    body = Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIDE, SIDE], embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads=1,
        num_attention_heads_per_stage=[1, 1, 1, 1], blocks_per_stage=[1, 1, 2, 1], global_attention_blocks=[3],
        window_positional_embedding_background_size=[2, 2], window_size_per_stage=[4, 2, 4, 2],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=body, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=128,
        backbone_feature_sizes=[[SIDE // k, SIDE // k] for k in (4, 8, 16)],
    )  # fmt: skip
    config = Sam2VideoConfig(
        vision_config=vision, image_size=SIDE, memory_attention_hidden_size=128, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[SIDE // 16, SIDE // 16],
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64, mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32,
        prompt_encoder_config=parts.Sam2VideoPromptEncoderConfig(
            hidden_size=128, image_size=SIDE, mask_input_channels=4
        ),
        mask_decoder_config=parts.Sam2VideoMaskDecoderConfig(
            hidden_size=128, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Sam2VideoModel(config)
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(10)  # "there is an object", so that masks are given
        model.mask_decoder.output_hypernetworks_mlps[0].proj_out.weight.mul_(50)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the tiny network in ``weights/``."""
    folder = tmp_path_factory.mktemp("sam2")
    save_tiny(folder / "weights" / "sam2-tiny")
    return folder


@pytest.fixture
def engine(project_folder: Path):
    """The engine as the server chooses it."""
    engines = Engines(project_folder)
    engines.choose("sam2")
    return engines.chosen


def view(frame: int = 0) -> LabelledFrame:
    return LabelledFrame(frame, picture(frame, SIZE), truth(frame))


def test_prompts_change_the_outline_and_the_same_prompts_give_the_same(engine):
    blank = LabelledFrame(0, picture(0, SIZE), np.zeros(SIZE[::-1], np.uint8))
    scribble = Stroke(StrokeKind.SCRIBBLE, np.array([[45.0, 66.0], [60.0, 70.0], [75.0, 74.0]]))
    away = Stroke(StrokeKind.CLICK, np.array([[250.0, 120.0]]), positive=False)
    box = Stroke(StrokeKind.BOX, np.array([[30.0, 50.0], [92.0, 92.0]]))
    masks = [engine.segment(blank, 1, drawn) for drawn in ([scribble], [scribble, away], [box], [scribble])]
    assert all(mask.shape == SIZE[::-1] and mask.dtype == bool for mask in masks)
    assert (masks[0] == masks[3]).all() and (masks[0] != masks[1]).any() and (masks[0] != masks[2]).any()


def test_nothing_drawn_leaves_the_outline_as_it_is(engine):
    assert (engine.segment(view(), 1, []) == (truth(0) == 1)).all()


def test_a_negative_stroke_alone_keeps_points_of_the_outline_so_far(engine):
    stroke = Stroke(StrokeKind.SCRIBBLE, np.array([[84.0, 70.0]]), positive=False)
    points, labels = engine._prompts(truth(0) == 1, [stroke])
    assert labels.tolist() == [0, 1, 1, 1]
    columns, rows = points[1:].astype(int).T
    assert (truth(0)[rows, columns] == 1).all() and np.hypot(*(points[1:] - [84, 70]).T).min() > 5


def test_several_objects_are_carried_and_memory_is_bounded(engine):
    sizes = []

    def pictures():
        for frame in range(1, 45):
            yield frame, picture(frame, SIZE)
            session = kept[0]
            outputs = session.output_dict_per_obj[0]["non_cond_frame_outputs"]
            sizes.append((len(session.processed_frames), len(outputs), len(session.frames_tracked_per_obj[0])))

    kept = []
    made = engine._new_session
    engine._new_session = lambda: kept.append(made()) or kept[0]
    carried = list(engine.propagate(view(), pictures(), [1, 2], [1, 2]))
    assert [each.frame for each in carried] == list(range(1, 45))
    assert all(set(np.unique(each.labels)) <= {0, 1, 2} and set(each.confidence) == {1, 2} for each in carried)
    assert all(0 <= value <= 1 for each in carried for value in each.confidence.values())
    assert max(pictures for pictures, *_ in sizes) <= 1 and max(max(rest) for _, *rest in sizes[20:]) <= 17


def test_a_folder_without_weights_is_refused_in_one_line(tmp_path):
    engines = Engines(tmp_path)
    with pytest.raises(InputError, match="there are no weights"):
        engines.choose("sam2")
    folder = tmp_path / "weights" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam2_video"}')
    with pytest.raises(InputError, match="holds no SAM 2"):
        engines.choose("sam2")
