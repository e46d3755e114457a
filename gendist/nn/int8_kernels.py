"""What lies between the linear layers of a transformer in integers, a row at a time.

Each function computes what the decoder says in torch (``decoder.py``): in float64 its integers are the same. The
encoder takes float32.
Dimensions: rows, width (of a state or a layer's output), places (tokens of a row), slots (of which each holds a row's
places). ``codes`` are unsigned bytes with ``ZERO`` for 0, and ``steps`` (rows,) are their scales. ``top`` (rows,)
takes where the largest number of each row is and ``largest`` (rows,) what it is: it is left out of the codes; of no
length, nothing is left out.
``products`` are what a linear layer gives but for the step of its input and its bias, the ``addend``.
"""

import numpy as np

from gendist.nn.numba_math import compiled, compiled_loosely, exp, largest_size
from gendist.nn.int8_linear import GELU_OFFSET, LEVELS, SPAN, TINY, UNSIGNED_LEVELS, ZERO

# Rows are taken out of their tables before a loop over their numbers: only then are there vector instructions for it.

GELU_SLOPE, GELU_CUBE = 1.5957691216057308, 0.044715
"""2 sqrt(2 / pi), and the share of the cube, in GELU's tanh form (Hendrycks and Gimpel 2016)."""
CHUNK = 64
"""Places that attention takes at once: of a number that the compiler knows it makes vector instructions."""


@compiled
def _step(values: np.ndarray, levels: int) -> float:
    """Return what an integer is worth if the largest are ``levels``."""
    number = values.dtype.type
    return max(largest_size(values), number(TINY)) / number(levels)


@compiled
def write_codes(values: np.ndarray, codes: np.ndarray) -> float:
    """Round a vector to bytes; return what one of them is worth."""
    number, step = values.dtype.type, _step(values, LEVELS)
    share = number(1) / step
    for i in range(values.shape[0]):
        codes[i] = np.uint8(np.int32(values[i] * share + number(ZERO + 0.5)))  # the conversion cuts off
    return step


@compiled
def _write_rest(values: np.ndarray, codes: np.ndarray, row: int, top: np.ndarray, largest: np.ndarray) -> float:
    """Round a vector but for its largest number, unless ``top`` has no length; return the codes' scale."""
    if not top.shape[0]:
        return write_codes(values, codes)
    number, size, i = values.dtype.type, largest_size(values), 0
    while abs(values[i]) != size:
        i += 1
    top[row], largest[row], values[i] = i, values[i], 0
    step = max(max(largest_size(values), size * number(SPAN)), number(TINY)) / number(LEVELS)
    share = number(1) / step
    for j in range(values.shape[0]):
        codes[j] = np.uint8(np.int32(values[j] * share + number(ZERO + 0.5)))
    values[i] = largest[row]
    return step


@compiled
def add_largest(
    products: np.ndarray,
    columns: np.ndarray,
    scales: np.ndarray,
    steps: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Add to products (rows, outputs) what the inputs that were left out of the codes give.

    ``columns`` are the layer's integer weights (inputs, outputs), ``scales`` (outputs,) theirs.
    """
    for row in range(products.shape[0]):
        output, column, factor = products[row], columns[top[row]], np.float32(largest[row] / steps[row])
        for i in range(output.shape[0]):
            output[i] += factor * (np.float32(column[i]) * scales[i])


@compiled
def add_outliers(
    products: np.ndarray, inputs: np.ndarray, which: np.ndarray, weights: np.ndarray, steps: np.ndarray
) -> None:
    """Add to products (rows, outputs) what the weights (outputs,) that were left out of the codes give.

    ``which`` (outputs,) says which of the ``inputs`` (rows, inputs) each multiplies.
    """
    for row in range(products.shape[0]):
        output, taken, step = products[row], inputs[row], steps[row]
        for i in range(output.shape[0]):
            output[i] += np.float32(taken[which[i]] / step) * weights[i]


@compiled
def _sum_up(values: np.ndarray) -> float:
    """Return the sum of a vector, which is used up: quarters are added up, for which there are vector instructions."""
    count, total = values.shape[0], values.dtype.type(0)
    while count >= 16:
        part = count // 4
        for i in range(4 * part, count):
            total += values[i]
        for i in range(part):
            values[i] = (values[i] + values[part + i]) + (values[2 * part + i] + values[3 * part + i])
        count = part
    for i in range(count):
        total += values[i]
    return total


@compiled
def _normalize(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float, output: np.ndarray) -> None:
    """Layer normalisation of a vector."""
    number = x.dtype.type
    width = number(x.shape[0])
    for i in range(x.shape[0]):
        output[i] = x[i]
    mean = _sum_up(output) / width
    for i in range(x.shape[0]):
        output[i] = (x[i] - mean) * (x[i] - mean)
    scale = number(1) / np.sqrt(_sum_up(output) / width + number(eps))
    for i in range(x.shape[0]):
        output[i] = (x[i] - mean) * scale * weight[i] + bias[i]


@compiled_loosely
def _scores(query: np.ndarray, keys: np.ndarray, sums: np.ndarray) -> None:
    """Multiply a query by ``CHUNK`` keys; the integers are small enough for exact sums in float32."""
    sums[:] = 0
    for i in range(query.shape[0]):
        for p in range(CHUNK):
            sums[p] += query[i] * np.float32(keys[i, p])


@compiled_loosely
def _mix(weights: np.ndarray, count: int, values: np.ndarray, mixed: np.ndarray) -> None:
    """Add up the first ``count`` vectors of integers with integer weights; these sums are exact, too."""
    mixed[:] = 0
    for p in range(count):
        for i in range(mixed.shape[0]):
            mixed[i] += weights[p] * np.float32(values[p, i])


@compiled
def quantize(x: np.ndarray, codes: np.ndarray, steps: np.ndarray, top: np.ndarray, largest: np.ndarray) -> None:
    """Round states (rows, width)."""
    for row in range(x.shape[0]):
        steps[row] = _write_rest(x[row], codes[row], row, top, largest)


@compiled
def normalize(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    codes: np.ndarray,
    steps: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Layer normalisation of states (rows, width), rounded; the states stay."""
    normal = np.empty(x.shape[1], x.dtype)
    for row in range(x.shape[0]):
        _normalize(x[row], weight, bias, eps, normal)
        steps[row] = _write_rest(normal, codes[row], row, top, largest)


@compiled
def add_and_normalize(
    x: np.ndarray,
    products: np.ndarray,
    addend: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    replace: bool,
    codes: np.ndarray,
    steps: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Add a linear layer's output to states (rows, width), normalise, and round.

    ``replace`` says whether the states become the normalised ones (BERT), or stay as they were added up (GPT-2).
    """
    normal = np.empty(x.shape[1], x.dtype)
    for row in range(x.shape[0]):
        state, added, step = x[row], products[row], steps[row]
        for i in range(state.shape[0]):
            state[i] += added[i] * step + addend[i]
        _normalize(state, weight, bias, eps, normal)
        if replace:
            for i in range(state.shape[0]):
                state[i] = normal[i]
        steps[row] = _write_rest(normal, codes[row], row, top, largest)


@compiled
def gelu(
    products: np.ndarray,
    addend: np.ndarray,
    output: np.ndarray,
    codes: np.ndarray,
    steps: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """GELU of a linear layer's output: (rows, width) of ``output``, and rounded, ``GELU_OFFSET`` added first.

    Nothing is negative then: 0 stands for 0 in the codes, and 255 for the largest.
    """
    number = output.dtype.type
    slope, cube, one, offset = number(-GELU_SLOPE), number(GELU_CUBE), number(1), number(GELU_OFFSET)
    shifted = np.empty(products.shape[1], output.dtype)
    for row in range(products.shape[0]):
        inputs, step, outputs, code = products[row], steps[row], output[row], codes[row]
        for i in range(inputs.shape[0]):
            x = inputs[i] * step + addend[i]
            outputs[i] = x / (one + exp(slope * (x + cube * x * x * x)))
        for i in range(inputs.shape[0]):
            shifted[i] = outputs[i] + offset
        size = least = largest_size(shifted)
        if top.shape[0]:
            i = 0
            while shifted[i] != size:
                i += 1
            top[row], largest[row], shifted[i] = i, size, 0
            size = largest_size(shifted)
            least *= number(SPAN)
        scale = max(max(size, least), number(TINY)) / number(UNSIGNED_LEVELS)
        share = one / scale
        for i in range(inputs.shape[0]):
            code[i] = np.uint8(np.int32(shifted[i] * share + number(0.5)))
        steps[row] = scale


@compiled
def attend(
    products: np.ndarray,
    addend: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    worth: np.ndarray,
    slots: np.ndarray,
    places: np.ndarray,
    query_levels: int,
    weights_total: int,
    codes: np.ndarray,
    steps: np.ndarray,
    top: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Attention of a token of each row, whose keys and values join those of its slot.

    Args:
        products: of queries, keys and values side by side, (rows, 3 width).
        addend: their biases.
        keys: (slots, heads, width of a head, places), signed bytes; places a multiple of ``CHUNK``.
        values: (slots, heads, places, width of a head), signed bytes.
        worth: of keys and of values, (2, slots, heads, places).
        slots: where the row's earlier tokens are, (rows,).
        places: which place the token has in its row, (rows,); what a slot holds beyond it has no influence.
        query_levels: the largest integer of a query.
        weights_total: what attention's weights of a row and head add up to.
        codes: written: what was read (rows, width).
        steps: of ``products``; written: of ``codes``.
        top: written, as of ``codes``.
        largest: likewise.
    """
    heads, size, most = keys.shape[1:]
    width = heads * size
    joined, read = np.empty(3 * width), np.empty(width)
    query = np.empty(size, np.float32)
    sums, shares = np.empty(most, np.float32), np.empty(most)
    mixed = np.empty(size, np.float32)
    for row in range(products.shape[0]):
        inputs, step, slot, place = products[row], steps[row], slots[row], places[row]
        for i in range(3 * width):
            joined[i] = inputs[i] * step + addend[i]
        for head in range(heads):
            begin = head * size
            asked = joined[begin : begin + size]
            key = joined[width + begin : width + begin + size]
            value = joined[2 * width + begin : 2 * width + begin + size]
            own_keys, own_value = keys[slot, head], values[slot, head, place]
            key_worth, value_worth = worth[0, slot, head], worth[1, slot, head]
            query_step = _step(asked, query_levels)
            key_worth[place], value_worth[place] = _step(key, LEVELS), _step(value, LEVELS)
            per_query, per_key, per_value = 1 / query_step, 1 / key_worth[place], 1 / value_worth[place]
            for i in range(size):
                query[i] = np.rint(asked[i] * per_query)
            for i in range(size):
                own_keys[i, place] = np.int8(np.rint(key[i] * per_key))
            for i in range(size):
                own_value[i] = np.int8(np.rint(value[i] * per_value))
            for first in range(0, place + 1, CHUNK):
                _scores(query, own_keys[:, first : first + CHUNK], sums[first : first + CHUNK])
            scale = query_step * size**-0.5
            for p in range(place + 1):
                shares[p] = sums[p] * scale * key_worth[p]
            highest = shares[0]
            for p in range(place + 1):
                highest = max(highest, shares[p])
            for p in range(place + 1):
                shares[p] = exp(shares[p] - highest)
            total = 0.0
            for p in range(place + 1):
                total += shares[p]
            per_total, rest = 1 / total, 0.0
            for p in range(place + 1):
                shares[p] = shares[p] * per_total * value_worth[p]
                rest += shares[p]
            unit = rest / weights_total
            per_unit = 1 / unit
            for p in range(place + 1):
                sums[p] = np.rint(shares[p] * per_unit)
            _mix(sums, place + 1, values[slot, head], mixed)
            for i in range(size):
                read[begin + i] = mixed[i] * unit
        steps[row] = _write_rest(read, codes[row], row, top, largest)
