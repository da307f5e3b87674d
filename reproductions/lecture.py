"""Single-person pose estimation, 2014 to 2019: all systems trained alike.

Every system of a lecture on human pose estimation learns from the same people
for the same time, with several seeds, and is scored on the same held-out
people. The result is one page: who invented what, what it costs, how well it
does, joint by joint, next to what its authors published.

Run        python -m reproductions.lecture --seeds 3
Photos     python -m reproductions.lecture --data data/lspet --seeds 3
Measured   reproductions/README.md
Departs    the published systems are larger, many start from ImageNet, and all
           train far longer; these are the laptop presets, from random weights,
           for minutes: the page shows ideas at work, not the papers' results
"""

import json
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pandas as pd

from keras_pose import choices, comparison, console, files
from keras_pose.data import annotations
from keras_pose.inference import top_down
from keras_pose.models import model as models
from keras_pose.report import systems as page
from keras_pose.training import folder, hooks
from reproductions import (
    cascaded_pyramid,
    convolutional_pose_machines,
    deep_pose,
    efficient_localization,
    flow,
    hrnet,
    hsm_loss,
    integral_regression,
    simple_baselines,
)

PLAN = "plan.json"
"""What each system costs, and its epochs: kept, so that all seeds and a later
start of the same command train for as long."""
TIMED = 32, 3
"""People whose prediction is timed, and how often; the median counts."""


@dataclass(frozen=True)
class System:
    """A published system and its reproduction."""

    year: int
    module: ModuleType
    """Of its paper, in `reproductions`."""
    idea: str
    """What it brought, in one line."""
    published: str
    """What its authors reported."""
    settings: dict = field(default_factory=dict)
    """That differ from the module's defaults."""


SYSTEMS = {
    "DeepPose": System(
        2014,
        deep_pose,
        "A network regresses the coordinates, later ones look again, closer",
        "LSP PCP 61",
    ),
    "Efficient localization": System(
        2015,
        efficient_localization,
        "Maps, and finer maps in a window around each peak; dropout of maps",
        "MPII test 82.0",
    ),
    "CPM": System(
        2016,
        convolutional_pose_machines,
        "Stages see the last stage's maps with large kernels, and each is "
        "taught",
        "MPII test 88.5",
    ),
    "Stacked Hourglass": System(
        2016,
        hsm_loss,
        "Down to 4 x 4 cells and up again, twice or more, with skips",
        "MPII test 90.9",
        # a linear output learns that all is background for epochs first
        {"loss": "mse_sigmoid"},
    ),
    "CPN": System(
        2018,
        cascaded_pyramid,
        "A pyramid finds the easy joints, a second network the hard ones",
        "COCO test-dev AP 72.1",
    ),
    "Integral regression": System(
        2018,
        integral_regression,
        "A joint is the mean position under its map, trained end to end",
        "MPII test 91.0",
    ),
    "Simple Baselines": System(
        2018,
        simple_baselines,
        "How good can a ResNet and three deconvolutions be?",
        "MPII val 89.6",
    ),
    "HRNet": System(
        2019,
        hrnet,
        "High resolution from the first layer to the last",
        "MPII test 92.3",
    ),
}
"""In the order of their years; the first is the one to which the others are
compared."""


@dataclass(frozen=True)
class Config:
    """All systems, 5 minutes each."""

    data: Path | None = None
    """Folder of records; None: draw synthetic people (tfrecords.synthetic)."""
    output: Path | None = None
    """Folder of all runs, the table and the page; None: runs/lecture."""
    systems: tuple[str, ...] = tuple(SYSTEMS)
    """Which systems, by name. Stopped and started again, the command goes on
    where it was, and with more of them keeps what is trained."""
    minutes: float = 5.0
    """Time that every system may train, by its steps as measured on this
    machine: it gets as many whole epochs as fit, at least one for each of its
    stages. Reading, validation and scoring come on top."""
    seeds: int = 1
    """Seeds per system, counted up from --seed."""
    seed: int = 0
    """First seed of weights, order and augmentation."""
    preset: Literal["auto", "laptop", "paper"] = "auto"
    """laptop, paper (a GPU's), or auto: paper with a GPU."""
    restart: bool = False
    """Start over instead of resuming the runs in --output."""
    smoke: bool = False
    """Two steps each on a few synthetic people, to test that everything
    runs."""
    callbacks: str | None = None
    """module:function, as of every paper: see docs/hooks.md."""


def check(config):
    """Raises ValueError for a value that no run can use."""
    choices.check_fields(config)
    unknown = [name for name in config.systems if name not in SYSTEMS]
    if unknown or not config.systems:
        raise ValueError(
            f"systems must be some of {', '.join(SYSTEMS)}, got "
            f"{', '.join(unknown) or 'none'}"
        )
    if not 0 < config.minutes < float("inf"):
        raise ValueError(f"minutes must be positive, got {config.minutes}")
    if config.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {config.seeds}")
    hooks.find(config.callbacks)


def plan(config, people):
    """What each system costs and how many epochs its minutes are.

    Args:
        config: `Config`.
        people: number in the training split.

    Returns:
        {system: {"parameters", "GMACs", "seconds per step", "epochs",
        "minutes"}}, as `PLAN` keeps it.
    """
    path = config.output / PLAN
    if config.restart:
        path.unlink(missing_ok=True)
    known = {"minutes": config.minutes, "people": people, "systems": {}}
    if path.is_file():
        kept = json.loads(path.read_text())
        for name in ("minutes", "people"):
            if kept[name] != known[name]:
                raise ValueError(
                    f"{path} is of {kept[name]:g} {name}, not of "
                    f"{known[name]:g}: choose another --output or --restart"
                )
        known = kept
    for name in config.systems:
        if name in known["systems"]:
            continue
        print(f"{name}: how long is a training step?", flush=True)
        paper, one = system_run(name, config)
        batch = one.resolved()[0].batch_size
        cost = paper.cost(one)
        shares = cost.pop("shares")
        steps = max(1, people // batch)
        each = shares * cost["seconds per step"] * steps
        parts = max(1, int(60 * config.minutes / each))
        cost |= {"epochs": shares * parts, "minutes": parts * each / 60}
        known["systems"][name] = cost
        with files.whole(path) as temporary:
            temporary.write_text(json.dumps(known, indent=2))
    return {name: known["systems"][name] for name in config.systems}


def system_run(name, config, epochs=None):
    """The paper of a system, and its config for one run."""
    system = SYSTEMS[name]
    one = system.module.Config(
        data=config.data,
        seed=config.seed,
        preset=config.preset,
        restart=config.restart,
        smoke=config.smoke,
        callbacks=config.callbacks,
        epochs=epochs,
        **system.settings,
    )
    return system.module.paper(), one


def latency(model, data, split, batch_size):
    """Milliseconds from a photograph to one person's joints, in batches."""
    people = np.arange(min(TIMED[0], data.people(split)))
    seconds = []
    for _ in range(TIMED[1] + 1):
        began = time.perf_counter()
        top_down.predict_people(
            model, data, split, batch_size=batch_size, people=people
        )
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[1:]) / len(people)  # first: traces


def main(config):
    """Trains what is missing, then writes the table and the page."""
    check(config)
    name = "lecture-smoke" if config.smoke else "lecture"
    config = replace(config, output=config.output or Path("runs") / name)
    data = flow.open_data(config.data, config.smoke)
    split = flow.held_out(data)
    with files.locked(config.output):
        costs = plan(config, data.people("train"))
        shown = pd.DataFrame(costs).T.astype({"parameters": int, "epochs": int})
        print(f"\n{shown.to_string(float_format='%.3f')}\n", flush=True)
        plans = {
            name: system_run(name, config, cost["epochs"])
            for name, cost in costs.items()
        }
        runs = flow.train_all(plans, config.output, config.seeds)
        for name, places in runs.items():
            if "ms per person" not in costs[name]:
                model = models.load_model(places[0] / folder.BEST)
                batch = plans[name][1].resolved()[0].batch_size
                costs[name]["ms per person"] = latency(
                    model, data, split, batch
                )
        score = flow.score_name(data)
        table = comparison.compare(runs, data, split, config.output, score)
        table = table.join(pd.DataFrame(costs).T)
        table.insert(0, "year", [SYSTEMS[name].year for name in table.index])
        with files.whole(config.output / "comparison.csv") as temporary:
            table.to_csv(temporary)
        words = {
            name: (SYSTEMS[name].idea, SYSTEMS[name].published) for name in runs
        }
        joints = {
            name: [comparison.predicted(place) for place in places]
            for name, places in runs.items()
        }
        people = annotations.read_subjects(data, split)
        intervals = comparison.mean_intervals(joints, people, data)
        written = page.write(
            config.output / "lecture.html",
            table,
            words,
            joints,
            intervals,
            data,
            split,
            learned=data.people("train"),
            minutes=config.minutes,
            title=__doc__.splitlines()[0].rstrip("."),
        )
    print(
        f"\nWrote {written} and comparison.csv beside it.\n"
        "Next: open the page; report.html of every run is in its own folder"
    )
    return table


if __name__ == "__main__":
    console.run(main, Config, __doc__)
