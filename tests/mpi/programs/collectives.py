"""All collectives under mpirun, against sums computed on the spot: `collectives.py IMPLEMENTATION...`."""

import sys

import numpy as np

import distrib


def add_exactly(strategy):
    """Every collective of the strategy's, in either dtype, on vectors of awkward sizes, in shared memory and not.

    Of the largest one, a rank's share is several messages, and several pieces in shared memory.
    """
    communicator, rank, world_size = strategy.communicator, strategy.replica_id, strategy.num_replicas_in_sync
    total = world_size * (world_size + 1) // 2
    for dtype in ("float32", "float64"):
        for size in (0, 1, world_size - 1, world_size, world_size + 1, 10_007, 300_007):
            numbers = np.arange(size) % 1000
            mine = (numbers * (rank + 1)).astype(dtype)
            for vector in (mine.copy(), communicator.shared(mine.copy())):
                communicator.all_reduce(vector)
                assert np.array_equal(vector, numbers * total)
            vector = communicator.shared(mine.copy())
            rows = communicator.reduce_scatter(vector, scalars=np.array([rank, 2.0]))
            assert np.array_equal(rows, [[r, 2.0] for r in range(world_size)])
            own = communicator.own_range(size)
            vector[own.slice] += 1
            rows = communicator.all_gather(vector, scalars=np.array([rank, 3.0]))
            assert np.array_equal(rows, [[r, 3.0] for r in range(world_size)])
            assert np.array_equal(vector, numbers * total + 1)
    for op, expected in (("MAX", world_size), ("MIN", 1), ("MEAN", total / world_size)):
        assert strategy.reduce(op, float(rank + 1)) == expected
    assert list(strategy.gather([rank])) == list(range(world_size))
    for root in range(world_size):
        vector = np.full(1000, float(rank))
        communicator.broadcast(vector, root)
        assert (vector == root).all()


if __name__ == "__main__":
    for implementation in sys.argv[1:]:
        options = distrib.CommunicationOptions(implementation=implementation, timeout_s=20)
        strategy = distrib.MirroredStrategy(options)
        add_exactly(strategy)
        print(f"ENDED WELL {type(strategy.communicator).__name__}", flush=True)
