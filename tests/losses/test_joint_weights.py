"""Adaptive joint weights: AdaBoost.R2's rule, and what the network is told."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose.codecs import Heatmaps
from keras_pose.losses import HeatmapMSE, JointWeighted, JointWeights
from keras_pose.losses.joint_weights import HIGHEST, LOWEST, next_weights
from keras_pose.models.heads import PoseMaps, codecs_of
from keras_pose.models.model import PoseModel
from keras_pose.skeletons import Skeleton

DOTS = Skeleton("dots", ("a", "b", "c"))


def r2(weights, losses):
    """Drucker 1997, steps 5 to 8, for one list of examples.

    Linear loss L_i = |error_i| / D with D the largest; average loss
    L = sum of L_i p_i; beta = L / (1 - L); w_i <- w_i beta^(1 - L_i).
    """
    largest = max(losses)
    relative = [loss / largest for loss in losses]
    chances = [weight / sum(weights) for weight in weights]
    average = sum(p * loss for p, loss in zip(chances, relative, strict=True))
    beta = average / (1 - average)
    raised = [
        weight * beta ** (1 - loss)
        for weight, loss in zip(weights, relative, strict=True)
    ]
    return [weight / sum(raised) for weight in raised]


def after(weights, losses):
    weights = np.array([weights], "float32")
    losses = np.array([losses], "float32")
    return np.asarray(next_weights(weights, losses))[0]


def test_it_is_druckers_rule():
    weights, losses = [0.25, 0.35, 0.2, 0.2], [0.5, 0.1, 4.0, 1.0]
    expected = r2(weights, losses)
    np.testing.assert_allclose(after(weights, losses), expected, rtol=1e-5)


def test_one_step_by_hand():
    # losses 0, 0, 0, 1: their mean is 1/4, alpha 1/3, and the factors 1/3
    # for the easy ones and 1 for the hard one
    weights = after([0.25] * 4, [0, 0, 0, 8])
    np.testing.assert_allclose(weights, [1 / 6] * 3 + [1 / 2], rtol=1e-5)


def test_the_hardest_joint_gains_and_the_easiest_loses():
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.1, 5, (50, 7)).astype("float32")
    weights = np.full((50, 7), 1 / 7, "float32")
    found = np.asarray(next_weights(weights, losses))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    order = np.argsort(losses, axis=1)
    ranked = np.take_along_axis(found, order, axis=1)
    assert (np.diff(ranked, axis=1) > 0).all()
    assert (ranked[:, 0] < 1 / 7).all() and (ranked[:, -1] > 1 / 7).all()


def test_alpha_never_turns_the_rule_round():
    # mean loss 0.97: unbounded, alpha were 32 and the easy joint would gain
    weights = after([0.25] * 4, [0.88, 1, 1, 1])
    assert weights[0] < 0.25 < weights[1]
    alpha = HIGHEST / (1 - HIGHEST)
    ratio = weights[0] / weights[1]
    np.testing.assert_allclose(ratio, alpha**0.12, rtol=1e-4)
    assert LOWEST / (1 - LOWEST) > 0


@pytest.mark.parametrize("loss", [0.0, 3.0, 1e4])
def test_even_losses_leave_the_weights_as_they_are(loss):
    weights = [0.1, 0.2, 0.3, 0.4]
    np.testing.assert_allclose(after(weights, [loss] * 4), weights, rtol=1e-5)


def people():
    """Two people, three joints, none unlabelled; maps of two scales."""
    rng = np.random.default_rng(1)
    labels = rng.uniform(4, 28, (2, 1, 3, 4)).astype("float32")
    labels[..., 2] = 2
    coarse = rng.normal(0, 1, (2, 2, 4, 6, 3)).astype("float32")
    fine = rng.normal(0, 1, (2, 1, 8, 12, 3)).astype("float32")
    losses = [HeatmapMSE(Heatmaps(DOTS, stride)) for stride in (8, 4)]
    return labels, [coarse, fine], losses


def test_weights_are_carried_through_all_hourglasses():
    labels, maps, losses = people()
    each = [
        np.asarray(losses[0].call(labels, maps[0][:, :1])),
        np.asarray(losses[0].call(labels, maps[0][:, 1:])),
        np.asarray(losses[1].call(labels, maps[1])),
    ]
    expected = np.zeros((2, 3))
    for person in range(2):
        weights = [1 / 3] * 3
        for loss in each:
            expected[person] += 3 * np.multiply(weights, loss[person])
            # r2 without its bounds: 1/3 and more of the loss is a joint's own
            values = [x / loss[person].max() for x in loss[person]]
            mean = np.clip(np.dot(weights, values), LOWEST, HIGHEST)
            raised = [
                w * (mean / (1 - mean)) ** (1 - v)
                for w, v in zip(weights, values, strict=True)
            ]
            weights = np.divide(raised, sum(raised))
    found = JointWeighted(losses).call(labels, maps)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4)


def test_even_weights_give_the_sum_of_the_plain_losses():
    labels, maps, losses = people()
    plain = sum(loss(labels, m) for loss, m in zip(losses, maps, strict=True))
    found = JointWeighted(losses, adaptive=False)(labels, maps)
    np.testing.assert_allclose(float(found), float(plain), rtol=1e-5)


def test_no_gradient_flows_through_the_weights():
    labels, maps, losses = people()
    labels, maps = labels[:1], [m[:1] for m in maps]
    joint = JointWeighted(losses)
    _, weights = joint.parts(labels, maps)
    last = np.asarray(weights)[0, -1]
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the slopes are asked of TensorFlow")
    import tensorflow as tf

    first, second = map(tf.Variable, maps)
    with tf.GradientTape() as tape:
        value = ops.sum(joint.call(labels, [first, second]))
    slopes = tape.gradient(value, [first, second])
    with tf.GradientTape() as tape:
        plain = ops.sum(losses[1].call(labels, second) * 3 * last)
    expected = tape.gradient(plain, second)
    np.testing.assert_allclose(slopes[1], expected, rtol=1e-4, atol=1e-6)
    with tf.GradientTape() as tape:  # the first hourglass has even weights
        plain = ops.sum(losses[0].call(labels, first[:, :1]))
    expected = tape.gradient(plain, first)[:, 0]
    np.testing.assert_allclose(slopes[0][:, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_loss_for_each_output_is_wanted():
    labels, maps, losses = people()
    with pytest.raises(ValueError, match="2 losses .* got 1"):
        JointWeighted(losses).call(labels, maps[1:])


def test_the_settings_make_the_same_loss():
    loss = JointWeighted(people()[2], adaptive=False)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert [codec.stride for codec in again.codecs] == [8, 4]
    assert again.adaptive is False


def test_the_mean_weights_of_an_epoch():
    labels, maps, losses = people()
    loss = JointWeighted(losses)
    metric = JointWeights(loss, stacks=3)
    metric.update_state(labels, maps)
    alone = [labels[:1], [scale[:1] for scale in maps]]
    metric.update_state(*alone)
    both, first = (np.array(loss.parts(*x)[1]) for x in ([labels, maps], alone))
    expected = (both.sum(axis=0) + first[0]) / 3
    np.testing.assert_allclose(metric.mean(), expected, rtol=1e-6)
    np.testing.assert_allclose(expected[0], 1 / 3, rtol=1e-6)
    assert metric.result() == {}
    metric.reset_state()
    assert np.isnan(metric.mean()).all()


def network():
    """8 x 12 pixels; maps of stride 4 from one layer, of stride 2 from one."""
    images = keras.Input((8, 12, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    outputs = []
    for stride, name in ((4, "stride4"), (2, "maps")):
        y = keras.layers.Conv2D(16, stride, stride, name=f"conv{stride}")(x)
        head = PoseMaps(Heatmaps("mpii", stride), name=name)
        outputs.append(head([y]))
    return PoseModel(images, outputs, name="network")


def test_a_network_is_trained_by_all_its_outputs_and_saved(tmp_path):
    model = network()
    loss = JointWeighted([HeatmapMSE(codec) for codec in codecs_of(model)])
    metric = JointWeights(loss, stacks=2)
    model.compile("sgd", loss, [metric], jit_compile=False)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 8, 12, 3)).astype("uint8")
    labels = rng.uniform(0, 8, (4, 1, 16, 4)).astype("float32")
    labels[..., 2] = 2
    before = [np.array(w) for w in model.get_weights()]
    expected = float(loss(labels, model(images)))
    history = model.fit(images, labels, batch_size=4, verbose=0).history
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-4)
    terms = [history.pop(name)[0] for name in ("stack1", "stack2")]
    np.testing.assert_allclose(sum(terms), expected, rtol=1e-4)
    assert history.keys() == {"loss"}
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)
    weights = metric.mean()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights[0], 1 / 16, rtol=1e-5)
    assert np.ptp(weights[1]) > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for old, new in zip(model(images), again(images), strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(old), ops.convert_to_numpy(new)
        )
    model.save_weights(tmp_path / "model.weights.h5")
    again = network()
    again.load_weights(tmp_path / "model.weights.h5")
    for old, new in zip(model(images), again(images), strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(old), ops.convert_to_numpy(new)
        )


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        (None, "must be a losses.PoseLoss, got None"),
        ("mse", "must be a losses.PoseLoss, got 'mse'"),
        (HeatmapMSE(Heatmaps("mpii", 4)), "expects outputs of .* but they"),
        (
            JointWeighted([HeatmapMSE(Heatmaps("mpii", s)) for s in (2, 4)]),
            "expects outputs of .*stride=2.*stride=4.* but they",
        ),
    ],
    ids=["none", "Keras'", "one of two", "in another order"],
)
def test_a_loss_that_does_not_fit_the_outputs_is_refused(loss, named):
    with pytest.raises(ValueError, match=named):
        network().compile("sgd", loss)
