"""The schemes, one module per family: a function each, with ``scheme`` above it.

Positional parameters are inputs. :data:`hardsight.weights.INPUTS` describes them; the docstring of a function does so only
where they mean something more special.

Every function raises :class:`hardsight.InputError` if a parameter is out of range or an unknown choice, or if an input
cannot be what it stands for: losses, logits or residuals that are not finite, a loss or a size below zero, a probability
outside 0 to 1, labels that are not codes of classes that have samples, fewer than two classes, a row outside the state. A
docstring lists only what else is refused.
"""
