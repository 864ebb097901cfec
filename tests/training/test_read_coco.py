"""COCO files are checked once, with a line that says what is wrong."""

import json

import numpy as np
import pytest

from backend.masks import rle
from backend.project.errors import InputError
from backend.training.read_coco import check_classes, read_pictures, without_crowds
from tests.training.shapes import shapes_set


def changed(path, change):
    """Write a changed copy of a JSON beside it and return its path."""
    content = json.loads(path.read_text())
    change(content)
    other = path.with_name("changed.json")
    other.write_text(json.dumps(content))
    return other


def test_categories_become_class_ids_from_1_in_the_order_of_their_coco_ids(data):
    found = read_pictures(data / "train.json")
    assert found.class_names == ("ellipse", "triangle")
    assert {instance.class_id for picture in found.pictures for instance in picture.instances} == {1, 2}


def test_polygons_and_runs_of_the_same_shapes_give_the_same_masks(tmp_path):
    polygons = read_pictures(shapes_set(tmp_path, "polygons", 3, 5))
    runs = read_pictures(shapes_set(tmp_path, "runs", 3, 5, form="rle"))
    for first, second in zip(polygons.pictures, runs.pictures, strict=True):
        assert [first.counts(each) for each in first.instances] == [each.counts for each in second.instances]


def test_the_validation_set_takes_the_class_ids_of_the_model(data):
    found = read_pictures(data / "val.json", ("triangle", "ellipse"))
    other = read_pictures(data / "val.json")
    assert [i.class_id for p in found.pictures for i in p.instances] == [
        3 - i.class_id for p in other.pictures for i in p.instances
    ]


def test_images_may_lie_in_a_folder_of_that_name(data, tmp_path):
    (tmp_path / "images").symlink_to(data)
    (tmp_path / "train.json").write_bytes((data / "train.json").read_bytes())
    assert read_pictures(tmp_path / "train.json").pictures[0].path.exists()


def test_the_checksum_changes_with_the_labels_and_with_the_images(data, tmp_path):
    first = shapes_set(tmp_path, "a", 2, 1)
    before = read_pictures(first).checksum
    assert read_pictures(changed(first, lambda each: each["annotations"].pop())).checksum != before
    (tmp_path / "a" / "0001.png").write_bytes(b"other")
    assert read_pictures(first).checksum != before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: each["annotations"].clear(), "has no annotations"),
        (lambda each: each["images"].clear(), "has no images"),
        (lambda each: each.pop("categories"), "no COCO JSON"),
        (lambda each: each["annotations"][0].update(image_id=999), "unknown or missing 999"),
        (lambda each: each["annotations"][0].update(category_id=1), "unknown or missing 1"),
        (lambda each: each["annotations"][0].update(segmentation=[[1, 2, 3]]), "at least three points"),
        (lambda each: each["annotations"][0].update(segmentation=[]), "at least three points"),
        (lambda each: each["annotations"][0].update(segmentation=[[1e99] * 6]), "no number"),
        (
            lambda each: each["annotations"][0].update(segmentation={"size": [5, 5], "counts": "0"}),
            "mask's size",
        ),
        (lambda each: each["annotations"].append("x"), "an annotation is no object"),
        (lambda each: each["images"].append(each["images"][0]), "used twice"),
        (lambda each: each["images"][1].pop("height"), "no COCO JSON with images.*height"),
        (lambda each: each["images"][1].update(width=None), "no COCO JSON with images"),
        (lambda each: each["images"][1].update(width=0), r"image 'train.0002.png' is 0 x "),
        (lambda each: each["images"][1].update(file_name=5), "no COCO JSON with images"),
        (lambda each: each["categories"][0].pop("name"), "no COCO JSON with images.*name"),
        (lambda each: each["categories"][0].update(id="b"), "no COCO JSON with images"),
        (lambda each: [image.update(file_name="gone.png") for image in each["images"]], "8 of 8 images are missing"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(data, change, words):
    with pytest.raises(InputError, match=words):
        read_pictures(changed(data / "train.json", change))


def test_text_that_is_no_json_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="no COCO JSON"):
        read_pictures(tmp_path / "a.json")
    with pytest.raises(InputError, match="No such file"):
        read_pictures(tmp_path / "b.json")


def test_other_classes_and_another_number_of_classes_are_named(data):
    with pytest.raises(InputError, match="has the classes ellipse, triangle, the model has ruff"):
        read_pictures(data / "val.json", ("ruff",))
    with pytest.raises(InputError, match=r"--n-classes 3: .* has 2 \(ellipse, triangle\)"):
        check_classes(read_pictures(data / "train.json"), 3)


def test_an_uncompressed_run_length_is_read_too(data):
    def uncompressed(each):
        size = [each["images"][0]["height"], each["images"][0]["width"]]
        each["annotations"][0].update(segmentation={"size": size, "counts": [10, 5, size[0] * size[1] - 15]})

    found = read_pictures(changed(data / "train.json", uncompressed))
    picture = found.pictures[0]
    assert np.flatnonzero(rle.decode(picture.instances[0].counts, picture.height, picture.width).T).tolist() == [
        *range(10, 15)
    ]


def crowded(data, name, choose):
    """Write a copy of a set in which annotations that ``choose`` takes are crowds."""

    def change(content):
        for annotation in content["annotations"]:
            annotation["iscrowd"] = int(choose(annotation))

    return changed(data / f"{name}.json", change)


def test_an_image_with_a_crowd_is_no_negative_example(data):
    whole = read_pictures(data / "train.json")
    first = whole.pictures[0]
    n_first = len(first.instances)
    marked = read_pictures(crowded(data, "train", lambda annotation: annotation["id"] == 1))
    assert len(marked) == 8 and marked.n_instances == whole.n_instances - 1
    learnt = without_crowds(marked)
    assert [picture.image_id for picture in learnt.pictures] == [picture.image_id for picture in whole.pictures[1:]]
    assert learnt.n_instances == whole.n_instances - n_first
    said = learnt.identity()
    assert (said["images"], said["instances"], said["left_out_for_crowds"]) == (7, learnt.n_instances, 1)
    assert without_crowds(whole) is whole and "left_out_for_crowds" not in whole.identity()


def test_a_set_of_crowds_alone_is_refused(data):
    with pytest.raises(InputError, match="all its annotations are crowds .*--crowds-are-animals"):
        read_pictures(crowded(data, "train", lambda annotation: True))
    once_an_image = set()

    def first_of_image(annotation):
        image = annotation["image_id"]
        return image not in once_an_image and not once_an_image.add(image)

    marked = crowded(data, "train", first_of_image)
    with pytest.raises(InputError, match="every image with animals has crowds"):
        without_crowds(read_pictures(marked))


@pytest.mark.parametrize("folder", ["", "images/"])
def test_images_are_found_however_their_names_are_coded(tmp_path, folder):
    path = shapes_set(tmp_path, "a", 1, 3)
    right = tmp_path / folder / "u\u0308 1.png"
    right.parent.mkdir(exist_ok=True)
    (tmp_path / "a" / "0001.png").rename(right)
    other = changed(path, lambda content: content["images"][0].update(file_name="%C3%BC%201.png"))
    assert read_pictures(other).pictures[0].path.samefile(right)
