"""Trains the seed model with PyTorch: eager, or DDP over gloo under torchrun; started by `scripts/bench/train.py`."""

from __future__ import annotations

import os
import time

import torch
import torch.distributed as dist
from torch import nn

import contender


def main() -> None:
    options = contender.parse()
    torch.set_num_threads(1)
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    arrays = contender.images()
    x, y = torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1])
    model: nn.Module = nn.Sequential(nn.Linear(784, options.hidden), nn.ReLU(), nn.Linear(options.hidden, 10))
    if ranks > 1:
        dist.init_process_group("gloo")
        model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    loss_of = nn.CrossEntropyLoss()

    def step(index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, labels = x[index], y[index]
        optimizer.zero_grad()
        logits = model(batch)
        loss = loss_of(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    step(torch.arange(100))
    first_step = time.time()
    seconds = []
    for epoch in range(options.epochs):
        begin = time.perf_counter()
        generator = torch.Generator().manual_seed(epoch)
        own = torch.randperm(len(x), generator=generator)[rank::ranks]
        loss, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for part in own.split(100):
            batch_loss, batch_right = step(part)
            loss += batch_loss
            right += batch_right
        float(loss), int(right)
        seconds.append(time.perf_counter() - begin)
    pss = [contender.pss_bytes()]
    if ranks > 1:
        gathered: list[int] = [0] * ranks
        dist.all_gather_object(gathered, pss[0])
        pss = gathered
    if rank == 0:
        contender.report(options, len(x), seconds, first_step, pss)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
