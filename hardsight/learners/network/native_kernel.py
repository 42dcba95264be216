"""Training loops as machine code: a network stays in the processor's cache from its first step to its last.

A step of a small network is some microseconds of arithmetic, and a call from Python costs as much again. Here all steps of
a member are one call, which lets go of the interpreter, so that members train side by side in threads. Products of matrices
are left to BLAS. This file needs numba; :mod:`hardsight.learners.network.native` opens it where that is installed.

A network is a table of operations, see :mod:`hardsight.learners.network.native_program`. Every operation reads activations
``(row, input)`` and writes ``(row, output)``; images have their channels last.
"""

from typing import no_type_check

import numpy as np
from numba import njit
from numpy.polynomial import Chebyshev, Polynomial

from hardsight.learners.network.native_program import Column, Kind

_LINEAR, _RELU, _CONVOLUTION, _POOL, _CHANNELS_FIRST = (int(kind) for kind in Kind)
(
    _KIND, _INPUTS, _OUTPUTS, _READS, _WRITES, _START, _BIASED, _HEIGHT, _WIDTH, _CHANNELS, _SIZE, _PADDING, _DOWN,
    _ACROSS, _WINDOWS,
) = (int(column) for column in Column)  # fmt: skip

# Patches of so many numbers stay in the cache between unrolling and product.
_PATCHES = 1 << 15
_ZERO = np.float32(0)

# 2^u for 0 <= u <= 1: the library's exponential goes number by number, a polynomial fills vectors.
_POWERS = tuple(Chebyshev.interpolate(np.exp2, 6, domain=[0, 1]).convert(kind=Polynomial).coef.astype(np.float32))
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = _POWERS
_LOG2_E, _LEAST = np.float32(np.log2(np.e)), np.float32(-126)

# Neither nnan nor ninf: missing values and a diverging loss must stay what they are.
_fast = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc"})


# Machine code has no run-time checks of Python types: a checker that wraps these functions would keep them from compiling.
@_fast
@no_type_check
def train(x, codes, targets, weights, rows, mean, inverse, far, operations, windows, state, rates, descent, done):
    """Take one step for every row of ``rows``; returns the mean loss on the last batch.

    Args:
        x: ``(sample, feature)`` float32, read as ``clip((x - mean) * inverse, -far, far)``, 0 where it is missing.
        codes: ``(sample,)`` int64 classes; empty in regression.
        targets: ``(sample,)`` float32; empty in classification.
        weights: ``(sample,)`` float32 factors on the losses; empty for none.
        rows: ``(step, batch)`` int64, the samples of each step.
        mean: ``(feature,)`` float32.
        inverse: ``(feature,)`` float32.
        far: float32.
        operations: ``(operation, column)`` int64.
        windows: int64, first and last bounds of the windows of all pools.
        state: ``(3, parameter)`` float32: parameters, then the optimiser's first and second moments; changed in place.
        rates: ``(step,)`` float64 learning rates.
        descent: ``(4,)`` float64: weight decay, then AdamW's two betas and epsilon; SGD has its momentum, 0 and 0.
        done: steps taken before.
    """
    steps, batch = rows.shape
    depth = len(operations)
    last = operations[depth - 1]
    total = batch * (last[_WRITES] + last[_OUTPUTS])
    seen, back = np.empty(total, np.float32), np.empty(total, np.float32)
    gradient = np.zeros(state.shape[1], np.float32)
    scores = slice(batch * last[_WRITES], total)
    loss = 0.0
    for step in range(steps):
        _gather(x, rows[step], mean, inverse, far, seen)
        for index in range(depth):
            op = operations[index]
            came = seen[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])]
            into = seen[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            if op[_KIND] == _LINEAR:
                _linear(came, batch, op, state[0], into)
            elif op[_KIND] == _RELU:
                _relu(into)
            elif op[_KIND] == _CONVOLUTION:
                _convolution(came, batch, op, state[0], into)
            elif op[_KIND] == _POOL:
                _pool(came, batch, op, windows, into)
            else:
                _channels_first(came, batch, op, into, False)
        if len(codes):
            loss = _cross_entropy(seen[scores], codes, weights, rows[step], back[scores])
        else:
            loss = _squares(seen[scores], targets, weights, rows[step], back[scores])
        for index in range(depth - 1, -1, -1):
            op = operations[index]
            came = seen[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])]
            into = seen[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            out = back[batch * op[_WRITES] : batch * (op[_WRITES] + op[_OUTPUTS])]
            # Nobody asks for the gradient by the inputs of the network.
            to = back[batch * op[_READS] : batch * (op[_READS] + op[_INPUTS])] if op[_READS] else back[:0]
            if op[_KIND] == _LINEAR:
                _linear_back(came, out, batch, op, state[0], gradient, to)
            elif op[_KIND] == _RELU:
                _relu_back(into, out)
            elif op[_KIND] == _CONVOLUTION:
                _convolution_back(came, out, batch, op, state[0], gradient, to)
            elif len(to) and op[_KIND] == _POOL:
                _pool_back(came, into, out, batch, op, windows, to)
            elif len(to):
                _channels_first(out, batch, op, to, True)
        if descent[2]:
            _adamw(state, gradient, rates[step], descent, done + step + 1)
        else:
            _sgd(state, gradient, rates[step], descent)
    return loss


@_fast
@no_type_check
def _gather(x, rows, mean, inverse, far, seen):
    features = x.shape[1]
    for k in range(len(rows)):
        row, into = x[rows[k]], seen[k * features : (k + 1) * features]
        for i in range(features):
            value = (row[i] - mean[i]) * inverse[i]
            # NaN is the one number that differs from itself; missing values take the mean, which is zero here.
            value = value if value == value else _ZERO
            into[i] = min(max(value, -far), far)


@_fast
@no_type_check
def _linear(came, batch, op, parameters, into):
    inputs, outputs, start = op[_INPUTS], op[_OUTPUTS], op[_START]
    weight = parameters[start : start + inputs * outputs].reshape(inputs, outputs)
    out = into.reshape(batch, outputs)
    np.dot(came.reshape(batch, inputs), weight, out)
    if op[_BIASED]:
        _add(parameters[start + inputs * outputs : start + (inputs + 1) * outputs], out)


@_fast
@no_type_check
def _linear_back(came, out, batch, op, parameters, gradient, to):
    inputs, outputs, start = op[_INPUTS], op[_OUTPUTS], op[_START]
    slope = out.reshape(batch, outputs)
    np.dot(came.reshape(batch, inputs).T, slope, gradient[start : start + inputs * outputs].reshape(inputs, outputs))
    if op[_BIASED]:
        _sum(slope, gradient[start + inputs * outputs : start + (inputs + 1) * outputs])
    if len(to):
        weight = parameters[start : start + inputs * outputs].reshape(inputs, outputs)
        np.dot(slope, weight.T, to.reshape(batch, inputs))


@_fast
@no_type_check
def _add(bias, out):
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[k, j] += bias[j]


@_fast
@no_type_check
def _sum(slope, into):
    into[:] = _ZERO
    for k in range(slope.shape[0]):
        for j in range(slope.shape[1]):
            into[j] += slope[k, j]


@_fast
@no_type_check
def _relu(into):
    for i in range(len(into)):
        # In this order, so that NaN stays NaN.
        into[i] = _ZERO if into[i] < _ZERO else into[i]


@_fast
@no_type_check
def _relu_back(into, out):
    for i in range(len(into)):
        out[i] = out[i] if into[i] > _ZERO else _ZERO


@_fast
@no_type_check
def _convolution(came, batch, op, parameters, into):
    numbers, pixels, channels = _patch(op)
    start = op[_START]
    weight = parameters[start : start + numbers * channels].reshape(numbers, channels)
    together = max(1, _PATCHES // (numbers * pixels))
    patches = np.empty((min(together, batch) * pixels, numbers), np.float32)
    for first in range(0, batch, together):
        count = min(together, batch - first)
        _unroll(came[first * op[_INPUTS] : (first + count) * op[_INPUTS]], count, op, patches)
        out = into[first * op[_OUTPUTS] : (first + count) * op[_OUTPUTS]].reshape(count * pixels, channels)
        np.dot(patches[: count * pixels], weight, out)
        if op[_BIASED]:
            _add(parameters[start + numbers * channels : start + (numbers + 1) * channels], out)


@_fast
@no_type_check
def _convolution_back(came, out, batch, op, parameters, gradient, to):
    numbers, pixels, channels = _patch(op)
    start = op[_START]
    weight = parameters[start : start + numbers * channels].reshape(numbers, channels)
    into = gradient[start : start + numbers * channels].reshape(numbers, channels)
    into[:] = _ZERO
    part = np.empty((numbers, channels), np.float32)
    together = max(1, _PATCHES // (numbers * pixels))
    patches = np.empty((min(together, batch) * pixels, numbers), np.float32)
    for first in range(0, batch, together):
        count = min(together, batch - first)
        span = slice(first * op[_INPUTS], (first + count) * op[_INPUTS])
        slope = out[first * op[_OUTPUTS] : (first + count) * op[_OUTPUTS]].reshape(count * pixels, channels)
        _unroll(came[span], count, op, patches)
        np.dot(patches[: count * pixels].T, slope, part)
        into += part
        if len(to):
            np.dot(slope, weight.T, patches[: count * pixels])
            _roll(patches, count, op, to[span])
    if op[_BIASED]:
        slope = out.reshape(batch * pixels, channels)
        _sum(slope, gradient[start + numbers * channels : start + (numbers + 1) * channels])


@_fast
@no_type_check
def _patch(op):
    """Numbers in a patch, places that a patch is taken from, output channels."""
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
                # A line of a patch is a run of numbers, in the image and in the patch alike.
                for y in range(max(top, 0), min(top + size, height)):
                    came = ((k * height + y) * width + first) * channels
                    into = ((y - top) * size + first - left) * channels
                    line, out = images[came : came + (end - first) * channels], row[into:]
                    for c in range(len(line)):
                        out[c] = line[c]


@_fast
@no_type_check
def _unroll_grey(images, count, op, patches):
    """The same for one channel, whose runs are too short to be copied one by one: a number of all patches at a time."""
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
    """Add up what patches say of each number of the images they were taken from."""
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
                    into = ((k * height + y) * width + first) * channels
                    came = ((y - top) * size + first - left) * channels
                    line, out = row[came : came + (end - first) * channels], images[into:]
                    for c in range(len(line)):
                        out[c] += line[c]


@_fast
@no_type_check
def _pool(came, batch, op, windows, into):
    height, width, channels, down, across = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_DOWN], op[_ACROSS]
    begin = op[_WINDOWS]
    for k in range(batch):
        for i in range(down):
            for j in range(across):
                left, right = windows[begin + 2 * (down + j)], windows[begin + 2 * (down + j) + 1]
                out = into[((k * down + i) * across + j) * channels :]
                for c in range(channels):
                    out[c] = -np.inf
                for y in range(windows[begin + 2 * i], windows[begin + 2 * i + 1]):
                    for x in range(left, right):
                        row = came[((k * height + y) * width + x) * channels :]
                        for c in range(channels):
                            out[c] = max(out[c], row[c])


@_fast
@no_type_check
def _pool_back(came, into, out, batch, op, windows, to):
    height, width, channels, down, across = op[_HEIGHT], op[_WIDTH], op[_CHANNELS], op[_DOWN], op[_ACROSS]
    begin = op[_WINDOWS]
    to[:] = _ZERO
    left_over = np.empty(channels, np.float32)
    for k in range(batch):
        for i in range(down):
            for j in range(across):
                left, right = windows[begin + 2 * (down + j)], windows[begin + 2 * (down + j) + 1]
                first = ((k * down + i) * across + j) * channels
                top, slope = into[first:], out[first:]
                for c in range(channels):
                    left_over[c] = slope[c]
                for y in range(windows[begin + 2 * i], windows[begin + 2 * i + 1]):
                    for x in range(left, right):
                        place = ((k * height + y) * width + x) * channels
                        row, back = came[place:], to[place:]
                        # The first of equal numbers takes it all, as torch has it.
                        for c in range(channels):
                            own = left_over[c] if row[c] == top[c] else _ZERO
                            back[c] += own
                            left_over[c] -= own


@_fast
@no_type_check
def _channels_first(came, batch, op, into, reverse):
    pixels, channels = op[_HEIGHT] * op[_WIDTH], op[_CHANNELS]
    # The reverse of turning (pixel, channel) round is turning (channel, pixel) round.
    lines, numbers = (channels, pixels) if reverse else (pixels, channels)
    for k in range(batch):
        span = slice(k * pixels * channels, (k + 1) * pixels * channels)
        into[span].reshape(numbers, lines)[:] = came[span].reshape(lines, numbers).T


@_fast
@no_type_check
def _cross_entropy(scores, codes, weights, rows, back):
    batch = len(rows)
    classes = len(scores) // batch
    share = np.float32(1 / batch)
    loss = 0.0
    for k in range(batch):
        row, slope = scores[k * classes : (k + 1) * classes], back[k * classes : (k + 1) * classes]
        top = row[0]
        for j in range(1, classes):
            top = max(top, row[j])
        total = _ZERO
        for j in range(classes):
            # The polynomial for e^x, in place: a call would keep the loop from filling vectors.
            y = max((row[j] - top) * _LOG2_E, _LEAST)
            whole = np.floor(y)
            u = y - whole
            power = _P0 + u * (_P1 + u * (_P2 + u * (_P3 + u * (_P4 + u * (_P5 + u * _P6)))))
            slope[j] = power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
            total += slope[j]
        weight = weights[rows[k]] if len(weights) else np.float32(1)
        own = codes[rows[k]]
        loss += weight * (np.log(total) + top - row[own])
        scale = weight * share / total
        for j in range(classes):
            slope[j] *= scale
        slope[own] -= weight * share
    return loss / batch


@_fast
@no_type_check
def _squares(scores, targets, weights, rows, back):
    batch = len(rows)
    loss = 0.0
    for k in range(batch):
        weight = weights[rows[k]] if len(weights) else np.float32(1)
        gap = scores[k] - targets[rows[k]]
        loss += weight * gap * gap
        back[k] = weight * gap * np.float32(2 / batch)
    return loss / batch


@_fast
@no_type_check
def _adamw(state, gradient, rate, descent, step):
    parameters, first, second = state[0], state[1], state[2]
    keep = np.float32(1 - rate * descent[0])
    beta, beta2, epsilon = np.float32(descent[1]), np.float32(descent[2]), np.float32(descent[3])
    new, new2 = np.float32(1 - descent[1]), np.float32(1 - descent[2])
    pace = np.float32(rate / (1 - descent[1] ** step))
    root = np.float32(1 / np.sqrt(1 - descent[2] ** step))
    for i in range(len(parameters)):
        slope = gradient[i]
        first[i] = beta * first[i] + new * slope
        second[i] = beta2 * second[i] + new2 * slope * slope
        parameters[i] = keep * parameters[i] - pace * first[i] / (np.sqrt(second[i]) * root + epsilon)


@_fast
@no_type_check
def _sgd(state, gradient, rate, descent):
    parameters, first = state[0], state[1]
    decay, momentum, pace = np.float32(descent[0]), np.float32(descent[1]), np.float32(rate)
    for i in range(len(parameters)):
        first[i] = momentum * first[i] + gradient[i] + decay * parameters[i]
        parameters[i] -= pace * first[i]
