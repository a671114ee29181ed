"""Random pipelines of data whose order is determined: the same for our `Dataset` and for TensorFlow's."""

import random

import numpy as np

FUNCTIONS = {
    "double": lambda x: x * 2,
    "negate": lambda x: -x,
    "plus": lambda x: x + 3,
    "square": lambda x: x * x,
}


_NAMES = [
    *(
        "map",
        "parallel",
        "take",
        "skip",
        "shard",
        "repeat",
        "cache",
        "prefetch",
        "concatenate",
        "batch",
        "unbatch",
    ),
    *("filter", "zip", "enumerate", "windows", "interleave", "flat_map", "shuffle", "padded", "take_while"),
]


def drawn(seed):
    """The steps of a pipeline: names with arguments, as JSON values."""
    draw = random.Random(seed)
    steps = [
        draw.choice(
            [
                ["range", draw.randint(0, 23)],
                ["slices", draw.randint(1, 17)],
                ["generator", draw.randint(0, 9)],
            ]
        )
    ]
    kind = "pairs" if steps[0][0] == "slices" and draw.random() < 0.4 else "numbers"
    if kind == "pairs":
        steps[0][0] = "pairs"
    for _ in range(draw.randint(1, 6)):
        name = draw.choice(_NAMES)
        step = _step(draw, name, kind)
        if step is None:
            continue
        steps.append(step)
        kind = {
            "batch": "batches",
            "padded": "padded",
            "unbatch": "numbers",
            "zip": "pairs",
            "enumerate": "pairs",
        }.get(name, kind)
        if name == "windows":
            kind = "batches"
    return steps


def _step(draw, name, kind):
    """A step after elements of a kind; None if it does not fit."""
    number = draw.randint(1, 5)
    if name in ("take", "skip", "repeat", "prefetch"):
        return [name, number]
    if name in ("map", "parallel") and kind != "pairs":
        return [name, draw.choice(sorted(FUNCTIONS))]
    if name == "shard":
        return [name, number, draw.randrange(number)]
    if name in ("cache", "shuffle", "enumerate") and kind != "pairs":
        return [name]
    if name == "batch" and kind == "numbers":
        return [name, number, draw.random() < 0.3]
    if name == "unbatch" and kind in ("batches", "padded"):
        return [name]
    if name in ("filter", "take_while", "concatenate", "zip") and kind == "numbers":
        return [name, number]
    if name == "windows" and kind == "numbers":
        return [name, number, draw.randint(1, 4), draw.randint(1, 3), draw.random() < 0.5, draw.randint(1, 4)]
    if name in ("interleave", "flat_map") and kind == "numbers":
        return [name, number, draw.randint(1, 4)]
    if name == "padded" and kind == "numbers":
        return [name, number, draw.random() < 0.3]
    return None


def applied(dataset, steps, int64, tile):
    """The pipeline of these steps.

    Args:
        dataset: the class.
        steps: see `drawn`.
        int64: its name of that dtype.
        tile: returns as many copies of a number as it says.
    """
    (first, size), *others = steps
    if first == "range":
        made = dataset.range(size)
    elif first == "generator":
        made = dataset.from_generator(lambda: iter(range(size)), output_types=int64, output_shapes=())
    else:
        numbers = np.arange(size, dtype=np.int64)
        made = dataset.from_tensor_slices((numbers, numbers * 10) if first == "pairs" else numbers)
    for name, *arguments in others:
        if name in ("take", "skip", "repeat", "shard", "cache", "prefetch", "unbatch", "enumerate"):
            made = getattr(made, name)(*arguments)
        elif name == "map":
            made = made.map(FUNCTIONS[arguments[0]])
        elif name == "parallel":
            made = made.map(FUNCTIONS[arguments[0]], num_parallel_calls=2)
        elif name == "shuffle":
            made = made.shuffle(1)
        elif name == "batch":
            made = made.batch(arguments[0], drop_remainder=arguments[1])
        elif name == "filter":
            made = made.filter(lambda x, n=arguments[0]: x % n == 0)
        elif name == "take_while":
            made = made.take_while(lambda x, n=arguments[0]: x < 4 * n)
        elif name == "concatenate":
            made = made.concatenate(dataset.range(arguments[0]))
        elif name == "zip":
            made = dataset.zip((made, dataset.range(arguments[0])))
        elif name == "windows":
            size, shift, stride, drop, batch = arguments
            made = made.window(size, shift, stride, drop).flat_map(lambda w, n=batch: w.batch(n))
        elif name == "interleave":
            count, cycle = arguments
            inner = lambda x, n=count: dataset.from_tensors(x).repeat(n)  # noqa: E731
            made = made.interleave(inner, cycle_length=cycle, block_length=2)
        elif name == "flat_map":
            made = made.flat_map(lambda x, n=arguments[0]: dataset.from_tensors(x).repeat(n))
        elif name == "padded":
            made = made.map(tile).padded_batch(
                arguments[0], padded_shapes=[None], drop_remainder=arguments[1]
            )
    return made


def outcome(dataset, most=60):
    """The elements, as JSON values, and how many the data set says there are."""
    elements = []
    for element in dataset.take(most).as_numpy_iterator():
        parts = element if isinstance(element, tuple) else (element,)
        elements.append([[np.asarray(each).tolist(), str(np.asarray(each).dtype)] for each in parts])
    return {"elements": elements, "cardinality": int(np.asarray(dataset.cardinality()))}
