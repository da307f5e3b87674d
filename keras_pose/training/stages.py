"""Training in stages: each starts from the best weights of the last one."""

from dataclasses import dataclass, field, replace
from pathlib import Path

FIRST_ONLY = {"initial_weights": None, "freeze": "none", "taken_rate": 1.0}
"""Settings of fine-tuning in later stages, which start where the previous one
ended."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run."""

    name: str
    """The value of `--stage`, and the name of its folder."""
    share: int = 1
    """Share of the epochs, relative to the sum over all stages."""
    changes: dict = field(default_factory=dict)
    """{setting: (value, reason)} that differ from those of the run."""


def check(config, stages):
    """Raises ValueError if epochs or `config.stage` do not fit the stages."""
    names = [stage.name for stage in stages]
    if config.stage not in ("all", *names):
        raise ValueError(
            f"stage must be one of all, {', '.join(names)}, got "
            f"{config.stage!r}"
        )
    if config.initial_weights and config.stage not in ("all", names[0]):
        raise ValueError(
            f"initial_weights are for the first stage, {names[0]}; stage "
            f"{config.stage} starts where the previous one ended"
        )
    parts = sum(stage.share for stage in stages)
    if config.epochs % parts and not config.smoke:
        shares = ", ".join(f"{stage.share}/{parts}" for stage in stages)
        raise ValueError(
            f"epochs must be divisible by {parts} (the stages have {shares}), "
            f"got {config.epochs}"
        )


def staged(run, stages, number):
    """The `Run` of one stage; the last uses the folder, others a subfolder.

    Args:
        run: the run of all stages; its config has a setting `stage`.
        stages: tuple of `Stage`.
        number: index of the stage, from 0.
    """
    config, stage = run.config, stages[number]
    folders = [
        Path(config.output) / f"{index}-{each.name}"
        for index, each in enumerate(stages, start=1)
    ]
    folders[-1] = Path(config.output)
    parts = sum(each.share for each in stages)
    changes = {name: value for name, (value, _) in stage.changes.items()}
    origin = {name: why for name, (_, why) in stage.changes.items()}
    if number and config.initial_weights:
        changes |= FIRST_ONLY
        origin |= dict.fromkeys(FIRST_ONLY, "first stage only")
    if len(stages) > 1 and not config.smoke:
        origin["epochs"] = f"{stage.share}/{parts} of {config.epochs}"
    return replace(
        run,
        config=replace(
            config,
            output=folders[number],
            stage=stage.name,
            epochs=max(1, config.epochs * stage.share // parts),
            **changes,
        ),
        origin=run.origin
        | {"stage": f"{number + 1} of {len(stages)}"}
        | origin,
        starts_from=folders[number - 1] if number else None,
    )
