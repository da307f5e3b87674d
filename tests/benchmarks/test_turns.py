"""Peers of the benchmarks, each in a process and an environment of its own."""

import os

from benchmarks import turns

NAME = "KERAS_POSE_TEST"
AT_IMPORT = os.environ.get(NAME)
"""As Keras would read its backend: before any function is called."""


def tell(connection):
    """A peer that sends what was set when its modules were imported."""
    connection.send(AT_IMPORT)


def test_a_peer_has_its_settings_before_its_imports():
    assert turns.start(tell, settings={NAME: "1"}).recv() == "1"
    assert NAME not in os.environ  # the next peer's is its own
    assert turns.start(tell).recv() is None
