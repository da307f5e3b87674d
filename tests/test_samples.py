"""The contact sheet shows the very samples that training would see."""

import cv2
import numpy as np
import pytest

from keras_pose import drawing, samples
from keras_pose.data import pipeline
from keras_pose.data.augment import Augmentation
from keras_pose.skeletons import MPII
from tfrecords import synthetic


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    synthetic.main(synthetic.Config(folder, train=6, val=2, test=0, workers=1))
    return folder


def test_the_sheet_holds_the_first_samples_of_training(folder, capsys):
    path = folder / "sheet.png"
    settings = dict(image_size=(48, 64), masking=1, people=100, output=path)
    samples.main(samples.Config(folder, **settings))
    said = capsys.readouterr().out
    sheet = cv2.imread(str(path))[..., ::-1]
    # 288 / 48: each of the 6 people 6 times as large, in one row, 4 between.
    assert sheet.shape == (288, 6 * 384 + 5 * 4, 3)
    batch = next(
        pipeline.augmented(
            samples.open_dataset(folder),
            *("train", (48, 64), 6),
            augmentation=Augmentation(masking=1),
        ).as_numpy_iterator()
    )
    masked = np.count_nonzero(batch["side"])
    assert masked > 0
    assert f"6 samples of split train, {masked} of them masked" in said
    assert said.endswith(f"Next: open {path}.\n")
    for i in range(6):
        tile = sheet[:, i * 388 : i * 388 + 384].astype(int)
        wanted = drawing.enlarge(batch["image"][i], 6)
        assert (np.abs(tile - wanted).max(axis=2) == 0).mean() > 0.7
        red = (tile == drawing.WRONG).all(axis=2).any()
        assert red == (batch["side"][i] > 0)


def test_a_patch_is_outlined_where_it_went_and_where_it_came_from():
    sample = {
        "image": np.full((96, 144, 3), 90, "uint8"),
        "labels": np.zeros((1, 16, 4)),
        "source": np.array([30.0, 20.0]),
        "target": np.array([100.0, 60.0]),
        "side": 11.0,
    }
    drawn = samples.draw_sample(sample, MPII)
    assert drawn.shape == (288, 432, 3)
    rows, columns = np.nonzero((drawn == drawing.WRONG).all(axis=2))
    # Pixels 55 ... 65 and 95 ... 105, three times as large; lines 2 wide.
    assert abs(rows.min() - 165) <= 1 and abs(rows.max() - 197) <= 1
    assert abs(columns.min() - 285) <= 1 and abs(columns.max() - 317) <= 1
    assert (drawn[45, 75:108] == samples.SOURCE).all()
    plain = samples.draw_sample(sample | {"side": 0.0}, MPII)
    assert (plain == 90).all()


def test_tiles_fill_rows_of_six():
    tiles = [np.full((8, 12, 3), i + 1, "uint8") for i in range(8)]
    sheet = drawing.sheet(tiles, samples.COLUMNS)
    assert sheet.shape == (2 * 8 + 4, 6 * 12 + 5 * 4, 3)
    assert (sheet[:8, 16:28] == 2).all() and (sheet[12:, 16:28] == 8).all()
    assert not sheet[8:12].any() and not sheet[12:, 28:].any()
    assert drawing.sheet(tiles[:1], 6).shape == (8, 12, 3)


def test_nobody_cannot_be_drawn(folder):
    with pytest.raises(ValueError, match="people and .* at least 1, got 0"):
        samples.main(samples.Config(folder, people=0))
    with pytest.raises(ValueError, match="no split .tset."):
        samples.main(samples.Config(folder, split="tset"))
