"""The one training loop: `model.fit` with what every paper needs around it."""

import re
import shutil
import sys
from pathlib import Path

import keras
import pandas as pd

from keras_pose import console, files
from keras_pose.data import pipeline
from keras_pose.data.augment import Augmentation
from keras_pose.training import callbacks, schedule
from keras_pose.training import folder as names

SMOKE_STEPS = 2


def fit(model, run, extra=()):
    """Trains a compiled model and keeps everything in `config.output`.

    A run that was stopped at any moment, even by kill -9, continues from its
    last finished epoch: weights, optimizer, rate, plateau, best so far and the
    order of the people. On a CPU the result is that of an uninterrupted run bit
    for bit. A longer `epochs` continues a finished run; where a preset lowers
    the rate at shares of them, `drop_epochs` has to repeat the earlier ones.

    Args:
        model: `models.model.PoseModel`, compiled with a metric of the name
            `run.metric`.
        run: a `Run`; its data has splits train and val.
        extra: more callbacks; they write their files before the epoch counts
            as done.

    Returns:
        the history of all epochs, earlier ones included: a DataFrame.

    Raises:
        ValueError: the folder holds another run; no split train or val; too
            few people; a loss that is not finite; the run to start from lacks
            epochs.
        FileNotFoundError: the run to start from has no weights.
    """
    config, data = run.config, run.data
    folder = Path(config.output)
    _check_splits(data)
    if run.starts_from:
        names.check_finished(run.starts_from)
    if config.restart and folder.exists():
        names.forget(folder)
    names.claim(folder, run)
    people = data.people("train")
    steps = SMOKE_STEPS if config.smoke else people // config.batch_size
    if steps == 0:
        raise ValueError(
            f"{data.folder}: {people} people in split train do not fill one "
            f"batch of {config.batch_size}: choose a smaller --batch-size"
        )
    model.optimizer.build(model.trainable_variables)  # else traced twice
    follow, plateau = schedule.follow(config, steps)
    record = callbacks.Record(folder, f"val_{run.metric}", plateau)
    done = record.resume(model)
    if done == 0:
        with files.whole(folder / names.UNTRAINED) as temporary:
            if run.starts_from:  # the untrained network is the first run's
                shutil.copyfile(run.starts_from / names.UNTRAINED, temporary)
                take_weights(model, run.starts_from / names.BEST)
            else:
                model.save(temporary)
    if done >= config.epochs:
        print(f"{folder} has its {done} epochs: nothing to train")
    elif done:
        print(f"continuing {folder} after epoch {done} of {config.epochs}")
    size, batch = config.image_size, config.batch_size
    augmentation = Augmentation.told(config)
    shown = augmentation.context(size)
    if data.context and shown > 1.001 * data.context:
        print(
            f"{data.folder} holds {data.context:.3g} times the side of a "
            f"person's square, the strongest samples show {shown:.3g} times: "
            "the rest is black. A smaller --zoom or --rotation shows less; "
            "records of --whole-images hold all there is"
        )
    train = pipeline.load(
        data,
        "train",
        size,
        batch,
        training=True,
        seed=config.seed,
        first_epoch=done,
        augmentation=augmentation,
    )
    held_out = pipeline.load(data, "val", size, batch)
    watched = console.is_terminal(sys.stdout)
    if done < config.epochs:
        model.fit(
            train,
            epochs=config.epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            validation_data=held_out,
            shuffle=False,  # the pipeline does it
            verbose=1 if watched else 0,  # Keras' bar
            callbacks=[
                *[callbacks.EpochLine(run.metric)] * (not watched),
                *follow,
                callbacks.Guard(config.warmup_epochs),
                keras.callbacks.TensorBoard(
                    folder / names.TENSORBOARD,
                    write_graph=False,
                    profile_batch=0,
                ),
                *extra,
                record,
            ],
        )
    return pd.DataFrame(record.rows)


def take_weights(model, path):
    """Gives layers the weights that layers of their names have in a .keras.

    Raises:
        ValueError: a layer of the file is not in `model`, or of another shape.
    """
    for layer in keras.saving.load_model(path, compile=False).layers:
        if not layer.weights:
            continue
        try:
            model.get_layer(layer.name).set_weights(layer.get_weights())
        except ValueError as error:
            raise ValueError(
                f"{path} is of another architecture: {error}"
            ) from None


def _check_splits(data):
    """Raises unless there are people to train on and people to validate on."""
    splits = data.description["splits"]
    people = {split: found["people"] for split, found in splits.items()}
    if all(people.get(split) for split in ("train", "val")):
        return
    there = ", ".join(f"{split} ({n:,})" for split, n in people.items())
    command = data.description.get("command", "")
    found = re.search(r"tfrecords\.\w+", command)
    converter = found[0] if found else "tfrecords.lsp, mpii, coco, flic"
    raise ValueError(
        f"{data.folder}: training needs people in the splits train and val, "
        f"which chooses the best epoch; it has {there}. Convert again: "
        f"python -m {converter} --help says how to make splits"
    )
