"""Counts what a model costs: trainable parameters and multiply-accumulates.

A multiply-accumulate (MAC) is one product added to a sum; papers' FLOPs are
mostly this, sometimes twice this. Counted are convolutions and dense layers,
for one picture: numbers in the kernel times the positions at which it is laid.
That is the output's pixels for a convolution, and the input's for a transposed
one, whose kernel is laid on each pixel of its input. Biases, normalisation,
activations, pooling and resizing are not counted.
"""

import math

from keras import layers

AT_OUTPUT = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(layers.DepthwiseConv2D, layers.Dense),
)
AT_INPUT = (layers.Conv1DTranspose, layers.Conv2DTranspose)
FREE = (layers.BatchNormalization, layers.LayerNormalization)
"""Layers with weights that are not counted."""


def parameters(model):
    """Number of trainable parameters."""
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def macs(model):
    """Multiply-accumulates of one forward pass of one picture.

    Args:
        model: a functional Keras model of fixed input size.

    Raises:
        ValueError: a layer with weights that nobody has said how to count.
    """
    total = 0
    for layer in model.layers:
        # a transposed convolution derives from the plain one
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
