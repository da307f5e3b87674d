"""Fine-tuning on few photographs against training on them from nothing.

An experiment of ours with the network and the loss of `hsm_loss`: how much do
weights of other people help, for instance of drawn ones (`make hsm`), if there
are 200 photographs? Every variant trains on the same people in the same order
for the same number of steps. With --photographs there is a curve: the same for
several numbers of photographs and several kinds of weights.

Run        python -m reproductions.fine_tuning --data data/lspet --seeds 3
               --initial-weights runs/hsm_loss
Curve      python -m reproductions.fine_tuning --data data/lspet --seeds 3
               --photographs 200 500 2000 --batch-size 20
               --starts plain=runs/plain rich=runs/rich
Measured   reproductions/README.md
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd

from keras_pose import comparison, console, files
from keras_pose.report import charts, trade_offs
from reproductions import flow, hsm_loss

NOTHING = "From nothing"
"""Name of the baseline."""
CURVE = "curve.csv", "curve.png"
"""What a curve writes."""


@dataclass(frozen=True)
class Config(hsm_loss.Config):
    """From nothing, fine-tuned, and with a frozen backbone; with --taken-rate
    also at that rate. Or a curve."""

    train_people: int | None = 200
    """Train on so many people of split train, the same for all variants and
    seeds."""
    photographs: tuple[int, ...] = ()
    """Numbers of people of a curve, instead of --train-people; a larger number
    has all people of the smaller ones."""
    starts: tuple[str, ...] = ()
    """NAME=PATH of each kind of weights of a curve, PATH as in
    --initial-weights. All seeds start from the same file."""
    steps: int = 600
    """Steps of each training of a curve, rounded to whole epochs (instead of
    --epochs)."""

    PRESETS: ClassVar[dict] = {
        name: preset | {"epochs": epochs, "drop_epochs": drops}
        for (name, preset), (epochs, drops) in zip(
            hsm_loss.Config.PRESETS.items(),
            [(200, (160, 180)), (48, (38, 43))],
            strict=True,
        )
    }


def variants(config):
    """{name: settings} of the comparison, the baseline first."""
    nothing = {"initial_weights": None, "freeze": "none", "taken_rate": 1.0}
    given = nothing | {"initial_weights": config.initial_weights}
    compared = {
        NOTHING: nothing,
        "Fine-tuned": given,
        "Fine-tuned, frozen backbone": given | {"freeze": "backbone"},
    }
    rate = config.taken_rate
    if rate != 1:
        compared[f"Fine-tuned, rate x {rate:g}"] = given | {"taken_rate": rate}
    return compared


def curve_variants(config):
    """{name: weights} of the lines of a curve, the baseline first.

    Raises:
        ValueError: a start that is not NAME=PATH, or two of one name.
    """
    lines = {NOTHING: None}
    for start in config.starts:
        name, _, path = start.partition("=")
        if not name or not path or name in lines:
            raise ValueError(
                "each of --starts must be NAME=PATH with a name of its own, "
                f"got {' '.join(config.starts)}"
            )
        lines[name] = Path(path)
    return lines


def curve_run(config, people, weights):
    """The config of one training of a curve.

    Its settings are those of a training alone, so that a later curve with more
    sizes or starts has the runs of this one.
    """
    batch = config.resolved()[0].batch_size
    if people < batch:
        raise ValueError(
            f"photographs must be at least one batch of {batch}, got {people}"
        )
    return replace(
        config,
        train_people=people,
        initial_weights=weights,
        epochs=max(1, round(config.steps / (people // batch))),
        photographs=(),
        starts=(),
        steps=Config.steps,
        seeds=1,
    )


def paper():
    """`hsm_loss` under another name."""
    return replace(hsm_loss.paper(), name="fine_tuning", doc=__doc__)


def train_curve(config):
    """Trains every size, start and seed; writes `CURVE`.

    Returns:
        the DataFrame of curve.csv: a row for each number of people, each
        variant and what it is compared with, columns as of
        `comparison.compare`. Each start is compared with nothing, and with the
        start before it.
    """
    if config.seeds < 1 or config.steps < 1:
        raise ValueError(
            f"seeds and steps must be at least 1, got {config.seeds} and "
            f"{config.steps}"
        )
    lines = curve_variants(config)
    plans = {
        f"{name} {people}": (paper(), curve_run(config, people, weights))
        for people in config.photographs
        for name, weights in lines.items()
    }
    output = Path(config.output or Path("runs") / "fine_tuning-curve")
    with files.locked(output):
        runs = flow.train_all(plans, output, config.seeds)
        data = paper().open_data(config)
        split = flow.held_out(data)
        table = tabulate_curve(config.photographs, lines, runs, data, split)
        with files.whole(output / CURVE[0]) as temporary:
            table.to_csv(temporary, index=False)
        figure = trade_offs.draw_lines(
            table[table["against"] == NOTHING],
            "variant",
            "people",
            "people in training",
        )
        charts.save(figure, output / CURVE[1])
    columns = ["people", "variant", "against", "seeds", "Mean", "Mean ±"]
    print(table[[*columns, *comparison.DIFFERENCE]].round(2).to_string())
    print(f"\nIn {output}: {', '.join(CURVE)}")
    return table


def tabulate_curve(sizes, lines, runs, data, split):
    """The table of `train_curve`.

    Args:
        sizes: numbers of people.
        lines: names of the variants, the baseline first.
        runs: {"NAME SIZE": [folder of each seed]}.
        data: the opened data set.
        split: name of the split that the runs were scored on.
    """
    names = list(lines)
    parts = []
    for people in sizes:
        of = {name: runs[f"{name} {people}"] for name in names}
        groups = [names, *zip(names[1:], names[2:], strict=False)]
        for group in groups:
            table = comparison.tabulate({n: of[n] for n in group}, data, split)
            table = table.drop(columns="people").reset_index()
            if group is not names:
                table = table.iloc[1:]  # the other is in the first group
            table.insert(0, "people", people)
            table.insert(2, "against", group[0])
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def main(config):
    """Compares the variants, or trains a curve."""
    if bool(config.photographs) != bool(config.starts):
        raise ValueError("a curve needs both --photographs and --starts")
    if config.photographs:
        return train_curve(config)
    if config.initial_weights is None:
        raise ValueError(
            "give --initial-weights, for instance runs/hsm_loss after "
            "python -m reproductions.hsm_loss"
        )
    one = replace(config, seeds=1)
    return paper().compare(one, variants(config), config.seeds)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
