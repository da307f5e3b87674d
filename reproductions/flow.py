"""What every paper's `main` begins and ends with."""

import json
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from keras_pose import evaluate, files, metrics, provenance, training
from keras_pose.comparison import compare, compare_crowds, describe_crowds
from keras_pose.comparison import describe as describe_comparison
from keras_pose.data import annotations, runtime
from keras_pose.data.dataset import DESCRIPTION, open_dataset
from keras_pose.export import export
from keras_pose.inference.bottom_up import predict
from keras_pose.models import cascade, heads, macs, weights
from keras_pose.models import model as models
from keras_pose.report import charts
from keras_pose.report.write import write_report
from keras_pose.training import folder, stages
from tfrecords import crowds, synthetic

DRAWN = Path("runs") / "data" / "synthetic"
CROWDS = DRAWN.with_name("crowds")
"""Where the embedded default data is kept for the next run."""
EVALUATED = "python -m keras_pose.evaluate --model {model} --data {data} --flip"
"""What follows a run: with flip, as papers test."""
CHART = "claim.png"
"""What `Paper.chart` draws."""
WARM, TIMED = 2, 10
"""Training steps before the clock starts, and those whose median counts."""
SMOKE = {"train": 32, "val": 16, "test": 0}


def open_data(folder, smoke=False, whole=False):
    """The named records, or the embedded default: people drawn on the spot,
    whole pictures of them or one by one.

    Raises:
        ValueError: records of the other kind.
    """
    if folder is None:
        folder, draw = (CROWDS, crowds) if whole else (DRAWN, synthetic)
        if smoke:
            folder = folder.with_name("smoke-crowds" if whole else "smoke")
        if not (folder / DESCRIPTION).is_file():
            print(f"No --data: drawing people into {folder}")
            counts = SMOKE if smoke else {}
            draw.main(draw.Config(str(folder), **counts))
    data = open_dataset(folder)
    data.check_pictures(whole)
    return data


@dataclass(frozen=True)
class Paper:
    """What a paper brings; the rest of a run is shared."""

    name: str
    """Of its module: runs/<name> is the default output."""
    doc: str
    """Docstring of its module; the first line is the paper's title."""
    build_model: Callable
    """(config, skeleton) -> `models.PoseModel`."""
    build_loss: Callable
    """(config, model) -> `losses.PoseLoss`."""
    build_optimizer: Callable = training.optimizers.adam
    """config -> optimizer."""
    watch: Callable | None = None
    """(config, model, loss) -> lists of more metrics and of callbacks."""
    stages: Callable | None = None
    """config -> tuple of `training.Stage`; None: one training."""
    check: Callable | None = None
    """(config, data) -> ValueError if this paper cannot use the data."""
    errors: Callable | None = None
    """`Run` of a later stage of a cascade -> errors of the stage before, see
    `Run.errors`."""
    costs: bool = False
    """Whether comparisons say what a network costs, too."""
    decoding: str = "quarter"
    """How its maps become points in tables and exports."""
    chart: Callable | None = None
    """(config, table of a comparison) -> a figure of its claim, or None."""
    finds_everybody: bool = False
    """Whether it needs records of whole pictures, and no boxes."""
    draw: Callable | None = None
    """`training.Run` -> None: writes pictures into the folder of the best
    network; the last run's, once it is trained."""

    def main(self, config, variants=None, following=EVALUATED):
        """What the command does: one run, or a comparison of `variants`.

        Args:
            config: of the paper; with `compare`, if it has variants.
            variants: config -> what `compare` wants; None: there are none.
            following: what the user may do after one run; {model} and {data}
                are filled in.

        Returns:
            history of the run, or table of the comparison.
        """
        if getattr(config, "compare", False):
            one = replace(config, compare=False, seeds=1)
            return self.compare(one, variants(config), config.seeds)
        run, history = self.reproduce(config)
        if self.stages:
            names = [stage.name for stage in self.stages(config)]
            left = names[names.index(run.config.stage) + 1 :]
            if left:
                following = f"the same command with --stage {left[0]}"
        model = Path(run.config.output) / folder.BEST
        words = following.format(model=model, data=run.data.folder)
        print(f"Next: {words}")
        if config.data is None:
            print(
                "These people are drawn: python -m tfrecords.coco --help (or "
                "csv, yolo, mpii, lsp, flic) converts photographs for --data"
            )
        return history

    def start(self, config):
        """Fills in the preset, seeds everything, opens the data: a `Run`."""
        config, origin = config.resolved()
        if self.stages:
            stages.check(config, self.stages(config))
        if config.output is None:
            name = f"{self.name}-smoke" if config.smoke else self.name
            config = replace(config, output=Path("runs") / name)
        if config.smoke:
            config = replace(config, epochs=1)
            origin["epochs"] = "smoke"
            if origin.get("weights", "flag") != "flag":  # needs no download
                config = replace(config, weights="none")
                origin["weights"] = "smoke"
        policy = "mixed_float16" if config.mixed_precision else "float32"
        keras.mixed_precision.set_global_policy(policy)
        runtime.prepare(config.seed, config.image_size)
        data = self.open_data(config)
        if self.check:
            self.check(config, data)
        title = self.doc.splitlines()[0].rstrip(".")
        return training.Run(
            title,
            config,
            origin,
            data,
            self.metric_of(data),
            read_weights=weights.read,
        )

    def metric_of(self, data):
        """What its score is called in logs and curves."""
        return "fit" if self.finds_everybody else score_name(data)

    def open_data(self, config):
        """The records of a run: `open_data` of its kind."""
        return open_data(config.data, config.smoke, self.finds_everybody)

    def compiled(self, run):
        """The model of a `Run`, and the callbacks that `watch` wants."""
        config, data = run.config, run.data
        model = self.build_model(config, data.skeleton)
        loss = self.build_loss(config, model)
        if self.finds_everybody:
            check_room(data, model.codec)
            scores = [metrics.FieldsFit(model.codec, name=run.metric)]
        else:
            scores = [
                metrics.PosePCK(model.codec, data.protocol, name=run.metric),
                metrics.PeakHeight(model.codec),
            ]
        more, callbacks = [], []
        if self.watch:
            more, callbacks = self.watch(config, model, loss)
        model.compile(
            self.build_optimizer(config),
            loss,
            [*scores, *more],
            jit_compile=config.xla,
        )
        return model, callbacks

    def train(self, config):
        """Trains one network, all its stages or the one that is wanted.

        Returns:
            the last `Run`, and its history.
        """
        return self._train(self.start(config))

    def _train(self, run):
        if not self.stages:
            return run, self._fit(run)
        parts = self.stages(run.config)
        names = [stage.name for stage in parts]
        wanted = range(len(parts))
        if run.config.stage != "all":
            wanted = [names.index(run.config.stage)]
        for number in wanted:
            keras.backend.clear_session()
            last = stages.staged(run, parts, number)
            if self.errors and last.starts_from:
                last = replace(last, errors=partial(self.errors, last))
            what = getattr(run.config, "method", self.name)
            print(
                f"\n{what}, stage {last.origin['stage']}: "
                f"{last.config.stage}, {last.config.epochs} epochs",
                flush=True,
            )
            # A stage is the same, alone or after others.
            keras.utils.set_random_seed(last.config.seed)
            history = self._fit(last)
        return last, history

    def _fit(self, run):
        model, callbacks = self.compiled(run)
        return training.fit(model, run, callbacks)

    def reproduce(self, config, siblings=None):
        """`train`, and scores the network.

        Args:
            config: of the paper.
            siblings: folder of a comparison, whose equal runs are not repeated.

        Returns:
            the last `Run`, and its history.
        """
        run = replace(self.start(config), siblings=siblings)
        with files.locked(run.config.output):
            last, history = self._train(run)
            if not is_finished(last):  # it may be the rerun of a stopped one
                given = run.config.initial_weights is not None
                start = "before training" if given else "untrained"
                if self.draw:
                    self.draw(last)
                finish(last, start, self.decoding)
        return last, history

    def compare(self, config, variants, seeds, tables=None):
        """Every variant and seed on the same people in the same order.

        Args:
            config: of the paper; `output`: the folder of all the runs.
            variants: {variant: settings to replace}, the baseline first.
            seeds: how many, counted up from `config.seed`.
            tables: folder of the table and its figures; None: that of the runs.
                With another, comparisons share the runs of their common
                variants.

        Returns:
            the table of `comparison.compare`.
        """
        if seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {seeds}")
        output = Path(config.output or Path("runs") / f"{self.name}-compare")
        with files.locked(output):
            return self._compare(config, variants, seeds, output, tables)

    def _compare(self, config, variants, seeds, output, tables):
        plans = {
            variant: (self, replace(config, **settings))
            for variant, settings in variants.items()
        }
        runs = train_all(plans, output, seeds)
        data = self.open_data(config)
        tables = Path(tables or output)
        everybody = self.finds_everybody
        judge = compare_crowds if everybody else compare
        split, metric = held_out(data), self.metric_of(data)
        table = judge(runs, data, split, tables, metric)
        if self.costs:
            costs = {name: self.cost(plan) for name, (_, plan) in plans.items()}
            table = table.join(pd.DataFrame(costs).T.drop(columns="shares"))
            with files.whole(tables / "comparison.csv") as temporary:
                table.to_csv(temporary)
        describe = describe_crowds if everybody else describe_comparison
        print(describe(table))
        figure = self.chart and self.chart(config, table)
        if figure:
            charts.save(figure, tables / CHART)
        written = "comparison.csv, curves.png, "
        written += (
            "crowds.csv (by crowd index)"
            if everybody
            else "side_by_side.png (where they differ), worst.png (where both "
            "fail)"
        )
        print(
            f"\nIn {tables}: {written}"
            f"{f', {CHART} (the claim)' if figure else ''}.\n"
            f"Next: open them, and report.html in the runs' folders in {output}"
        )
        return table

    def cost(self, config):
        """What a network costs.

        Args:
            config: of one run; of several stages all are timed.

        Returns:
            dict: parameters, GMACs of one person (of a cascade with all its
            crops), "seconds per step", the mean by the stages' epochs, and
            "shares", into how many parts the epochs are divided.
        """
        run = self.start(config)
        parts = self.stages(run.config) if self.stages else ()
        runs = [
            (stages.staged(run, parts, number), part.share)
            for number, part in enumerate(parts)
        ] or [(run, 1)]
        spent, shares = 0.0, sum(share for _, share in runs)
        for one, share in runs:
            keras.backend.clear_session()
            model, _ = self.compiled(one)
            spent += share * seconds_per_step(model, one.config)
        for layer in model.layers:
            layer.trainable = True  # those of earlier stages are counted, too
        first, *later = cascade.stages_of(model)
        crops = model.codec.count
        passes = macs.macs(first) + crops * sum(map(macs.macs, later))
        return {
            "parameters": macs.parameters(model),
            "GMACs": passes / 1e9,
            "seconds per step": spent / shares,
            "shares": shares,
        }


def seconds_per_step(model, config):
    """Median time of a training step on people that are made up."""
    batch, size = config.batch_size, config.image_size
    rng = np.random.default_rng(config.seed)
    images = rng.integers(0, 256, (batch, *size, 3), "uint8")
    shape = batch, 1, model.codec.count, 4
    labels = rng.uniform(0, min(size), shape).astype("float32")
    labels[..., 2] = 2  # every joint is visible
    seconds = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM:])


def train_all(plans, output, seeds):
    """Trains and scores every plan with every seed.

    Args:
        plans: {name: (paper, config)}.
        output: folder of all the runs; equal ones are not repeated.
        seeds: how many, counted up from each config's own.

    Returns:
        {name: [folder of each seed]}.
    """
    runs = {name: [] for name in plans}
    # Seeds outermost: stopped early, it has every plan equally often.
    for number in range(seeds):
        for name, (paper, config) in plans.items():
            seed = config.seed + number
            slug = re.sub("[^a-z0-9.]+", "-", name.lower()).strip("-")
            place = output / f"{slug}-seed{seed}"
            runs[name].append(place)
            keras.backend.clear_session()
            one = replace(config, output=place, seed=seed)
            paper.reproduce(one, output)
    return runs


def check_room(data, codec):
    """ValueError if a picture has more people than a codec finds."""
    if data.most_people > codec.people:
        raise ValueError(
            f"{data.folder} has pictures with {data.most_people} people: "
            f"people must be at least {data.most_people}, got {codec.people}"
        )


def score_name(data):
    """What the data set's score is called in logs and curves."""
    return "pckh" if data.protocol.startswith("pckh") else "pck"


def held_out(data):
    """The split to report on: test, or val where none is labelled."""
    has_test = "test" in data.splits and data.is_labelled("test")
    return "test" if has_test else "val"


def is_finished(run):
    """Whether `finish` wrote what is there, after the last epoch."""
    return folder.is_sealed(Path(run.config.output))


def finish(run, start="untrained", decoding="quarter"):
    """Scores the best model on people it never saw; report and export.

    The split is test, or val where there is no test split: then the epoch was
    chosen on the same people, and results.json says so. `start` is what to call
    the score of the network before its first step, `decoding` one of
    `gaussians.DECODINGS`.
    """
    output, data = Path(run.config.output), run.data
    split = held_out(data)
    people = annotations.read_people(data, split)
    settings = {"split": split, "batch_size": run.config.batch_size}
    settings["decoding"] = decoding
    untrained, best = output / folder.UNTRAINED, output / folder.BEST
    model = models.load_whole(untrained)
    everybody = heads.codec_of(model).finds_everybody
    protocols = data.protocols
    if everybody:
        protocols = evaluate.protocols_of(data, split, everybody=True)
    main = "AP" if everybody else "mean"
    first = metrics.find(protocols[0])
    before = first.table(
        predict(model, data, **settings), people, data.skeleton
    )
    # To build and to trace a network takes as long as 500 people.
    if models.same_network(untrained, best):
        model.load_weights(best)
        model.provenance = provenance.read(best)
    else:
        model = models.load_whole(best)
    poses = predict(model, data, **settings)
    scored = evaluate.score(poses, people, data.skeleton, protocols)
    notes = provenance.notes(provenance.of(model), data.is_drawn)
    evaluate.save(output, scored, poses, people, data.skeleton, notes)
    table, _ = scored[protocols[0]]
    counted = first.countable(people, data.skeleton).any(axis=1).sum()
    if not everybody:
        counted = table["people"].iloc[-1]
    results = {
        "split": split,
        "chosen_on": "val",
        "people": len(people) if everybody else len(poses),
        "counted": int(counted),
        "protocol": protocols[0],
        start.replace(" ", "_"): round(first.measures(before)[main], 4),
        "trained": round(first.measures(table)[main], 4),
    }
    if everybody:
        results |= {"measure": main, "poses": len(poses)}
    if poses.occluded is not None:
        rates = evaluate.occlusion(poses.occluded, people.flags[poses.person])
        rates = {k: round(v, 4) for k, v in rates.items() if v == v}
        results["occlusion"] = rates
    for name in protocols[1:]:
        measures = metrics.find(name).measures(scored[name][0])
        results[name] = {k: round(v, 4) for k, v in measures.items()}
    with files.whole(output / folder.RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=2))
    written = [folder.REPORT, folder.BEST]
    if keras.backend.backend() == "tensorflow":
        result = models.last_output(model)
        export(result, output / folder.SAVED, decoding=decoding)
        written.append(f"{folder.SAVED}/")
    else:
        print("No saved_model/: export under KERAS_BACKEND=tensorflow")
    write_report(output, data, split, model, poses, settings["batch_size"])
    folder.seal(output)
    print(evaluate.describe(scored, poses, people, data.skeleton, split))
    subjects = "people" if everybody else data.subjects
    print(
        f"\n{'AP' if everybody else table.columns[0]} of "
        f"{results['counted']:,} {subjects} of {split} "
        f"({results['people']:,} in all): {first.measures(before)[main]:.3f} "
        f"{start}, {results['trained']:.3f} trained.\n"
        f"In {output}: {', '.join(written)}"
    )
    return results
