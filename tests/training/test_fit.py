"""The shared loop: resume after kill -9 is exact, and bad input is named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from keras_pose import console
from keras_pose.data import pipeline
from keras_pose.data.dataset import DESCRIPTION, Dataset
from keras_pose.training.folder import checkpoints, differences
from reproductions import hsm_loss
from tfrecords import synthetic

ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
from pathlib import Path
import keras_pose  # before TensorFlow
from keras import layers
from keras_pose.models import convolution, hourglass, normalization
from reproductions import hsm_loss

def network(images, joints, *, filters, bias, **_):
    # every kind of layer of an hourglass, which takes longer to trace
    x = hourglass.scale_pixels(images, -0.5)
    x = convolution.convolution(x, filters, 7, "stem", strides=2)
    x = layers.MaxPooling2D()(normalization.norm_relu(x, "stem"))
    low = hourglass.residual(layers.MaxPooling2D()(x), filters, "low")
    x = layers.Add()([x, layers.UpSampling2D()(low)])
    return [hourglass.read_maps(x, joints, bias, "read")]

hourglass.stacked_hourglass = network
data, output = map(Path, sys.argv[1:])
hsm_loss.paper().train(hsm_loss.Config(
    data=data, output=output, epochs=4, batch_size=2, image_size=(64, 128),
    stacks=1, filters=8, patience=1, plateau_factor=0.1, warmup_epochs=1,
    drop_epochs=(),
))
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    synthetic.main(synthetic.Config(str(folder), 12, 4, 0, size=64, workers=1))
    return folder


def settings(people, output):
    return hsm_loss.Config(
        data=people,
        output=output,
        epochs=1,
        batch_size=4,
        image_size=(64, 64),
        stacks=1,
        filters=8,
        drop_epochs=(),
    )


@pytest.fixture
def config(people, tmp_path):
    return settings(people, tmp_path / "run")


@pytest.fixture(scope="module")
def one_epoch(people, tmp_path_factory, two_layers, eagerly):
    """A run of one epoch; tests work on copies of its folder."""
    folder = tmp_path_factory.mktemp("one") / "run"
    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
        hsm_loss.paper().train(settings(people, folder))
    return folder


@pytest.fixture
def trained(config, one_epoch, monkeypatch, two_layers):
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    shutil.copytree(one_epoch, config.output)
    return config


def start(people, output):
    command = [sys.executable, "-c", RUN, str(people), str(output)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def ended(process):
    """What it printed until it was done."""
    log = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, log[-2000:]
    return log


def final_state(output):
    """Every weight and optimizer variable, and the state beside them."""
    newest = checkpoints(output)[-1]
    state = json.loads((newest / "state.json").read_text())
    for row in state["history"]:
        del row["seconds"]
    del state["run"], state["sha256"]  # with folders and dates in them
    return (newest / "model.weights.h5"), state


def check_equal(output, expected):
    """That two runs ended alike, bit for bit."""
    one, state = final_state(output)
    other, wanted = final_state(expected)
    assert state == wanted
    found, wanted = arrays(one), arrays(other)
    assert found.keys() == wanted.keys()
    assert any("optimizer" in name for name in wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], name)


def arrays(path):
    h5py = pytest.importorskip("h5py")
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.__setitem__(name, item[()])
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


@pytest.fixture(scope="module")
def whole_run(people, tmp_path_factory):
    """Folder of four epochs without a stop, what they printed, and "killed":
    the files as kill -9 would have left them after the first epoch.

    The process is stopped, its folder copied, and it goes on.
    """
    folder = tmp_path_factory.mktemp("whole")
    run, killed = folder / "run", folder / "killed"
    process = start(people, run)
    deadline = time.monotonic() + 240
    while not checkpoints(run):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "it was not stopped in the middle"
    shutil.copytree(run, killed)
    process.send_signal(signal.SIGCONT)
    return run, ended(process), killed


def test_a_log_has_a_line_per_epoch_and_no_notes_of_tensorflow(
    whole_run, notes
):
    _, log, _ = whole_run
    assert not notes(log)
    epochs = [line for line in log.splitlines() if line.startswith("epoch ")]
    assert [line.split(",")[0] for line in epochs] == [
        f"epoch {number} of 4" for number in (1, 2, 3, 4)
    ]
    for line in epochs:
        assert "val_loss" in line and "val_pckh" in line and "rate" in line
    assert "ms/step" not in log  # Keras' own bar


def test_a_killed_run_continues_bit_for_bit(people, whole_run):
    whole, _, killed = whole_run
    done = int(checkpoints(killed)[-1].name[-4:])
    assert done < 4, "it was not stopped in the middle"
    log = ended(start(people, killed))
    assert f"after epoch {done} of 4" in log
    check_equal(killed, whole)
    rates = pd.read_csv(killed / "history.csv")["learning_rate"]
    assert len(rates) == 4


@pytest.fixture(scope="module")
def three_epochs(one_epoch, people, tmp_path_factory, two_layers, eagerly):
    """`one_epoch`, and two more without a stop."""
    folder = tmp_path_factory.mktemp("three") / "run"
    shutil.copytree(one_epoch, folder)
    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
        hsm_loss.paper().train(replace(settings(people, folder), epochs=3))
    return folder


def test_every_epoch_is_validated_on_each_person_once(
    config, two_layers, monkeypatch, eagerly
):
    """Four people in batches of three; the network stays as it is."""
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    config = replace(config, epochs=2, batch_size=3, learning_rate=1e-12)
    with eagerly():
        run, history = hsm_loss.paper().train(config)
        model = keras.saving.load_model(config.output / "best.keras")
        people = pipeline.load(run.data, "val", config.image_size, 3)
        loss = model.evaluate(people, verbose=0, return_dict=True)["loss"]
    assert list(history["val_loss"]) == pytest.approx([loss] * 2, rel=1e-5)


class SignalAt(keras.callbacks.Callback):
    """Sends a signal to this process in the middle of an epoch."""

    def __init__(self, number, epoch, batch):
        super().__init__()
        self.number = number
        self.epoch, self.batch = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


def test_a_signal_ends_the_run_after_its_step_and_nothing_is_lost(
    trained, three_epochs, capfd, eagerly
):
    paper = hsm_loss.paper()
    sent = SignalAt(signal.SIGTERM, epoch=1, batch=1)
    stopping = replace(paper, watch=lambda *_: ([], [sent]))
    with pytest.raises(console.Terminated), eagerly():
        stopping.train(replace(trained, epochs=3))
    assert "stopping after this step" in capfd.readouterr().err
    names = [path.name for path in checkpoints(trained.output)]
    assert names == ["epoch-0001", "epoch-0001-step-000002"]
    with eagerly():
        paper.train(replace(trained, epochs=3))
    printed = capfd.readouterr().out
    assert "after epoch 1 of 3 and 2 of 3 steps" in printed
    check_equal(trained.output, three_epochs)


def test_a_damaged_checkpoint_costs_an_epoch_and_no_more(
    trained, three_epochs, capsys, eagerly
):
    """What a power cut leaves of a file that was not yet on the disk: zeros."""
    name = "model.weights.h5"
    shutil.rmtree(trained.output)
    shutil.copytree(three_epochs, trained.output)
    path = checkpoints(trained.output)[-1] / name
    path.write_bytes(bytes(path.stat().st_size))
    with eagerly():
        hsm_loss.paper().train(replace(trained, epochs=3))
    printed = capsys.readouterr().out
    assert f"epoch-0003/{name} is damaged: using the previous" in printed
    assert "after epoch 2 of 3" in printed
    check_equal(trained.output, three_epochs)


def test_the_untrained_network_is_made_anew(trained):
    """Whatever lies in its place; of the seed, it is the same."""
    path = Path(trained.output) / "untrained.keras"
    before = keras.saving.load_model(path).get_weights()
    best = path.with_name("best.keras").read_bytes()
    for content in (path.read_bytes()[:5000], best):
        path.write_bytes(content)
        hsm_loss.paper().train(trained)
        after = keras.saving.load_model(path).get_weights()
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_run_without_any_whole_checkpoint_says_so(trained):
    for path in checkpoints(trained.output):
        (path / "state.json").write_text("")
    with pytest.raises(ValueError, match="every checkpoint is damaged.*--rest"):
        hsm_loss.paper().train(replace(trained, epochs=2))


def test_what_a_run_is_stands_in_its_checkpoint(trained):
    """run.json is lost, or that of another run lies there."""
    for content in (None, json.dumps({"settings": {}})):
        path = Path(trained.output) / "run.json"
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(ValueError, match="beta: 1.0 before, 2.0 now"):
            hsm_loss.paper().train(replace(trained, beta=2.0))
        hsm_loss.paper().train(trained)
        assert json.loads(path.read_text())["settings"]["beta"]["value"] == 1.0


def of_before(output):
    """A run as earlier versions left it: nothing is sealed."""
    for path in checkpoints(output):
        (path / "SHA256SUMS").unlink()
        state = json.loads((path / "state.json").read_text())
        del state["run"], state["sha256"]
        (path / "state.json").write_text(json.dumps(state))
    return Path(output) / "run.json"


def test_a_run_of_an_earlier_version_is_continued(trained, eagerly):
    of_before(trained.output)
    with eagerly():
        _, history = hsm_loss.paper().train(replace(trained, epochs=2))
    assert list(history["epoch"]) == [1, 2]


def test_a_run_of_an_earlier_version_needs_its_run_json(trained):
    of_before(trained.output).write_text("")
    with pytest.raises(ValueError, match="run.json is missing or damaged"):
        hsm_loss.paper().train(replace(trained, epochs=2))


def test_two_trainings_do_not_share_a_folder(trained, locked_by_another):
    with locked_by_another(trained.output) as other:
        with pytest.raises(OSError, match=f"process {other.pid} on"):
            hsm_loss.paper().train(replace(trained, epochs=2))
        with pytest.raises(OSError, match=f"{trained.output} is in use"):
            hsm_loss.main(replace(trained, compare=True))
    hsm_loss.paper().train(trained)


def test_what_a_kill_left_half_written_is_not_read(trained):
    folder = Path(trained.output) / "checkpoint" / ".writing-epoch-0002"
    folder.mkdir()
    (folder / "state.json").write_text("{")
    _, history = hsm_loss.paper().train(trained)
    assert list(history["epoch"]) == [1]


def test_a_run_with_other_settings_is_not_continued(trained):
    with pytest.raises(ValueError, match="beta: 1.0 before, 2.0 now"):
        hsm_loss.paper().train(replace(trained, beta=2.0))


def test_a_run_of_a_version_with_other_networks_is_not_continued(trained):
    path = of_before(trained.output)
    run = json.loads(path.read_text())
    assert run.pop("networks") > 1  # the first versions did not write it
    path.write_text(json.dumps(run))
    with pytest.raises(ValueError, match="settings meant another network"):
        hsm_loss.paper().train(replace(trained, epochs=2))


def test_a_run_of_before_a_setting_continues_if_it_did_the_same(
    trained, capsys
):
    path = of_before(trained.output)
    run = json.loads(path.read_text())
    for name in ("rotation_chance", "distribution", "flip_chance", "color"):
        del run["settings"][name]
    path.write_text(json.dumps(run))
    with pytest.raises(ValueError, match="color: 0.4 before, 0.0 now"):
        hsm_loss.paper().train(replace(trained, color=0.0))
    hsm_loss.paper().train(trained)
    assert "1 epochs: nothing to train" in capsys.readouterr().out


def test_a_run_of_before_a_setting_had_the_shared_default():
    """A paper's own default may be another: here no gains of colours."""
    now = {
        "settings": {"color": {"value": 0.0, "from": "default"}},
        "data": "data",
        "data_sha256": "0",
    }
    found = differences(now | {"settings": {}}, now)
    assert found[-1] == "color: 0.4 before, 0.0 now"


@pytest.mark.parametrize(("context", "short"), [(2.0, False), (1.5, True)])
def test_crops_that_are_too_small_for_the_augmentation_are_named(
    trained, monkeypatch, capsys, context, short
):
    """Zoomed by 2^0.3, turned by 30 degrees: 1.23 (cos 30 + sin 30) = 1.68."""
    monkeypatch.setattr(Dataset, "context", context)
    hsm_loss.paper().train(trained)
    said = capsys.readouterr().out
    assert ("holds 1.5 times" in said and "show 1.68 times" in said) == short


def test_a_checkpoint_of_another_architecture_is_named(trained):
    path = of_before(trained.output)
    run = json.loads(path.read_text())
    run["settings"]["filters"]["value"] = 16  # as if it had been edited
    path.write_text(json.dumps(run))
    with pytest.raises(ValueError, match="another architecture"):
        hsm_loss.paper().train(replace(trained, filters=16))


def test_restart_forgets_the_run_and_nothing_else(trained):
    (Path(trained.output) / "notes.txt").write_text("mine")
    # too few people for a batch: it stops after it has cleared the folder
    with pytest.raises(ValueError, match="12 people in split train"):
        hsm_loss.paper().train(replace(trained, batch_size=32, restart=True))
    left = {path.name for path in Path(trained.output).iterdir()}
    assert left == {"run.json", "notes.txt", ".lock", "checkpoint"}
    assert not checkpoints(trained.output)


def test_restart_reaches_checkpoints_behind_a_link(trained, tmp_path, eagerly):
    folder = Path(trained.output) / "checkpoint"
    folder.rename(tmp_path / "scratch")
    folder.symlink_to(tmp_path / "scratch")
    with eagerly():
        _, history = hsm_loss.paper().train(replace(trained, restart=True))
    assert list(history["epoch"]) == [1]
    assert folder.is_symlink()


def test_fewer_epochs_than_there_are_change_nothing(
    trained, three_epochs, capsys
):
    shutil.rmtree(trained.output)
    shutil.copytree(three_epochs, trained.output)
    _, history = hsm_loss.paper().train(replace(trained, epochs=2))
    assert len(history) == 3
    assert "already has 3 epochs" in capsys.readouterr().out
    said = json.loads((Path(trained.output) / "run.json").read_text())
    assert said["settings"]["epochs"]["value"] == 3


def test_a_run_says_where_each_setting_came_from(trained):
    run = json.loads((Path(trained.output) / "run.json").read_text())
    settings = run["settings"]
    assert settings["filters"] == {"value": 8, "from": "flag"}
    assert settings["patience"]["from"].startswith("preset")
    assert settings["gamma"] == {"value": 2.0, "from": "default"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ({"batch_size": -1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"plateau_factor": 1.5}, "plateau_factor"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"warmup_epochs": -1}, "warmup_epochs"),
        ({"color": 1.5}, "color must be in 0 ... 1, got 1.5"),
        ({"distribution": "uniform", "zoom": 1.0}, "zoom must be below 1"),
        ({"image_size": (64, 100)}, "divisible by 64"),
        ({"beta": 0.0}, "beta"),
        ({"form": "literal"}, "form must be one of expm1, saturating"),
        ({"data": Path("nowhere")}, "nowhere is not a folder"),
    ],
)
def test_impossible_settings_are_named(config, change, named):
    with pytest.raises((ValueError, OSError), match=named):
        hsm_loss.paper().train(replace(config, **change))


def test_data_without_validation_people_is_named(
    config, tmp_path, monkeypatch, two_layers
):
    """As LSP was converted once: train and test alone."""
    monkeypatch.setattr(hsm_loss.hourglass, "stacked_hourglass", two_layers)
    folder = tmp_path / "lsp"
    shutil.copytree(config.data, folder)
    path = folder / DESCRIPTION
    said = json.loads(path.read_text())
    said["command"] = "python -m tfrecords.lsp --source lsp --output lsp"
    nobody = {"people": 0, "shards": []}
    train = said["splits"]["train"]
    for splits, named in (
        ({"train": train}, "train (12)"),
        ({"train": train, "val": nobody}, "train (12), val (0)"),
    ):
        said["splits"] = splits
        path.write_text(json.dumps(said))
        with pytest.raises(ValueError) as error:
            hsm_loss.paper().train(replace(config, data=folder))
        assert "needs people in the splits train and val" in str(error.value)
        assert f"it has {named}." in str(error.value)
        assert "python -m tfrecords.lsp --help" in str(error.value)
    assert not config.output.exists()


def test_a_full_disk_leaves_the_last_epoch(trained, monkeypatch, eagerly):
    def full(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    def full_as_well(self, member, path):
        full(self, path / member)

    with monkeypatch.context() as patch, eagerly():
        patch.setattr(keras.Model, "save_weights", full)
        patch.setattr(zipfile.ZipFile, "extract", full_as_well)
        with pytest.raises(OSError, match="No space left"):
            hsm_loss.paper().train(replace(trained, epochs=2))
    with eagerly():
        _, history = hsm_loss.paper().train(replace(trained, epochs=2))
    assert list(history["epoch"]) == [1, 2]
