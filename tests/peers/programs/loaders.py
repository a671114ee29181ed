"""Run by a Python with PyTorch, datasets, grain and pandas: n replicas, threads here, train what one trains.

Prints a line for each source: its name, the largest difference of weights, and how often each example was read.
"""

import collections
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import datasets
import grain
import numpy as np
import pandas
import torch
from helpers.replicas import difference, in_one_process, on_replicas

import distrib

SIZE, BATCH = 46, 8
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(SIZE, 4)), rng.integers(0, 3, SIZE)
read = collections.Counter()
lock = threading.Lock()


class Examples(torch.utils.data.Dataset):
    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        with lock:
            read[index] += 1
        return X[index], Y[index]


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


def loader(**options):
    return lambda: torch.utils.data.DataLoader(Examples(), batch_size=BATCH, **options)


class GrainSource:
    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        return X[index], Y[index]


def of_grain():
    return grain.MapDataset.source(GrainSource()).shuffle(seed=3).batch(BATCH).to_iter_dataset()


def frames():
    frame = pandas.DataFrame(X, columns=list("abcd"))
    return distrib.data.Dataset.from_tensor_slices((frame.to_numpy(), pandas.Series(Y).to_numpy())).batch(
        BATCH
    )


SOURCES = {
    "loader": loader(),
    "shuffled": loader(shuffle=True),
    "workers": loader(shuffle=True, num_workers=2),
    "dropped": loader(shuffle=True, drop_last=True),
    "generator": lambda: torch.utils.data.DataLoader(
        Examples(), batch_size=BATCH, shuffle=True, generator=torch.Generator().manual_seed(5)
    ),
    "weighted": lambda: torch.utils.data.DataLoader(
        Examples(), batch_size=BATCH, sampler=torch.utils.data.WeightedRandomSampler(np.ones(SIZE) + Y, SIZE)
    ),
    "iterable": lambda: torch.utils.data.DataLoader(Stream(), batch_size=BATCH),
    "hugging face": lambda: datasets.Dataset.from_dict({"x": X.tolist(), "label": Y.tolist()}),
    "grain": of_grain,
    "pandas": frames,
}


def fitted(source):
    def body(strategy):
        model = distrib.Sequential(
            [distrib.layers.Dense(5, "tanh", input_shape=(4,)), distrib.layers.Dense(3, "softmax")],
            dtype="float64",
            seed=2**62 + 1,  # as large as those that are drawn
        )
        model.compile(distrib.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        options = {"batch_size": BATCH} if source == "hugging face" else {}
        model.fit(SOURCES[source](), epochs=2, verbose=0, **options)
        return model.get_weights()

    return body


for source in SOURCES:
    expected = in_one_process(fitted(source))
    read.clear()
    worst = max(difference(each, expected) for n in (2, 3) for each in on_replicas(n, fitted(source)))
    counts = sorted(set(read.values()))
    print(f"{source}: {worst:.3g} {counts}", flush=True)
try:
    sampler = torch.utils.data.DistributedSampler(Examples(), 2, 0)
    made = torch.utils.data.DataLoader(Examples(), batch_size=BATCH, sampler=sampler)
    distrib.Sequential([distrib.layers.Dense(1, input_shape=(4,))]).fit(made)
except distrib.ConfigError as error:
    print(f"refused: {error}")
