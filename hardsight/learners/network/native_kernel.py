"""Training loops as machine code: a network stays in the processor's cache from its first step to its last.

One step of a small network is a few microseconds of arithmetic, and a call from Python costs as much again. Here all steps
of a member are one call, which releases the interpreter lock, so that members train in parallel threads. Matrix products are
left to BLAS. This file needs numba; :mod:`hardsight.learners.network.native` imports it if numba is installed.

A network is a table of operations, see :mod:`hardsight.learners.network.native_program`. Every operation reads activations
``(row, input)`` and writes ``(row, output)``; images have their channels last.
"""

from typing import no_type_check

import numpy as np
from numba import njit
from numpy.polynomial import Chebyshev, Polynomial

from hardsight.learners.network.native_program import LayerKind, OpField

_LINEAR, _RELU, _CONVOLUTION, _POOL, _CHANNELS_FIRST = (int(kind) for kind in LayerKind)
(
    _KIND, _INPUTS, _OUTPUTS, _READS, _WRITES, _START, _BIASED, _HEIGHT, _WIDTH, _CHANNELS, _SIZE, _PADDING, _DOWN,
    _ACROSS, _WINDOWS,
) = (int(column) for column in OpField)  # fmt: skip

# Patches of this many numbers stay in the cache between unrolling and product.
_PATCHES = 1 << 15
_ZERO = np.float32(0)

# 2^u for 0 <= u <= 1: the library's exponential works number by number, a polynomial can be vectorised.
_POWERS = tuple(Chebyshev.interpolate(np.exp2, 6, domain=[0, 1]).convert(kind=Polynomial).coef.astype(np.float32))
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = _POWERS
_LOG2_E, _LEAST = np.float32(np.log2(np.e)), np.float32(-126)

# Neither nnan nor ninf: missing values and a diverging loss must stay what they are.
_fast = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc"})


# Machine code has no run-time checks of Python types: a checker that wraps these functions would keep them from compiling.
@_fast
@no_type_check
def train(x, codes, targets, weights, rows, mean, inverse_scale, clip, operations, windows, state, rates, optimizer, done):
    """Take one step for every row of ``rows`` and return the mean loss on the last batch.

    Args:
        x: ``(sample, feature)`` float32, read as ``clip((x - mean) * inverse_scale, -clip, clip)``; missing values are 0.
        codes: ``(sample,)`` int64 classes; empty in regression.
        targets: ``(sample,)`` float32; empty in classification.
        weights: ``(sample,)`` float32 factors on the losses; empty for none.
        rows: ``(step, batch)`` int64, the samples of each step.
        mean: ``(feature,)`` float32.
        inverse_scale: ``(feature,)`` float32.
        clip: float32.
        operations: ``(operation, field)`` int64, see :class:`OpField`.
        windows: int64, first and last bounds of the windows of all pools.
        state: ``(3, parameter)`` float32: parameters, then the optimizer's first and second moments; changed in place.
        rates: ``(step,)`` float64 learning rates.
        optimizer: ``(4,)`` float64: weight decay, then AdamW's two betas and epsilon; SGD has its momentum, 0 and 0.
        done: steps taken before.
    """
    steps, batch = rows.shape
    depth = len(operations)
    last = operations[depth - 1]
    total = batch * (last[_WRITES] + last[_OUTPUTS])
    activations, grads = np.empty(total, np.float32), np.empty(total, np.float32)
    gradient = np.zeros(state.shape[1], np.float32)
    scores = slice(batch * last[_WRITES], total)
    loss = 0.0
    for step in range(steps):
        _gather(x, rows[step], mean, inverse_scale, clip, activations)
        for index in range(depth):
            op = operations[index]
            source = activations[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])]
            target = activations[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            if op[_KIND] == _LINEAR:
                _linear(source, batch, op, state[0], target)
            elif op[_KIND] == _RELU:
                _relu(target)
            elif op[_KIND] == _CONVOLUTION:
                _convolution(source, batch, op, state[0], target)
            elif op[_KIND] == _POOL:
                _pool(source, batch, op, windows, target)
            else:
                _channels_first(source, batch, op, target, False)
        if len(codes):
            loss = _cross_entropy(activations[scores], codes, weights, rows[step], grads[scores])
        else:
            loss = _squares(activations[scores], targets, weights, rows[step], grads[scores])
        for index in range(depth - 1, -1, -1):
            op = operations[index]
            source = activations[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])]
            target = activations[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            target_grad = grads[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            # The gradient by the inputs of the network is not needed.
            source_grad = grads[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])] if op[_READS] else grads[:0]
            if op[_KIND] == _LINEAR:
                _linear_back(source, target_grad, batch, op, state[0], gradient, source_grad)
            elif op[_KIND] == _RELU:
                _relu_back(target, target_grad)
            elif op[_KIND] == _CONVOLUTION:
                _convolution_back(source, target_grad, batch, op, state[0], gradient, source_grad)
            elif len(source_grad) and op[_KIND] == _POOL:
                _pool_back(source, target, target_grad, batch, op, windows, source_grad)
            elif len(source_grad):
                _channels_first(target_grad, batch, op, source_grad, True)
        if optimizer[2]:
            _adamw(state, gradient, rates[step], optimizer, done + step + 1)
        else:
            _sgd(state, gradient, rates[step], optimizer)
    return loss


@_fast
@no_type_check
def _gather(x, rows, mean, inverse_scale, clip, activations):
    features = x.shape[1]
    for k in range(len(rows)):
        row, target = x[rows[k]], activations[k * features : (k + 1) * features]
        for i in range(features):
            value = (row[i] - mean[i]) * inverse_scale[i]
            # NaN is the one number that differs from itself; missing values take the mean, which is zero here.
            value = value if value == value else _ZERO
            target[i] = min(max(value, -clip), clip)


@_fast
@no_type_check
def _linear(source, batch, op, parameters, target):
    inputs, outputs, start = op[_INPUTS], op[_OUTPUTS], op[_START]
    weight = parameters[start : start + inputs * outputs].reshape(inputs, outputs)
    out = target.reshape(batch, outputs)
    np.dot(source.reshape(batch, inputs), weight, out)
    if op[_BIASED]:
        _add(parameters[start + inputs * outputs : start + (inputs + 1) * outputs], out)


@_fast
@no_type_check
def _linear_back(source, target_grad, batch, op, parameters, gradient, source_grad):
    inputs, outputs, start = op[_INPUTS], op[_OUTPUTS], op[_START]
    slope = target_grad.reshape(batch, outputs)
    np.dot(source.reshape(batch, inputs).T, slope, gradient[start : start + inputs * outputs].reshape(inputs, outputs))
    if op[_BIASED]:
        _sum(slope, gradient[start + inputs * outputs : start + (inputs + 1) * outputs])
    if len(source_grad):
        weight = parameters[start : start + inputs * outputs].reshape(inputs, outputs)
        np.dot(slope, weight.T, source_grad.reshape(batch, inputs))


@_fast
@no_type_check
def _add(bias, out):
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[k, j] += bias[j]


@_fast
@no_type_check
def _sum(slope, target):
    target[:] = _ZERO
    for k in range(slope.shape[0]):
        for j in range(slope.shape[1]):
            target[j] += slope[k, j]


@_fast
@no_type_check
def _relu(target):
    for i in range(len(target)):
        # In this order, so that NaN stays NaN.
        target[i] = _ZERO if target[i] < _ZERO else target[i]


@_fast
@no_type_check
def _relu_back(target, target_grad):
    for i in range(len(target)):
        target_grad[i] = target_grad[i] if target[i] > _ZERO else _ZERO


@_fast
@no_type_check
def _convolution(source, batch, op, parameters, target):
    numbers, pixels, channels = _patch(op)
    start = op[_START]
    weight = parameters[start : start + numbers * channels].reshape(numbers, channels)
    together = max(1, _PATCHES // (numbers * pixels))
    patches = np.empty((min(together, batch) * pixels, numbers), np.float32)
    for first in range(0, batch, together):
        count = min(together, batch - first)
        _unroll(source[first * op[_INPUTS] : (first + count) * op[_INPUTS]], count, op, patches)
        out = target[first * op[_OUTPUTS] : (first + count) * op[_OUTPUTS]].reshape(count * pixels, channels)
        np.dot(patches[: count * pixels], weight, out)
        if op[_BIASED]:
            _add(parameters[start + numbers * channels : start + (numbers + 1) * channels], out)


@_fast
@no_type_check
def _convolution_back(source, target_grad, batch, op, parameters, gradient, source_grad):
    numbers, pixels, channels = _patch(op)
    start = op[_START]
    weight = parameters[start : start + numbers * channels].reshape(numbers, channels)
    target = gradient[start : start + numbers * channels].reshape(numbers, channels)
    target[:] = _ZERO
    part = np.empty((numbers, channels), np.float32)
    together = max(1, _PATCHES // (numbers * pixels))
    patches = np.empty((min(together, batch) * pixels, numbers), np.float32)
    for first in range(0, batch, together):
        count = min(together, batch - first)
        span = slice(first * op[_INPUTS], (first + count) * op[_INPUTS])
        slope = target_grad[first * op[_OUTPUTS] : (first + count) * op[_OUTPUTS]].reshape(count * pixels, channels)
        _unroll(source[span], count, op, patches)
        np.dot(patches[: count * pixels].T, slope, part)
        target += part
        if len(source_grad):
            np.dot(slope, weight.T, patches[: count * pixels])
            _roll(patches, count, op, source_grad[span])
    if op[_BIASED]:
        slope = target_grad.reshape(batch * pixels, channels)
        _sum(slope, gradient[start + numbers * channels : start + (numbers + 1) * channels])


@_fast
@no_type_check
def _patch(op):
    """Return the numbers in a patch, the number of patches per image, and the output channels."""
    margin = 2 * op[_PADDING] - op[_SIZE] + 1
    pixels = (op[_HEIGHT] + margin) * (op[_WIDTH] + margin)
    return op[_SIZE] * op[_SIZE] * op[_CHANNELS], pixels, op[_OUTPUTS] // pixels


@_fast
@no_type_check
def _unroll(images, count, op, patches):
    height, width, channels, size, padding = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_SIZE], op[_PADDING]
    if channels == 1:
        _unroll_grey(images, count, op, patches)
        return
    down, across = height + 2 * padding - size + 1, width + 2 * padding - size + 1
    for k in range(count):
        for i in range(down):
            top = i - padding
            for j in range(across):
                left = j - padding
                first, end = max(left, 0), min(left + size, width)
                row = patches[(k * down + i) * across + j]
                if top < 0 or top + size > height or end - first < size:
                    row[:] = _ZERO
                # A line of a patch is contiguous, both in the image and in the patch.
                for y in range(max(top, 0), min(top + size, height)):
                    source = ((k * height + y) * width + first) * channels
                    target = ((y - top) * size + first - left) * channels
                    line, out = images[source : source + (end - first) * channels], row[target:]
                    for c in range(len(line)):
                        out[c] = line[c]


@_fast
@no_type_check
def _unroll_grey(images, count, op, patches):
    """Unroll images of one channel, whose lines are too short to copy one by one: one number of all patches at a time."""
    height, width, size, padding = op[_HEIGHT], op[_WIDTH], op[_SIZE], op[_PADDING]
    down, across = height + 2 * padding - size + 1, width + 2 * padding - size + 1
    if padding:
        patches[: count * down * across] = _ZERO
    for k in range(count):
        for i in range(down):
            rows = patches[(k * down + i) * across : (k * down + i + 1) * across]
            for y in range(max(i - padding, 0), min(i - padding + size, height)):
                line = images[(k * height + y) * width : (k * height + y + 1) * width]
                for x in range(size):
                    first, end = max(padding - x, 0), min(width + padding - x, across)
                    column = rows[first:end, (y - i + padding) * size + x]
                    run = line[first - padding + x :]
                    for j in range(len(column)):
                        column[j] = run[j]


@_fast
@no_type_check
def _roll(patches, count, op, images):
    """Add the gradients of patches to the pixels that they were taken from."""
    height, width, channels, size, padding = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_SIZE], op[_PADDING]
    down, across = height + 2 * padding - size + 1, width + 2 * padding - size + 1
    images[:] = _ZERO
    for k in range(count):
        for i in range(down):
            top = i - padding
            for j in range(across):
                left = j - padding
                first, end = max(left, 0), min(left + size, width)
                row = patches[(k * down + i) * across + j]
                for y in range(max(top, 0), min(top + size, height)):
                    target = ((k * height + y) * width + first) * channels
                    source = ((y - top) * size + first - left) * channels
                    line, out = row[source : source + (end - first) * channels], images[target:]
                    for c in range(len(line)):
                        out[c] += line[c]


@_fast
@no_type_check
def _pool(source, batch, op, windows, target):
    height, width, channels, down, across = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_DOWN], op[_ACROSS]
    begin = op[_WINDOWS]
    for k in range(batch):
        for i in range(down):
            for j in range(across):
                left, right = windows[begin + 2 * (down + j)], windows[begin + 2 * (down + j) + 1]
                out = target[((k * down + i) * across + j) * channels :]
                for c in range(channels):
                    out[c] = -np.inf
                for y in range(windows[begin + 2 * i], windows[begin + 2 * i + 1]):
                    for x in range(left, right):
                        row = source[((k * height + y) * width + x) * channels :]
                        for c in range(channels):
                            out[c] = max(out[c], row[c])


@_fast
@no_type_check
def _pool_back(source, target, target_grad, batch, op, windows, source_grad):
    height, width, channels, down, across = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_DOWN], op[_ACROSS]
    begin = op[_WINDOWS]
    source_grad[:] = _ZERO
    left_over = np.empty(channels, np.float32)
    for k in range(batch):
        for i in range(down):
            for j in range(across):
                left, right = windows[begin + 2 * (down + j)], windows[begin + 2 * (down + j) + 1]
                first = ((k * down + i) * across + j) * channels
                top, slope = target[first:], target_grad[first:]
                for c in range(channels):
                    left_over[c] = slope[c]
                for y in range(windows[begin + 2 * i], windows[begin + 2 * i + 1]):
                    for x in range(left, right):
                        place = ((k * height + y) * width + x) * channels
                        row, row_grad = source[place:], source_grad[place:]
                        # The first of equal numbers gets the whole gradient, as in torch.
                        for c in range(channels):
                            share = left_over[c] if row[c] == top[c] else _ZERO
                            row_grad[c] += share
                            left_over[c] -= share


@_fast
@no_type_check
def _channels_first(source, batch, op, target, reverse):
    pixels, channels = op[_HEIGHT] * op[_WIDTH], op[_CHANNELS]
    # The inverse of transposing (pixel, channel) is transposing (channel, pixel).
    lines, numbers = (channels, pixels) if reverse else (pixels, channels)
    for k in range(batch):
        span = slice(k * pixels * channels, (k + 1) * pixels * channels)
        target[span].reshape(numbers, lines)[:] = source[span].reshape(lines, numbers).T


@_fast
@no_type_check
def _cross_entropy(scores, codes, weights, rows, grads):
    batch = len(rows)
    classes = len(scores) // batch
    share = np.float32(1 / batch)
    loss = 0.0
    for k in range(batch):
        row, slope = scores[k * classes : (k + 1) * classes], grads[k * classes : (k + 1) * classes]
        top = row[0]
        for j in range(1, classes):
            top = max(top, row[j])
        total = _ZERO
        for j in range(classes):
            # The polynomial for e^x is written out: a call would keep the loop from being vectorised.
            y = max((row[j] - top) * _LOG2_E, _LEAST)
            integer = np.floor(y)
            u = y - integer
            power = _P0 + u * (_P1 + u * (_P2 + u * (_P3 + u * (_P4 + u * (_P5 + u * _P6)))))
            slope[j] = power * np.int32((np.int32(integer) + np.int32(127)) << np.int32(23)).view(np.float32)
            total += slope[j]
        weight = weights[rows[k]] if len(weights) else np.float32(1)
        label = codes[rows[k]]
        loss += weight * (np.log(total) + top - row[label])
        scale = weight * share / total
        for j in range(classes):
            slope[j] *= scale
        slope[label] -= weight * share
    return loss / batch


@_fast
@no_type_check
def _squares(scores, targets, weights, rows, grads):
    batch = len(rows)
    loss = 0.0
    for k in range(batch):
        weight = weights[rows[k]] if len(weights) else np.float32(1)
        gap = scores[k] - targets[rows[k]]
        loss += weight * gap * gap
        grads[k] = weight * gap * np.float32(2 / batch)
    return loss / batch


@_fast
@no_type_check
def _adamw(state, gradient, rate, optimizer, step):
    parameters, first, second = state[0], state[1], state[2]
    shrink = np.float32(1 - rate * optimizer[0])
    beta, beta2, epsilon = np.float32(optimizer[1]), np.float32(optimizer[2]), np.float32(optimizer[3])
    rest, rest2 = np.float32(1 - optimizer[1]), np.float32(1 - optimizer[2])
    step_size = np.float32(rate / (1 - optimizer[1] ** step))
    root = np.float32(1 / np.sqrt(1 - optimizer[2] ** step))
    for i in range(len(parameters)):
        slope = gradient[i]
        first[i] = beta * first[i] + rest * slope
        second[i] = beta2 * second[i] + rest2 * slope * slope
        parameters[i] = shrink * parameters[i] - step_size * first[i] / (np.sqrt(second[i]) * root + epsilon)


@_fast
@no_type_check
def _sgd(state, gradient, rate, optimizer):
    parameters, first = state[0], state[1]
    decay, momentum, step_size = np.float32(optimizer[0]), np.float32(optimizer[1]), np.float32(rate)
    for i in range(len(parameters)):
        first[i] = momentum * first[i] + gradient[i] + decay * parameters[i]
        parameters[i] -= step_size * first[i]
