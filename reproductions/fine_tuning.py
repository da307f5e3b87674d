"""Fine-tuning on few photographs against training on them from nothing.

An experiment of ours with the network and the loss of `hsm_loss`: how much do
weights of other people help, for instance of drawn ones (`make hsm`), if there
are 200 photographs? Every variant trains on the same people in the same order
for the same number of steps.

Run        python -m reproductions.fine_tuning --data data/lspet --seeds 3
               --initial-weights runs/hsm_loss
Measured   reproductions/README.md
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from keras_pose import console
from reproductions import hsm_loss


@dataclass(frozen=True)
class Config(hsm_loss.Config):
    """From nothing, fine-tuned, and with a frozen backbone; with --taken-rate
    also at that rate."""

    train_people: int | None = 200
    """Train on so many people of split train, the same for all variants and
    seeds."""

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
        "From nothing": nothing,
        "Fine-tuned": given,
        "Fine-tuned, frozen backbone": given | {"freeze": "backbone"},
    }
    rate = config.taken_rate
    if rate != 1:
        compared[f"Fine-tuned, rate x {rate:g}"] = given | {"taken_rate": rate}
    return compared


def paper():
    """`hsm_loss` under another name."""
    return replace(hsm_loss.paper(), name="fine_tuning", doc=__doc__)


def main(config):
    """Compares the variants."""
    if config.initial_weights is None:
        raise ValueError(
            "give --initial-weights, for instance runs/hsm_loss after "
            "python -m reproductions.hsm_loss"
        )
    one = replace(config, seeds=1)
    return paper().compare(one, variants(config), config.seeds)


if __name__ == "__main__":
    console.run(main, Config, __doc__)
