"""A value that is not one of those allowed is refused in one form."""

from dataclasses import dataclass
from typing import Literal

import pytest

from keras_pose import choices


@dataclass(frozen=True)
class Config:
    loss: Literal["hsm", "mse"] = "hsm"
    kernel: Literal[2, 3] = 2
    ablation: Literal["blocks", "fusion"] | None = None
    filters: int = 8


def test_what_is_allowed_passes():
    choices.check("kernel", 3, (2, 3, 4))
    choices.check_fields(Config())
    choices.check_fields(Config("mse", 3, "fusion", -1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "l1"}, "loss must be one of hsm, mse, got 'l1'"),
        ({"kernel": 5}, "kernel must be one of 2, 3, got 5"),
        ({"kernel": "2"}, "kernel must be one of 2, 3, got '2'"),
        ({"ablation": "x"}, "ablation must be one of blocks, fusion, got 'x'"),
    ],
)
def test_what_is_not_is_named(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        choices.check_fields(Config(**settings))
