"""The training loop of all papers: `model.fit` with exact resume."""

import dataclasses
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from keras_pose import console, files, provenance, untrusted
from keras_pose.data import joint_crops, pipeline
from keras_pose.data.augment import Augmentation
from keras_pose.training import callbacks, hooks, initial, schedule
from keras_pose.training import folder as names

SMOKE_STEPS = 2


def fit(model, run, extra=()):
    """Trains a compiled model and keeps everything in `config.output`.

    A run that was stopped at any moment, even by kill -9, resumes from its last
    checkpoint: weights, optimizer, rate, plateau, best so far and the order of
    the people. On a CPU the result equals that of an uninterrupted run bit for
    bit. A larger `epochs` extends a finished run; where a preset lowers the
    rate at shares of them, `drop_epochs` must repeat the earlier ones.

    Args:
        model: `models.model.PoseModel`, compiled with a metric of the name
            `run.metric`.
        run: a `Run`; its data has splits train and val.
        extra: more callbacks; they and those of `config.callbacks` run before
            the checkpoint is written.

    Returns:
        the history of all epochs, earlier ones included: a DataFrame.

    Raises:
        ValueError: the folder holds another run; no split train or val; too
            few people; a loss that is not finite; the run to start from is not
            finished; initial weights that are damaged or do not fit.
        FileNotFoundError: there are no weights to start from.
    """
    folder = Path(run.config.output)
    _check_splits(run.data)
    if run.starts_from:
        names.check_finished(run.starts_from)
    with files.locked(folder), console.finishing() as stop:
        return _fit(model, run, extra, folder, stop)


def _fit(model, run, extra, folder, stop):
    """`fit`, once the folder is locked."""
    config, data = run.config, run.data
    if config.restart:
        names.forget(folder)
    description, checkpoint = names.claim(folder, run)
    people = data.people("train")
    chosen = None
    if config.train_people is not None:
        if config.train_people > people:
            raise ValueError(
                f"train_people must be at most {people}, the "
                f"{data.subjects} of {data.folder}, got {config.train_people}"
            )
        chosen = pipeline.choose(people, config.train_people)
        people = config.train_people
    around, tested = _around(run, folder, description), None
    if around:
        chosen = joint_crops.repeated(
            np.arange(people) if chosen is None else chosen, around
        )
        tested = joint_crops.repeated(np.arange(data.people("val")), around)
    samples = people if chosen is None else len(chosen)
    steps = SMOKE_STEPS if config.smoke else samples // config.batch_size
    if steps == 0:
        raise ValueError(
            f"{data.folder}: {people} {data.subjects} in split train do not "
            f"fill one batch of {config.batch_size}: choose a smaller "
            "--batch-size"
        )
    done, step = 0, 0
    if checkpoint:
        done, step = checkpoint.epoch, checkpoint.step
    follow, plateau = schedule.follow(config, steps, step)
    record = callbacks.Record(
        folder, f"val_{run.metric}", plateau, description, checkpoint, stop
    )
    untrained = folder / names.UNTRAINED
    makes_untrained = not checkpoint or not record.knows(untrained)
    if config.initial_weights is not None:
        if makes_untrained:
            _take(model, run, folder, description)
        initial.slow_down(
            model,
            description[names.INITIAL]["layers"],
            config.freeze,
            config.taken_rate,
        )
    model.optimizer.build(model.trainable_variables)  # else traced twice
    if makes_untrained:
        with files.whole(untrained) as temporary:
            if run.starts_from:  # the untrained network is the first run's
                shutil.copyfile(run.starts_from / names.UNTRAINED, temporary)
            else:
                model.save(temporary)
    record.digests[names.UNTRAINED] = files.checksum(untrained)
    stage = run.starts_from is not None
    start = run.starts_from / names.BEST if stage else untrained
    weights = getattr(config, "weights", None)
    known = {"weights": weights} if weights not in (None, "none") else {}
    model.provenance = provenance.trained(
        provenance.read(start) or known,
        data,
        stage,
        paper=run.paper,
        command=description["command"],
        **({} if config.train_people is None else {"people": people}),
    )
    if checkpoint:
        record.resume(model)
    elif run.starts_from:
        best = run.start()
        initial.take_all(model, run.read_weights(best)[0], best)
    own = []
    if done < config.epochs:
        own = hooks.call(config.callbacks, config, folder)
    if done >= config.epochs:
        print(f"{folder} already has {done} epochs: nothing to train")
    elif checkpoint:
        middle = f" and {step} of {steps} steps" if step else ""
        print(
            f"continuing {folder} after epoch {done} of {config.epochs}{middle}"
        )
    size, batch = config.image_size, config.batch_size
    augmentation = Augmentation.from_config(config)
    shown = augmentation.context(size)
    if data.context and shown > 1.001 * data.context:
        print(
            f"{data.folder} holds {data.context:.3g} times the side of a "
            f"person's square, the strongest samples show {shown:.3g} times: "
            "the rest is black. Use a smaller --zoom or --rotation, or "
            "convert with --whole-images"
        )
    labels = {"neighbours": getattr(config, "neighbours", None)}
    if model.codec.finds_everybody:
        labels["mask_stride"] = model.codec.stride
    held_out = pipeline.load(
        data,
        "val",
        size,
        batch,
        people=tested,
        around=around,
        **labels,
    )
    watched = console.is_terminal(sys.stdout)
    lines = callbacks.EpochLine(run.metric, config.epochs)
    followers = [
        *([] if watched else [lines]),
        *follow,
        callbacks.Guard(config.warmup_epochs),
        keras.callbacks.TensorBoard(
            folder / names.TENSORBOARD, write_graph=False, profile_batch=0
        ),
        *extra,
        *own,
        record,
    ]
    # The rest of an interrupted epoch is a call of model.fit of its own.
    parts = [(done, step, done + 1)] if step else []
    parts.append((done + len(parts), 0, config.epochs))
    for first, skipped, last in parts:
        if first >= last or model.stop_training:  # one of `own` may have
            continue
        train = pipeline.load(
            data,
            "train",
            size,
            batch,
            training=True,
            seed=config.seed,
            first_epoch=first,
            first_step=skipped,
            augmentation=augmentation,
            people=chosen,
            around=around,
            **labels,
        )
        model.fit(
            train,
            epochs=last,
            initial_epoch=first,
            steps_per_epoch=steps - skipped,
            # Endless: of a data set that ends, Keras makes two iterators for
            # each epoch, and each takes a fifth of a second.
            validation_data=held_out.repeat(),
            validation_steps=int(held_out.cardinality()),
            shuffle=False,  # the pipeline does it
            verbose=1 if watched else 0,  # Keras' bar
            callbacks=followers,
        )
    return pd.DataFrame(record.rows)


def _around(run, folder, description):
    """`JointCrops` of a later stage of a cascade, else None.

    The errors of the stage before are measured once: a run that is continued
    has them in `description`.
    """
    if run.errors is None:
        return None
    if names.ERRORS not in description:
        description[names.ERRORS] = run.errors()
        names.write_run(folder, description)
    errors = description[names.ERRORS]
    return joint_crops.JointCrops(
        run.data.skeleton.diagonals,
        errors["mean"],
        errors["covariance"],
        run.config.sigma,
        run.config.crops,
    )


def _take(model, run, folder, description):
    """Takes the initial weights; prints and records which ones, and what they
    were trained on."""
    path = run.start()
    given, facts = run.read_weights(path)
    taken = initial.take(model, given, path)
    print(taken.describe(path))
    description[names.INITIAL] = dataclasses.asdict(taken)
    names.write_run(folder, description)
    best = Path(path.parent, "..", "..", names.BEST)
    if path.parent.parent.name == names.CHECKPOINT and best.is_file():
        facts = provenance.read(best)
    model.provenance = facts | {
        "file": untrusted.shown(path.name),
        "sha256": description[names.START],
    }


def _check_splits(data):
    """Raises unless the splits train and val hold people."""
    splits = data.description["splits"]
    people = {split: entry["people"] for split, entry in splits.items()}
    if all(people.get(split) for split in ("train", "val")):
        return
    counts = ", ".join(f"{split} ({n:,})" for split, n in people.items())
    converter = data.converter or "tfrecords.lsp, mpii, coco, flic"
    raise ValueError(
        f"{data.folder}: training needs people in the splits train and val "
        f"(val chooses the best epoch); it has {counts}. Convert again: "
        f"python -m {converter} --help explains the splits"
    )
