"""Networks by name."""

from torch import nn

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Learner
from hardsight.learners.network.network import Network
from hardsight.learners.presets import preset


@preset("network", "ensemble of small perceptrons, all members trained at once (the default)", takes_weights=True)
def network(samples: Samples) -> Learner:
    """Return the default perceptrons."""
    return Network()


@preset("convnet", "ensemble of small convolutional networks, for images", takes_weights=True)
def convnet(samples: Samples) -> Learner:
    """Return two convolutions with max-pooling and a linear layer.

    Raises:
        InputError: the samples are not images.
    """
    if samples.kind != "image":
        raise InputError(f"the learner convnet reads images, and these samples are of kind {samples.kind!r}: use network")
    outputs = 1 if samples.classes is None else len(samples.classes)
    greyscale = samples.features.ndim == 3
    channels = 1 if greyscale else int(samples.features.shape[-1])

    def convnet() -> nn.Module:
        return nn.Sequential(
            *([nn.Unflatten(1, (1, -1))] if greyscale else []),
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(512, outputs),
        )

    return Network(convnet)
