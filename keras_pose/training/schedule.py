"""The learning rate: warm-up, then drops at given epochs or on a plateau."""

import keras


def check(config):
    """Raises ValueError for an invalid schedule."""
    positive = ["learning_rate"]
    if not config.drop_epochs:
        positive.append("patience")
    for name in positive:
        value = getattr(config, name)
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if not config.warmup_epochs >= 0:
        raise ValueError(
            f"warmup_epochs must not be negative, got {config.warmup_epochs}"
        )
    for name in ("plateau_factor", "drop_factor"):
        value = getattr(config, name)
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    if config.plateau_drops is not None and config.plateau_drops < 1:
        raise ValueError(
            f"plateau_drops must be at least 1, got {config.plateau_drops}"
        )
    drops = (0, *(config.drop_epochs or ()))
    if sorted(set(drops)) != list(drops):
        raise ValueError(
            "drop_epochs must be positive and increasing, got "
            f"{config.drop_epochs}"
        )


def scaled(drops, share):
    """A preset's `drop_epochs` for a run of `share` times its epochs."""
    return tuple(sorted({max(1, round(epoch * share)) for epoch in drops}))


def follow(config, steps, skipped=0):
    """The callbacks of a config's schedule.

    Args:
        config: of the run.
        steps: training steps of an epoch.
        skipped: steps of the first epoch that are already done.

    Returns:
        list of callbacks, and the `Plateau`, whose state a checkpoint keeps; it
        is not in the list if the rate drops at given epochs.
    """
    rate, lowest = config.learning_rate, 0.0
    if config.plateau_drops:
        lowest = config.plateau_factor**config.plateau_drops
    plateau = Plateau(
        config.warmup_epochs,
        monitor="val_loss",
        factor=config.plateau_factor,
        patience=config.patience,
        min_lr=rate * lowest,
        verbose=1,
    )
    lower = plateau
    if config.drop_epochs:
        lower = Drops(rate, config.drop_epochs, config.drop_factor)
    return [WarmUp(rate, config.warmup_epochs, steps, skipped), lower], plateau


class WarmUp(keras.callbacks.Callback):
    """Raises the rate linearly, step by step (Goyal et al. 2017, section 2.2).

    Step n of N, counted from 1, runs at rate * n / N.
    """

    def __init__(self, rate, epochs, steps, skipped=0):
        super().__init__()
        self.rate = rate
        self.last = epochs * steps
        self.steps = steps
        self.skipped = skipped
        self.done = 0

    def on_epoch_begin(self, epoch, logs=None):
        """A resumed run starts in the middle."""
        self.done = epoch * self.steps + self.skipped
        self.skipped = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate of the next step; does nothing after the warm-up."""
        self.done += 1
        if self.done <= self.last:
            rate = self.rate * self.done / self.last
            self.model.optimizer.learning_rate = rate


class Drops(keras.callbacks.Callback):
    """Multiplies the rate by `factor` after each of some epochs.

    The rate depends only on the number of the epoch, so that a resumed run has
    the same rate. `epochs` count from 1.
    """

    def __init__(self, rate, epochs, factor):
        super().__init__()
        self.rate = rate
        self.epochs = epochs
        self.factor = factor

    def on_epoch_begin(self, epoch, logs=None):
        """`epoch` counts from 0: the number of finished epochs."""
        drops = sum(epoch >= done for done in self.epochs)
        self.model.optimizer.learning_rate = self.rate * self.factor**drops


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Lowers the rate when the objective stalls, but not during the warm-up."""

    def __init__(self, warmup_epochs, **kwargs):
        super().__init__(**kwargs)
        self.warmup_epochs = warmup_epochs

    def on_epoch_end(self, epoch, logs=None):
        """`epoch` counts from 0."""
        if epoch >= self.warmup_epochs:
            super().on_epoch_end(epoch, logs)

    def state(self):
        """The state that a resumed run needs."""
        best = None if self.best is None else float(self.best)
        return {
            "wait": self.wait,
            "cooldown": self.cooldown_counter,
            "best": best,
        }

    def restore(self, state):
        """Restores a `state`."""
        self.wait = state["wait"]
        self.cooldown_counter = state["cooldown"]
        self.best = state["best"]
