"""One conversion for all decoders: right by the standard's formula, and number for number the same in torch."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from backend.project.errors import InputError
from backend.video import VideoReader
from backend.video.colour import KR_KB, Colour, Planes, matrix_name, yuv_to_rgb
from backend.video.colour_torch import yuv_to_rgb_torch

LAYOUTS = {"4:2:0": (True, True), "4:2:2": (True, False), "4:4:0": (False, True), "4:4:4": (False, False)}


def noise(colour: Colour, size: tuple[int, int], padding: int = 5, seed: int = 0) -> Planes:
    """Random planes over the whole range of the samples, with rows padded as decoders pad them."""
    generator = np.random.default_rng(seed)
    width, height = size
    dtype = np.uint8 if colour.bits == 8 else np.uint16
    columns = (width + 1) // 2 if colour.half_width else width
    rows = (height + 1) // 2 if colour.half_height else height

    def plane(shape: tuple[int, int]) -> np.ndarray:
        return generator.integers(0, 2**colour.bits, (shape[0], shape[1] + padding), dtype=dtype)

    return Planes(plane((height, width)), plane((rows, columns)), plane((rows, columns)), width, colour)


def reference(planes: Planes) -> np.ndarray:
    """The same in float64, written from the standard: interpolate chroma, then the matrix."""
    colour, (height, width) = planes.colour, (planes.y.shape[0], planes.width)
    kr, kb = KR_KB[colour.matrix]
    unit = 2.0 ** (colour.bits - 8)
    y = planes.y[:, :width] / unit
    u, v = (upsample(plane / unit, colour, height, width) - 128 for plane in (planes.u, planes.v))
    if colour.full_range:
        top = (2**colour.bits - 1) / unit
        y, u, v = y / top, u / top, v / top
    else:
        y, u, v = (y - 16) / 219, u / 224, v / 224
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.stack([red, green, blue], -1), 0, 255)


def upsample(plane: np.ndarray, colour: Colour, height: int, width: int) -> np.ndarray:
    columns = (width + 1) // 2 if colour.half_width else width
    rows = np.arange(height, dtype=float)
    across = np.arange(width, dtype=float)
    if colour.half_height:
        rows = (rows - 0.5) / 2
    if colour.half_width:
        across = (across - 0.5) / 2 if colour.centred else across / 2
    lower = np.array([np.interp(across, np.arange(columns), row[:columns]) for row in plane])
    return np.array([np.interp(rows, np.arange(len(lower)), column) for column in lower.T]).T


@pytest.mark.parametrize("size", [(32, 18), (33, 19), (1, 1), (2, 3)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("matrix", KR_KB, ids=str)
def test_the_conversion_is_the_standard_s_formula_rounded_once(matrix, layout, size):
    for full_range, bits, centred in itertools.product((False, True), (8, 10, 12), (False, True)):
        planes = noise(Colour(matrix, full_range, bits, *LAYOUTS[layout], centred), size)
        limit = 0.53 if bits == 12 else 0.51  # coefficients are integers, coarsest at 12 bit
        assert np.abs(yuv_to_rgb(planes) - reference(planes)).max() < limit


@pytest.mark.parametrize("size", [(64, 36), (33, 19), (1, 1)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_torch_and_numba_give_the_same_numbers(layout, size):
    for matrix, full_range, bits, centred in itertools.product(KR_KB, (False, True), (8, 10, 12), (False, True)):
        planes = noise(Colour(matrix, full_range, bits, *LAYOUTS[layout], centred), size, seed=bits)
        np.testing.assert_array_equal(yuv_to_rgb_torch(planes.to("cpu")).numpy(), yuv_to_rgb(planes))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_and_the_cpu_give_the_same_numbers():
    planes = noise(Colour("bt709", False), (2688, 1520))
    np.testing.assert_array_equal(yuv_to_rgb_torch(planes.to("cuda")).cpu().numpy(), yuv_to_rgb(planes))


def test_nv12_planes_are_read_in_place():
    planes = noise(Colour("bt709", False), (64, 36), padding=0)
    both = torch.from_numpy(np.stack([planes.u, planes.v], -1).reshape(planes.u.shape[0], -1))
    interleaved = Planes(torch.from_numpy(planes.y), both[:, 0::2], both[:, 1::2], 64, planes.colour)
    np.testing.assert_array_equal(yuv_to_rgb_torch(interleaved).numpy(), yuv_to_rgb(planes))


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_grey_black_and_white_come_out_as_such(full_range):
    black, white = (0, 255) if full_range else (16, 235)
    for value, expected in ((black, 0), (white, 255)):
        y, half = np.full((4, 6), value, np.uint8), np.full((2, 3), 128, np.uint8)
        colour = Colour("bt709", full_range)
        assert (yuv_to_rgb(Planes(y, half, half, 6, colour)) == expected).all()
        assert (yuv_to_rgb(Planes(y, None, None, 6, colour)) == expected).all()
        assert (yuv_to_rgb_torch(Planes(y, None, None, 6, colour).to("cpu")) == expected).all()


def test_a_file_that_names_no_matrix_gets_the_one_players_take():
    assert matrix_name(2, 1920, 1080) == matrix_name(2, 1280, 720) == "bt709"
    assert matrix_name(2, 640, 480) == matrix_name(2, 720, 576) == "bt601"
    assert matrix_name(9, 640, 480) == "bt2020"
    with pytest.raises(InputError, match="colour matrix 8 "):
        matrix_name(8, 640, 480)


def patches(number: int, size: tuple[int, int]) -> np.ndarray:
    """Saturated patches of 32 px, so that neither compression nor chroma interpolation moves their middles."""
    colours = np.random.default_rng(5).integers(30, 225, (size[1] // 32, size[0] // 32, 3), dtype=np.uint8)
    return colours.repeat(32, 0).repeat(32, 1)


@pytest.mark.parametrize("code, name", [(1, "ITU709"), (5, "ITU601"), (9, "BT2020")], ids=["709", "601", "2020"])
@pytest.mark.parametrize("range_code", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_matrix_and_range_are_taken_from_the_file(tmp_path: Path, code, name, range_code, pix_fmt):
    size = (160, 96)

    def tag(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = code, range_code

    def encode(number: int, picture_size: tuple[int, int]) -> np.ndarray:
        return patches(number, picture_size)

    path = write_tagged(tmp_path / "tagged.mkv", size, pix_fmt, name, range_code, tag, encode)
    with VideoReader(path) as video:
        shown = video.read([0])[0]
    middle = np.s_[16::32, 16::32]
    assert np.abs(shown[middle].astype(int) - patches(0, size)[middle]).max() <= 3


def write_tagged(path: Path, size: tuple[int, int], pix_fmt: str, matrix: str, range_code: int, tag, encode) -> Path:
    """Write a nearly lossless video whose samples were made with a given matrix and range, and say so in the file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        tag(stream)
        rgb = av.VideoFrame.from_ndarray(encode(0, size), format="rgb24")
        frame = rgb.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=range_code)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("pix_fmt", ["gray", "bgr0"])
def test_lossless_grey_and_rgb_come_out_as_they_went_in(make_video, pix_fmt):
    path = make_video("exact.mkv", 2, codec="ffv1", pix_fmt=pix_fmt, picture=grey_ramp)
    with VideoReader(path) as video:
        np.testing.assert_array_equal(video.read([1])[0], grey_ramp(1, (160, 96)))


def grey_ramp(number: int, size: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.add.outer(np.arange(size[1]), np.arange(size[0]))[..., None].astype(np.uint8), 3, axis=2)


def test_full_range_motion_jpeg_is_read_as_such(make_video):
    finest = {"qmin": "1", "qmax": "1"}
    path = make_video("mjpeg.avi", 1, codec="mjpeg", pix_fmt="yuvj420p", picture=patches, options=finest)
    with VideoReader(path) as video:
        shown = video.read([0])[0]
    middle = np.s_[16::32, 16::32]
    assert np.abs(shown[middle].astype(int) - patches(0, (160, 96))[middle]).max() <= 4
