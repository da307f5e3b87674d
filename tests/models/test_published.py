"""The published weights are a table in the words of the library."""

import re

import pytest

from keras_pose import metrics, skeletons
from keras_pose.codecs import gaussians
from keras_pose.models import __main__ as networks
from keras_pose.models import volumes
from keras_pose.models.torch_weights import published, sources
from keras_pose.models.torch_weights.published import PUBLISHED

BASELINE = "Simple Baselines, ResNet-50"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_a_row_uses_the_words_of_the_library(row):
    assert row.source in [source.name for source in sources.SOURCES]
    assert row.protocol is None or row.protocol in metrics.PROTOCOLS
    if row.skeleton == volumes.HUMAN36M.name:
        found = volumes.HUMAN36M
    else:
        found = row.skeleton and skeletons.find(row.skeleton)
    assert found is None or len(found.joints) == published.JOINTS[found.name]
    assert row.decoding in (None, *gaussians.DECODINGS)
    assert row.alignment in gaussians.ALIGNMENTS
    assert row.score is None or 30 < row.score < 100
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.place)
    sides = re.findall(r"\d+x\d+", row.name)
    assert sides in ([], ["x".join(map(str, row.size))])


def test_every_row_is_another_file():
    places = [(row.place, row.name, row.data) for row in PUBLISHED]
    assert len(set(places)) == len(places) == 86


def test_every_source_that_can_be_recognised_has_published_files():
    assert {row.source for row in PUBLISHED} == {
        source.name for source in sources.SOURCES
    }


def test_networks_have_the_names_of_the_other_table():
    known = {row.name for row in networks.ROWS}
    stacks = {
        "Hourglass, 1 stack",
        "Hourglass, 2 stacks",
        "Hourglass, 8 stacks",
    }
    pose = {row.network for row in PUBLISHED if row.skeleton}
    assert pose <= known
    assert stacks <= pose


def test_a_score_is_found_by_what_the_weights_tell():
    (row,) = published.find("hrnet", "HRNet-W32", (256, 192))
    assert (row.score, row.sigma, row.data) == (74.4, 2, "COCO")
    assert row.described() == (
        "COCO val, AP 74.4: flip test shifted by 1 cell, decoding quarter, "
        "boxes detected (person AP 56.4)"
    )
    assert row.flags == (
        "--split detected --decoding quarter --flip --flip-shift 1 "
        "--protocol oks"
    )
    rows = published.find("simple-baselines", BASELINE, joints=16)
    assert [(row.size, row.score, row.sigma) for row in rows] == [
        ((256, 256), 88.532, 2),
        ((384, 384), 89.066, 3),
    ]
    assert published.find("hrnet", "HRNet-W8") == []


def test_a_file_is_found_by_its_checksum():
    asked = {"source": "hrnet-mmpose", "network": "HRNet-W32", "joints": 17}
    assert len(published.find(**asked, size=(256, 192))) == 3
    digits = "0e00bf12" + 56 * "0"
    (row,) = published.find(**asked, sha256=digits)
    assert (row.score, row.decoding) == (75.7, "dark")
    unknown = published.find(**asked, size=(256, 192), sha256=64 * "0")
    assert [row.score for row in unknown] == [74.9, 75.7, 76.2]


def test_the_test_of_a_score_is_told_in_full():
    (row,) = published.find(
        "hourglass-pytorch-pose", "Hourglass, 2 stacks", sha256="15e342d9"
    )
    assert row.described() == (
        "MPII val, PCKh@0.5, mean of joints 87.33: without flip test, decoding "
        "quarter, boxes annotated"
    )
    assert row.flags == (
        "--split val --decoding quarter --protocol pckh-joints"
    )
    (row,) = published.find(
        "deeppose-mmpose", "Direct regression, ResNet-50", joints=16
    )
    assert row.described() == (
        "MPII val, PCKh@0.5 82.6: flip test, boxes annotated"
    )
    assert row.flags == "--split val --flip --protocol pckh"
    assert row.sigma is None and row.beta is None
    rows = published.find("integral-mmpose")
    assert [(row.score, row.beta, row.debias) for row in rows] == [
        (63.3, 1, False), (67.4, 1, False), (67.5, 10, True)
    ]  # fmt: skip
    (row,) = published.find("resnet", "ResNet-50")
    assert row.described() == "ImageNet val, top-1 accuracy 76.13"
    assert row.flags == ""
    (row,) = published.find("hrnet", "HRNet-W48", (256, 256))
    assert row.described() == "MPII: no published score"


@pytest.mark.parametrize(
    "row", [row for row in PUBLISHED if row.sigma], ids=lambda row: row.name
)
def test_an_import_has_the_gaussians_of_its_published_file(row):
    (source,) = [one for one in sources.SOURCES if one.name == row.source]
    assert source.sigma_at(row.size[0]) == row.sigma
