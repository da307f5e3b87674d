"""Counts trainable parameters and multiply-accumulates of a model.

A multiply-accumulate (MAC) is one product added to a sum; papers' FLOPs are
mostly this, sometimes twice this. Convolutions and dense layers are counted for
one picture: the size of the kernel times the positions at which it is applied.
These are the output's pixels for a convolution, and the input's for a
transposed convolution. Biases, normalisation,
activations, pooling and resizing are not counted.
"""

import math

from keras import layers

from keras_pose.models.windows import JointMaps

AT_OUTPUT = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv2D,
    layers.Dense,
    JointMaps,
)
AT_INPUT = (layers.Conv1DTranspose, layers.Conv2DTranspose)
FREE = (layers.BatchNormalization, layers.LayerNormalization, layers.PReLU)
"""Layers with weights that are not counted."""


def parameters(model):
    """Number of trainable parameters."""
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def macs(model):
    """Multiply-accumulates of one forward pass of one picture.

    Args:
        model: a functional Keras model of fixed input size.

    Raises:
        ValueError: a layer with weights and no rule to count it.
    """
    total = 0
    for layer in model.layers:
        # a transposed convolution is a subclass of the plain one
        if isinstance(layer, AT_INPUT):
            positions = layer.input.shape[1:-1]
        elif isinstance(layer, AT_OUTPUT):
            positions = layer.output.shape[1:-1]
        elif layer.weights and not isinstance(layer, FREE):
            raise ValueError(
                f"{model.name}: no rule to count the multiply-accumulates of "
                f"layer {layer.name} ({type(layer).__name__})"
            )
        else:
            continue
        total += math.prod(positions) * math.prod(layer.kernel.shape)
    return total
