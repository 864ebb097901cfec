"""Weights of other formats: read without running code, recognised by their names, ready to train from."""

import collections
import contextlib
import os
import pickle
import subprocess
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import mobilenet_v3_large, resnet18
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from backend.detectors.convert_weights import convert
from backend.detectors.detectron2_pickle import read_zoo_file
from backend.detectors.load import build_detector, load_detector
from backend.detectors.registry import engines
from backend.detectors.weights import start_from, write_weights
from backend.project.errors import InputError

PROTOCOLS = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_every_kind_come_out_as_they_went_in(tmp_path, protocol):
    content = {
        "model": collections.OrderedDict(
            a=np.arange(12, dtype=np.float32).reshape(3, 4),
            b=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            c=np.array(3, np.int64),
            d=np.arange(4, dtype=">f4"),
            e=np.float32(2.5),
            f=np.zeros((0, 3), np.float16),
            g=np.array([True, False]),
        ),
        "__author__": "me",
        "numbers": [1, -5, 2**40, 2.5, None, True, False, (1, 2), (1, 2, 3, 4), b"bytes", "text é"],
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_zoo_file(tmp_path / "a.pkl")
    assert found["__author__"] == "me"
    assert [type(each) for each in found["numbers"]] == [type(each) for each in content["numbers"]]
    assert found["numbers"][:9] == content["numbers"][:9]
    for name, value in content["model"].items():
        assert np.array_equal(found["model"][name], value), name


@given(
    st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False, width=32), max_size=5), max_size=5),
    st.sampled_from(PROTOCOLS),
)
def test_any_dictionary_of_arrays_survives(tmp_path_factory, content, protocol):
    arrays = {name: np.array(values, np.float32) for name, values in content.items()}
    path = tmp_path_factory.mktemp("zoo") / "a.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    found = read_zoo_file(path)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


class Reduced:
    """Is pickled as any call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "call",
    [
        (os.system, ("touch {trap}",)),
        (os.mkdir, ("{trap}",)),
        (eval, ("__import__('os').mkdir('{trap}')",)),
        (exec, ("open('{trap}', 'w')",)),
        (subprocess.Popen, (["touch", "{trap}"],)),
        (partial, (os.mkdir, "{trap}")),
        (open, ("{trap}", "w")),
    ],
    ids=lambda call: call[0].__name__ if callable(call[0]) else str(call[0]),
)
def test_nothing_in_a_file_is_executed(tmp_path, call, protocol):
    trap = tmp_path / "ran"

    def filled(value):
        if isinstance(value, str):
            return value.format(trap=trap)
        return type(value)(filled(each) for each in value) if isinstance(value, list | tuple) else value

    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": Reduced(call[0], filled(call[1]))}, protocol))
    with pytest.raises(InputError, match="which is not part of an array"):
        read_zoo_file(tmp_path / "a.pkl")
    assert not trap.exists()


def test_arrays_of_objects_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": np.array([1, "x"], object)}))
    with pytest.raises(InputError, match="not allowed"):
        read_zoo_file(path)
    whole = pickle.dumps({"a": np.arange(100.0)})
    for content in (b"", b"no pickle", whole[:-20], whole[: len(whole) // 2], b"(lp0\n."):
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_zoo_file(path)


LOAD = b"cnumpy.core.multiarray\n_reconstruct\n"
DTYPE = b"cnumpy\ndtype\n(S'f4'\ntR"


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nndarray\n(I1000000000000\ntR.",  # memory that no file backs
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"cbuiltins\nbytearray\n(I9\ntR.",
        DTYPE + b"(I3\nS'|'\nNNNI-1\nI-1\nI63\n(dtb.",  # a dtype told to hold objects
        LOAD + b"}S'value'\nI1\nsb.",  # changes what stands for an array
        b"c_codecs\nencode\n(V!\nVidna\ntR.",
        b"ccollections\nOrderedDict\n}S'x'\nI1\nsb.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02\x82\x01.",
        b"Pname\n.",
        b"}q\x00S'self'\nh\x00s.",  # holds itself
        b"}S'deep'\n" + b"]" * 5000 + b"a" * 4999 + b"s.",
    ],
    ids=[
        *("an array of 8 TB", "bytes of 1 TB", "a bytearray", "a dtype of objects", "a stand-in changed"),
        *("another codec", "a class filled", "a text of 8 EB", "an extension code"),
        *("a persistent id", "a dictionary in itself", "lists 5000 deep"),
    ],
)
def test_programs_that_want_memory_or_change_the_reader_are_refused(tmp_path, program):
    path = tmp_path / "a.pkl"
    path.write_bytes(program)
    with pytest.raises(InputError):
        read_zoo_file(path)
    weights = {"a": np.arange(3, dtype=np.float32)}
    path.write_bytes(pickle.dumps(weights))
    assert np.array_equal(read_zoo_file(path)["a"], weights["a"])


def test_a_far_memory_slot_takes_no_memory(tmp_path):
    """The unpickler written in C would reserve 64 GB for these ten bytes."""
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}r\xff\xff\xff\xff.")
    assert read_zoo_file(tmp_path / "a.pkl") == {}


@given(st.binary(max_size=200))
def test_no_bytes_whatever_do_anything_but_be_refused_or_read(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.pkl"
    path.write_bytes(b"\x80\x02" + content)
    with contextlib.suppress(InputError):
        assert isinstance(read_zoo_file(path), dict)


@pytest.mark.parametrize(
    ("make", "backbone", "classes", "norm_eps"),
    [(maskrcnn_resnet50_fpn, "resnet50", 91, 1e-5), (maskrcnn_resnet50_fpn_v2, "resnet50_v2", 4, 1e-5)],
    ids=["Mask R-CNN of COCO", "version 2 with three classes"],
)
def test_torchvisions_own_models_are_recognised_and_find_the_same(tmp_path, make, backbone, classes, norm_eps):
    torch.manual_seed(0)
    network = make(weights=None, weights_backbone=None, num_classes=classes).eval()
    torch.save(network.state_dict(), tmp_path / "a.pth")
    found = convert(tmp_path / "a.pth")
    assert (found.settings.engine, found.settings.backbone) == ("torchvision", backbone)
    assert found.settings.norm_eps == norm_eps
    assert len(found.settings.class_names) == classes - 1
    assert ("bird" in found.settings.class_names) == (classes == 91)
    write_weights(tmp_path / "a.safetensors", found.weights, found.settings)
    detector = load_detector(tmp_path / "a.safetensors", changes={"score_threshold": 0.0})
    network.roi_heads.score_thresh = 0.0
    network.transform.min_size, network.transform.max_size = (64,), 96
    picture = torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        expected, now = network([picture[0] / 255])[0], detector(picture)
    torch.testing.assert_close(now.scores, expected["scores"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("make", "backbone"), [(resnet18, "resnet18"), (mobilenet_v3_large, "mobilenet_v3_large")])
def test_a_classifier_of_torchvision_becomes_a_backbone(tmp_path, make, backbone):
    network = make(weights=None)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    found = convert(tmp_path / "a.pth")
    assert (found.settings.backbone, found.backbone_only) == (backbone, True)
    detector = build_detector(found.settings.model_copy(update={"class_names": ("ruff",), "norm": "batch"}))
    started = start_from(detector, found)
    assert not any(name.startswith("backbone.body") for name in started.random)


def zoo_weights() -> dict[str, np.ndarray]:
    """Return a few names of a Detectron2 model, with enough to tell which one it is."""
    names = [f"backbone.bottom_up.res4.{block}.conv1.weight" for block in range(6)]
    weights = {name: np.zeros((1, 1, 1, 1), np.float32) for name in names}
    weights["backbone.fpn_lateral2.weight"] = np.zeros(1, np.float32)
    weights["roi_heads.mask_head.predictor.weight"] = np.zeros((80, 256, 1, 1), np.float32)
    weights["roi_heads.mask_head.predictor.bias"] = np.zeros(80, np.float32)
    weights["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    return weights


def test_a_file_of_detectron2s_zoo_is_recognised(tmp_path):
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"model": zoo_weights(), "__author__": "D2"}))
    found = convert(tmp_path / "model_final.pkl")
    assert (found.settings.engine, found.settings.backbone) == ("detectron2", "mask_rcnn_R_50_FPN_3x")
    assert found.settings.class_names[14] == "bird"
    assert found.settings.stride_in_1x1 and found.settings.pixel_std == (1.0, 1.0, 1.0)
    assert not any("anchor" in name for name in found.weights)


def test_a_backbone_of_the_first_detectron_gets_the_names_of_the_second(tmp_path):
    blobs = {"conv1_w": np.zeros(1, np.float32), "res_conv1_bn_s": np.zeros(1, np.float32)}
    blobs |= {f"res4_{block}_branch2a_w": np.zeros(1, np.float32) for block in range(23)}
    blobs |= {"res2_0_branch1_bn_b": np.zeros(1, np.float32), "res2_0_branch2c_bn_s": np.zeros(1, np.float32)}
    blobs |= {"fc1000_w": np.zeros(1, np.float32)}
    (tmp_path / "R-101.pkl").write_bytes(pickle.dumps({"blobs": blobs}, 2))
    found = convert(tmp_path / "R-101.pkl")
    assert (found.settings.backbone, found.backbone_only) == ("mask_rcnn_R_101_FPN_3x", True)
    start = "backbone.bottom_up."
    assert {
        f"{start}stem.conv1.weight",
        f"{start}stem.conv1.norm.weight",
        f"{start}res4.22.conv1.weight",
        f"{start}res2.0.shortcut.norm.bias",
        f"{start}res2.0.conv3.norm.weight",
    } <= set(found.weights)
    assert not any("fc1000" in name for name in found.weights)


def test_a_whole_detectron2_model_goes_through_a_zoo_file(tmp_path):
    info = engines()[1]
    if not info.available:
        pytest.skip(info.reason)
    from detectron2 import model_zoo
    from detectron2.modeling import build_model

    config = model_zoo.get_config("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml")
    config.MODEL.DEVICE = "cpu"
    network = build_model(config).eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"model": weights}))
    found = convert(tmp_path / "model_final.pkl")
    write_weights(tmp_path / "a.safetensors", found.weights, found.settings)
    detector = load_detector(tmp_path / "a.safetensors", changes={"score_threshold": 0.0})
    network.roi_heads.box_predictor.test_score_thresh = 0.0
    picture = torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.inference([{"image": picture[0].flip(0).float()}], do_postprocess=False)[0]
        now = detector(picture)
    torch.testing.assert_close(now.scores, expected.scores, atol=1e-4, rtol=0)


def test_what_is_none_of_these_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="none of the networks"):
        convert(tmp_path / "a.pth")
    torch.save({"model": [1]}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="none of the networks"):
        convert(tmp_path / "a.pth")
    torch.save([1], tmp_path / "a.pth")
    with pytest.raises(InputError, match="no dictionary of weights but a list"):
        convert(tmp_path / "a.pth")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match="no dictionary of weights but a list"):
        convert(tmp_path / "a.pkl")
    with pytest.raises(InputError, match="end in .pth, .pt or .pkl"):
        convert(tmp_path / "a.onnx")


def test_weights_of_a_parallel_training_are_recognised(tmp_path):
    plain = resnet18(weights=None).state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in plain.items()}}, tmp_path / "a.PTH")
    torch.save(plain, tmp_path / "b.pth")
    first, second = convert(tmp_path / "a.PTH"), convert(tmp_path / "b.pth")
    assert first.settings == second.settings and first.weights.keys() == second.weights.keys()


@pytest.mark.parametrize("page", [True, False])
def test_a_file_that_is_no_weights_is_refused_without_advice_to_run_code(tmp_path, page):
    if page:
        (tmp_path / "a.pth").write_text("<!DOCTYPE html><html></html>")
    else:
        torch.save(torch.nn.Linear(1, 1), tmp_path / "a.pth")
    with pytest.raises(InputError, match="save the network's state_dict") as error:
        convert(tmp_path / "a.pth")
    assert "weights_only" not in str(error.value)
