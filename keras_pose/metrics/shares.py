"""Tables of shares: how many of the counted joints or limbs are correct."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from keras import ops

from keras_pose import choices

COUNTS = ["counted", "people"]
"""Columns of a table that are not scores."""
NAMED = 5
"""Number of people that a message names."""


class Shares:
    """Base of protocols that count parts of people: `PCK` and `PCP`.

    A subclass has title, threshold, mean and needs, and defines the parts
    (`parts`, `in_mean`, `columns`), which of them are correct (`hits`), and the
    protocols of its kind (`family`).
    """

    suppresses = False
    """Whether duplicate poses of a person are suppressed before scoring."""
    curve = ()
    """Thresholds of the curve whose area is a column of the table."""

    def table(self, poses, people, skeleton):
        """The shares that are correct, per cent.

        Args:
            poses: `people.Poses`; poses whose `person` is unknown are ignored,
                and a person without a pose is a miss.
            people: `people.People`.
            skeleton: the order of the K joints.

        Returns:
            DataFrame. Rows: the joints (or limbs); the columns of the usual
            tables, "Head" ... "Ankle", each the mean of its joints; "Mean".
            Columns: the title, then the same protocol at other thresholds,
            "AUC" (joints only), "counted": the number of joints or limbs
            scored, and "people": the number of people scored.
        """
        if len(poses) and not (poses.person >= 0).any():
            raise ValueError(
                f"{self.title} scores poses of known people, but these poses "
                "are not assigned to people"
            )
        scored = self.countable(people, skeleton)
        counted = scored.sum(axis=0)
        labels, predicted = people.labels, poses.of_people(len(people))
        if predicted.shape != labels[..., :2].shape:
            raise ValueError(
                f"expected poses of {labels.shape[1]} joints, "
                f"got {predicted.shape[1]}"
            )
        titles = self._relatives()
        correct, _ = self.hits(
            labels, predicted, skeleton, (*titles.values(), *self.curve)
        )
        correct = ops.convert_to_numpy(correct).sum(axis=1)

        def row(share, chosen):
            shown = list(100 * share[: len(titles)])
            if self.curve:
                shown.append(100 * share[len(titles) :].mean())
            part = scored[:, chosen]
            return [*shown, part.sum(), part.any(axis=1).sum()]

        with np.errstate(invalid="ignore"):  # 0 / 0: nothing counted, NaN
            share = correct / counted
        parts = self.parts(skeleton)
        rows = {part: row(share[:, i], [i]) for i, part in enumerate(parts)}
        for column, indices in self.columns(skeleton).items():
            mean = share[:, list(indices)].mean(axis=1)
            rows[column] = row(mean, list(indices))
        inside = np.array(self.in_mean(skeleton))
        mean = mean_score(
            correct.astype("float64"),
            counted.astype("float64"),
            inside,
            self.mean,
        )
        rows["Mean"] = row(ops.convert_to_numpy(mean), inside)
        area = ["AUC"] if self.curve else []
        return pd.DataFrame.from_dict(
            rows, orient="index", columns=[*titles, *area, *COUNTS]
        ).rename_axis("joint")

    def countable(self, people, skeleton):
        """Which joints (or limbs) of each person can be scored: (N, P) bool.

        Raises:
            ValueError: no people, flags other than 0, 1 or 2, labelled joints
                that are not finite, or nothing that can be scored.
        """
        names = np.array(people.names, object)
        if not len(names):
            raise ValueError(f"nothing to score: there are no {skeleton.kinds}")
        labels = people.labels
        unknown = ~np.isin(labels[..., 2], (0, 1, 2))
        if unknown.any():
            raise ValueError(
                f"flags must be 0, 1 or 2, got {labels[unknown][0, 2]:g} for "
                f"{some(names[unknown.any(axis=1)])}"
            )
        finite = np.isfinite(labels[..., :2]).all(axis=2)
        broken = (labels[..., 2] > 0) & ~finite
        if broken.any():
            raise ValueError(
                "a labelled joint is NaN or infinite in "
                f"{some(names[broken.any(axis=1)])}"
            )
        try:
            _, counted = self.hits(labels, labels[..., :2], skeleton)
        except ValueError as error:
            raise ValueError(f"{self.title} does not fit: {error}") from None
        counted = ops.convert_to_numpy(counted)
        if not counted.any():
            raise ValueError(
                f"{self.title} has nothing to score: none of the {len(names)} "
                f"{skeleton.kinds} has {self.needs}. Choose another --protocol"
            )
        return counted

    def describe(self, table, poses, people, skeleton, split):
        """The table as text, its kind of mean, and who is not counted."""
        columns = [*self.columns(skeleton), "Mean"]
        scores = table.drop(columns=COUNTS)
        left_out = getattr(self, "left_out", ())
        left_out = [part for part in left_out if part in table.index]
        mean = {
            "counted": "all counted parts have the same weight",
            "joints": "all types of joint have the same weight",
        }[self.mean]
        counted = self.countable(people, skeleton)
        labelled = np.asarray(people.flags) > 0
        names = np.array(people.names, object)
        nothing = ~labelled.any(axis=1)
        lacking = ~counted.any(axis=1) & ~nothing
        without = f"; without {' and '.join(left_out)}" if left_out else ""
        lines = [
            table.drop(index=columns).to_string(float_format="%.2f"),
            "",
            scores.loc[columns].T.to_string(float_format="%.2f"),
            "",
            f"{self.title} in per cent, split {split}. Mean: {mean}{without}.",
            f"{len(names):,} {skeleton.kinds}, "
            f"{(~nothing & ~lacking).sum():,} counted; "
            f"{labelled.sum():,} joints labelled, including occluded ones, "
            f"{(~labelled).sum():,} not labelled and not counted.",
        ]
        for who, why in ((lacking, self.needs), (nothing, "a labelled joint")):
            if who.any():
                shown = some(names[who])
                lines.append(
                    f"{who.sum():,} not counted, without {why}: {shown}."
                )
        return "\n".join(lines)

    def measures(self, table):
        """{name: share, 0 ... 1}: the numbers for a run's results."""
        return {"mean": float(table.loc["Mean"].iloc[0]) / 100}

    def _relatives(self):
        """{title: threshold} of protocols that differ only in the threshold."""

        def bare(protocol):
            return replace(protocol, title="", threshold=0.0)

        titles = {self.threshold: self.title}
        for other in self.family():
            if bare(other) == bare(self):
                titles.setdefault(other.threshold, other.title)
        return {title: threshold for threshold, title in titles.items()}


def scores(correct, counted):
    """Share of the counted that is correct, 0 where none is; any shape."""
    counted = ops.cast(counted, correct.dtype)
    return correct / ops.maximum(counted, keras.config.epsilon())


def mean_score(correct, counted, in_mean, how="counted"):
    """One number from sums per part.

    Args:
        correct: (..., P) sums.
        counted: (P,) or (..., P) sums.
        in_mean: (P,) bool.
        how: `PCK.mean`.

    Returns:
        (...) share from 0 to 1.
    """
    choices.check("mean", how, ("counted", "joints"))
    correct, counted = map(ops.convert_to_tensor, (correct, counted))
    chosen = ops.cast(in_mean, correct.dtype)
    if how == "counted":
        total = ops.sum(correct * chosen, axis=-1)
        return scores(total, ops.sum(counted * chosen, axis=-1))
    chosen = chosen * ops.cast(counted > 0, correct.dtype)
    total = ops.sum(scores(correct, counted) * chosen, axis=-1)
    return scores(total, ops.sum(chosen, axis=-1))


def some(names):
    """The first few names and the number of the others."""
    shown = ", ".join(str(name) for name in names[:NAMED])
    more = len(names) - NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown
