"""CheckpointCoordinator: decides when a ps saves, and what it restores. Only ps:0 writes files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from distrib.base.arrays import training_dtype
from distrib.base.errors import ProtocolError
from distrib.io.checkpoint_folder import checkpoints, number_of
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.identity import SEQUENCER
from distrib.ps.policy.order.command_log import Cut
from distrib.ps.policy.order.sequencer import Sequencer
from distrib.ps.policy.order.sequencer_state import sequencer_from_state, state_of
from distrib.ps.policy.order.shard import Shard
from distrib.ps.policy.order.snapshot_schedule import SnapshotSchedule
from distrib.ps.policy.ranges import ranges_of
from distrib.ps.server.checkpoint_writer import NAME, CheckpointOptions, CheckpointWriter, WhenSaved, load
from distrib.ps.server.worker_session import WorkerSession


class Restored(NamedTuple):
    """The state that a ps restores."""

    shard: Shard
    sequencer: Sequencer | None


class CheckpointCoordinator:
    """Coordinates the checkpoints of one ps.

    Args:
        checkpoints: where ps:0 saves what all ps keep, and whether to begin from there.
    """

    def __init__(self, checkpoints: CheckpointOptions) -> None:
        self._checkpoints = checkpoints
        self._cuts = SnapshotSchedule(checkpoints.every)
        self._writer: CheckpointWriter | None = None

    @property
    def restores(self) -> bool:
        """Whether this ps begins from a checkpoint."""
        return self._checkpoints.restore

    def begin(self, num_ps: int) -> None:
        """Prepare to save what `num_ps` ps keep. On ps:0."""
        if self._writer is None:
            self._writer = CheckpointWriter(self._checkpoints.folder, num_ps)
            for earlier in checkpoints(self._checkpoints.folder, NAME)[-1:]:
                self._cuts.begin_after(number_of(earlier))  # the newest is that of the last job

    def restore(self, session: WorkerSession) -> Restored | None:
        """The part of the newest checkpoint for this ps, by the number that a worker gives it; None to begin anew."""
        found = load(self._checkpoints, session.size, session.dtype.name)
        if found is None:
            return None
        vectors, manifest = found
        shard = Shard(session.ps, session.num_ps)
        shard.restore(manifest["description"], vectors, manifest["sequencer"]["version"])
        if session.ps != SEQUENCER:
            return Restored(shard, None)
        sequencer = sequencer_from_state(manifest["sequencer"])
        self._cuts.restore(int(manifest["cut"]), sequencer.phases.num_borders, sequencer.version)
        return Restored(shard, sequencer)

    def cut_if_due(self, sequencer: Sequencer) -> None:
        """Make all ps save, if it is time to."""
        if self._writer is None:
            return
        if self._cuts.is_due(sequencer.phases.num_borders, sequencer.version, self._writer.is_busy):
            sequencer.log.append(Cut(self._cuts.number))

    def cut(self, sequencer: Sequencer | None, when_saved: WhenSaved) -> None:
        """Make all ps save now. Calls back when it is on disk or has failed; at once where there is no model."""
        if self._writer is None or sequencer is None or not sequencer.phases.all:
            when_saved("")
            return
        number = self._cuts.next()
        sequencer.log.append(Cut(number))
        self._writer.when_done(number, when_saved)

    def save(self, cut: int, shard: Shard, sequencer: Sequencer) -> None:
        """ps:0 has come to a cut: all of the log before is executed, so the sequencer is where the shards are."""
        if self._writer is not None:
            manifest = {"cut": cut, "sequencer": state_of(sequencer), "description": shard.description}
            manifest["run"] = self._checkpoints.run
            self._writer.add(cut, SEQUENCER, shard.snapshot())
            self._writer.begin(cut, manifest)

    def collect(self, ps: int, part: pb.Part, description: dict[str, Any]) -> None:
        """Take a part of what another ps keeps at a cut. Raises `ProtocolError` for what it cannot keep there."""
        if self._writer is None:
            return
        if not 0 < part.cut <= self._cuts.number:
            raise ProtocolError(f"Expected a cut up to {self._cuts.number}. Received: cut {part.cut}.")
        size = ranges_of(description, len(description["ps"]))[ps].size
        self._writer.collect(ps, part, size, training_dtype(description["dtype"]))

    def after_border(self, callback: Callable[[], None]) -> None:
        """Call back when the last beginning or end of a phase is on the disk, or cannot be: training goes on."""
        if self._writer is None:
            callback()
        else:
            self._writer.when_done(self._cuts.border, lambda failure: callback())

    def close(self) -> None:
        """Write what is to be written."""
        if self._writer is not None:
            self._writer.close()
