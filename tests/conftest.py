"""Loads what all tests may use, fixtures.py, where tests run.

With several processes, the first one only hands out the tests: without Keras it
begins five seconds earlier.
"""


def pytest_configure(config):
    runs_tests = hasattr(config, "workerinput")
    if runs_tests or not getattr(config.option, "numprocesses", None):
        import keras_pose  # noqa: F401  # first: TensorFlow is to use oneDNN

        config.pluginmanager.import_plugin("tests.fixtures")
