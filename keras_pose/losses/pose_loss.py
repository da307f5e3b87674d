"""Base of losses: named terms of the labels and all outputs."""

import keras
from keras import ops

from keras_pose import choices

REDUCTIONS = ("sum_over_batch_size", "sum")


class PoseLoss(keras.losses.Loss):
    """Base class: labels (B, P, K, 3 or more) and outputs -> one number.

    A subclass defines the codecs of the outputs, and each term's cost for each
    person and joint. `models.PoseModel` passes all outputs (a list if there are
    several) and logs the terms by name; the loss is their sum. Plain Keras can
    use it like any other loss.

    Args:
        reduction: "sum_over_batch_size": mean over people and joints; "sum".
    """

    def __init__(self, name=None, reduction="sum_over_batch_size", **kwargs):
        choices.check("reduction", reduction, REDUCTIONS)
        super().__init__(name=name, reduction=reduction, **kwargs)

    @property
    def codecs(self):
        """The codecs it expects of the outputs, a list."""
        raise NotImplementedError

    def terms(self, labels, outputs):
        """{name: (B, K)}: terms of the cost of each person and joint."""
        raise NotImplementedError

    def call(self, labels, outputs):
        """(B, K), the sum of the terms."""
        return sum(self.terms(labels, outputs).values())

    def __call__(self, labels, outputs, sample_weight=None):
        """One number, the sum of `reduced_terms`."""
        return sum(self.reduced_terms(labels, outputs, sample_weight).values())

    def reduced_terms(self, labels, outputs, sample_weight=None):
        """{name: number}, whose sum is the loss.

        Args:
            labels: (B, P, K, 3 or more).
            outputs: as the model returns them.
            sample_weight: (B,) of people; None: equal weights.
        """
        terms = self.terms(labels, outputs)
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
            terms = {name: cost * weight for name, cost in terms.items()}
        reduce = ops.sum if self.reduction == "sum" else ops.mean
        return {name: reduce(cost) for name, cost in terms.items()}


@keras.saving.register_keras_serializable("keras_pose")
class PerOutput(PoseLoss):
    """A loss for each output; terms of the same name are added.

    Args:
        losses: a `PoseLoss` of one output each, in the order of the outputs.
        names: of the losses: the terms of each become one; None: keep them.
        factors: on the losses; None: 1.
    """

    def __init__(
        self, losses, names=None, factors=None, name="per_output", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.losses = list(losses)
        self.names = names and list(names)
        self.factors = factors and list(factors)
        for what in ("names", "factors"):
            given = getattr(self, what) or self.losses
            if len(given) != len(self.losses):
                raise ValueError(
                    f"{len(self.losses)} losses need as many {what}, got "
                    f"{len(given)}"
                )

    @property
    def codecs(self):
        """The codecs of all losses."""
        return [codec for loss in self.losses for codec in loss.codecs]

    def paired(self, outputs):
        """[(loss, output)]; ValueError if their numbers differ."""
        if not isinstance(outputs, (list, tuple)):
            outputs = [outputs]
        if len(outputs) != len(self.losses):
            raise ValueError(
                f"{len(self.losses)} losses need as many outputs, "
                f"got {len(outputs)}"
            )
        return list(zip(self.losses, outputs, strict=True))

    def terms(self, labels, outputs):
        """The terms of all outputs."""
        total = {}
        for number, (loss, output) in enumerate(self.paired(outputs)):
            terms = loss.terms(labels, output)
            if self.names:
                terms = {self.names[number]: sum(terms.values())}
            factor = self.factors[number] if self.factors else 1
            for name, cost in terms.items():
                cost = factor * cost
                total[name] = total[name] + cost if name in total else cost
        return total

    def get_config(self):
        """Everything `__init__` takes."""
        losses = [keras.losses.serialize(loss) for loss in self.losses]
        return super().get_config() | {
            "losses": losses,
            "names": self.names,
            "factors": self.factors,
        }

    @classmethod
    def from_config(cls, config):
        """Deserialises the losses."""
        losses = [keras.losses.deserialize(loss) for loss in config["losses"]]
        return cls(**config | {"losses": losses})
