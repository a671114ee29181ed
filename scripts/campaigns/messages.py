"""Messages of a real run, changed at random, for every call of a ps: refused, or harmless.

Whatever comes, the ps lives, its memory is bounded, and a message that is refused changes no weight.
"""

import logging
import random
import threading
from collections import Counter
from pathlib import Path
from unittest import mock

import distrib
import numpy as np
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.server import server as server_module
from distrib.ps.server import servicer as servicer_module
from distrib.ps.server.replication.follow_service import FollowService
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.servicer import Servicer
from distrib.ps.wire import framing
from google.protobuf.message import DecodeError
from helpers.ps import on_workers

WAIT_S = 0.2
"""Where an answer would never come, as others are waited for, the wait is ended."""


class Aborted(Exception):
    pass


class Context:
    """What gRPC gives to a handler."""

    def __init__(self):
        self.ended = []

    def invocation_metadata(self):
        return ()

    def add_callback(self, callback):
        self.ended.append(callback)
        return True

    def peer(self):
        return "the fuzzer"

    def cancel(self):
        raise AssertionError("it was not waited for so long")

    def abort(self, code, details):
        assert details, "a refusal must say why"
        raise Aborted(f"{code}: {details}")


class Recording:
    """What a chief says to ps:0, and what ps:1 says to it, in a real run over gRPC, as bytes."""

    def __init__(self, num_ps):
        logs, self.follow = [], []
        add, read, listen = server_module.add_to_server, framing.read_request, FollowService.listen

        def add_and_record(servicer, server):
            log = []
            logs.append(log)

            def read_and_record(raw):
                log.append(raw)
                return read(raw)

            with mock.patch.object(servicer_module.framing, "read_request", read_and_record):
                add(servicer, server)

        def listen_and_record(following, ps, followed, stream, requests):
            def each():
                for request in requests:
                    said = pb.FollowRequest.FromString(request.SerializeToString())
                    said.has = 0  # in another run it has others
                    self.follow.append(said.SerializeToString())
                    yield request

            listen(following, ps, followed, stream, each())

        with (
            mock.patch.object(server_module, "add_to_server", add_and_record),
            mock.patch.object(FollowService, "listen", listen_and_record),
        ):
            on_workers(1, self._train, num_ps)
        greetings = [index for index, raw in enumerate(logs[0]) if read(raw).head.HasField("hello")]
        assert greetings == [0], greetings
        self.work = logs[0]

    @staticmethod
    def _train(strategy):
        x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)
        l2 = distrib.regularizers.L2(0.1)
        model = distrib.Sequential([distrib.layers.Dense(2, input_shape=(2,), kernel_regularizer=l2)], seed=3)
        model.compile("adam", "mse")
        model.fit(x, x, batch_size=10, epochs=2, verbose=0)
        strategy.client.state(np.zeros((3, model.count_params()), np.float32))


class Served:
    """A ps:0 without gRPC, and the stream of a chief to it."""

    def __init__(self, share_memory=True):
        self.stopped = []
        self.ps = Servicer(ServerOptions(share_memory=share_memory), self.stopped.append)
        self._context, self._calls = Context(), []
        self._replies = self.ps.Work(
            iter(lambda: self._calls.pop(0) if self._calls else None, None), self._context
        )

    def say(self, raw, wait_s=10.0):
        """Send one message; whether it was answered in time. Raises `Aborted` where it is refused."""
        self._calls.append(framing.read_request(raw))
        timer = threading.Timer(wait_s, self.ps.close)
        timer.start()
        try:
            return next(self._replies, None) is not None
        finally:
            timer.cancel()

    @property
    def shard(self):
        return self.ps.node.state.shard

    def weights(self):
        return b"" if self.shard is None else self.shard.values.tobytes()

    def close(self):
        self._replies.close()
        for callback in self._context.ended:
            callback()
        self.ps.close()


def changed(raw, others, kind, draw):
    """The bytes of a message with bits, bytes, fields or numbers changed, or a piece of another one in it."""
    data, how = bytearray(raw), draw.randrange(7)
    at = draw.randrange(len(data)) if data else 0
    if how >= 5 or not data:
        message = kind.FromString(raw)
        _change_field(message, draw)
        return message.SerializeToString()
    if how == 0:
        for _ in range(1 + draw.randrange(4)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == 1:
        del data[at:]
    elif how == 2:
        data[at:at] = bytes(draw.randrange(256) for _ in range(1 + draw.randrange(9)))
    elif how == 3:
        data[at] = draw.choice([0, 0x7F, 0x80, 0xFF])
    else:
        other = draw.choice(others)
        begin = draw.randrange(len(other)) if other else 0
        data[at : at + draw.randrange(20)] = other[begin : begin + draw.randrange(40)]
    return bytes(data)


def _change_field(message, draw):
    if not message.DESCRIPTOR.fields:
        return
    field = draw.choice(message.DESCRIPTOR.fields)
    what = message.WhichOneof("what") if "what" in message.DESCRIPTOR.oneofs_by_name else None
    if what is not None and draw.random() < 0.8:
        _change_field(getattr(message, what), draw)
    elif field.is_repeated:
        message.ClearField(field.name)
    elif field.cpp_type == field.CPPTYPE_MESSAGE:
        _change_field(getattr(message, field.name), draw)
    elif field.cpp_type == field.CPPTYPE_UINT32:
        setattr(message, field.name, draw.choice([0, 1, 2, 7, 2**20, 2**31, 2**32 - 1]))
    elif field.cpp_type == field.CPPTYPE_UINT64:
        setattr(message, field.name, draw.choice([0, 1, 2, 7, 2**20, 2**26, 2**32, 2**63, 2**64 - 1]))
    elif field.cpp_type == field.CPPTYPE_BOOL:
        setattr(message, field.name, draw.random() < 0.5)
    elif field.cpp_type == field.CPPTYPE_DOUBLE:
        setattr(message, field.name, draw.choice([0.0, -1.0, 1e308, float("inf"), float("nan")]))
    elif field.type == field.TYPE_BYTES:
        setattr(message, field.name, getattr(message, field.name)[: draw.randrange(20)] * draw.choice([1, 3]))
    elif field.cpp_type == field.CPPTYPE_STRING:
        text = list(getattr(message, field.name))
        for _ in range(1 + draw.randrange(3)):
            at = draw.randrange(len(text)) if text else 0
            text[at:at] = draw.choice(["{", "}", "-", "9", '"', "null", "[]"])
        setattr(message, field.name, "".join(text))
    else:
        message.ClearField(field.name)


class Fuzzer:
    """Sends changed messages, each to a new ps that a real run has begun with.

    Attributes:
        outcomes: how many of each call were unreadable, refused and harmless.
    """

    def __init__(self, seed):
        self._draw = random.Random(seed)
        self.outcomes = Counter()
        self._alone, self._pair = Recording(1), Recording(2)
        self._weights = self._replay(self._alone.work)
        *self._before, self._last_push = self._up_to_the_last_push()

    def run(self, num_messages):
        """Send so many; of five, three by Work, one by Follow, one by Stop or Leave."""
        for number in range(num_messages):
            (self._work, self._work, self._work, self._follow, self._tell)[number % 5]()

    @staticmethod
    def _replay(messages):
        """The weights before each message."""
        served, weights = Served(), []
        for raw in messages:
            weights.append(served.weights())
            assert served.say(raw), "what was recorded is answered"
        served.close()
        assert len(set(weights)) == 1 + 1 + 4, "none, those of the chief, and after each update"
        return weights

    def _work(self):
        draw, good = self._draw, self._alone.work
        victim = draw.randrange(len(good))
        bad = changed(good[victim], good, pb.WorkRequest, draw)
        served = Served(share_memory=draw.random() < 0.5)
        try:
            for raw in good[:victim]:
                served.say(raw)
            before = served.weights()
            assert before == self._weights[victim]
            outcome = self._outcome(lambda: served.say(bad, WAIT_S))
            if outcome != "harmless":
                assert served.weights() == before, outcome
                shard = served.shard
                assert shard is None or not shard.waiting, "a gradient that was refused is kept"
        finally:
            served.close()
        self.outcomes["Work", outcome] += 1

    def _outcome(self, say):
        """What became of a message."""
        try:
            say()
        except Aborted:
            return "refused"
        except (DecodeError, ValueError):
            return "unreadable"  # gRPC ends the call
        return "harmless"

    def _up_to_the_last_push(self):
        work = self._pair.work
        last = max(index for index, raw in enumerate(work) if framing.read_request(raw).head.HasField("push"))
        return work[: last + 1]

    def _follow(self):
        """The bad one comes before the last gradient has come to ps:1."""
        draw, good = self._draw, self._pair.follow
        begin = pb.FollowRequest(ps=1, incarnation=7).SerializeToString()
        bad = changed(draw.choice([begin, *self.kinds_of_follow(), *good]), good, pb.FollowRequest, draw)
        served, context, handled = Served(), Context(), threading.Event()
        lost = []
        served.ps.node.state.leader.lost = lambda ps: (lost.append(ps), handled.set())
        try:
            message = pb.FollowRequest.FromString(bad)
        except DecodeError:
            self.outcomes["Follow", "unreadable"] += 1
            served.close()
            return
        goes_on, is_over = threading.Event(), threading.Event()

        def requests():
            yield pb.FollowRequest(ps=1, incarnation=7)
            yield from map(pb.FollowRequest.FromString, good[:-1])
            assert goes_on.wait(5)
            yield message
            handled.set()
            yield pb.FollowRequest.FromString(good[-1])
            assert is_over.wait(5)

        entries = served.ps.Follow(requests(), context)
        follower = threading.Thread(target=lambda: list(entries))
        follower.start()
        try:
            for raw in self._before:
                assert served.say(raw)
            before = served.weights()
            goes_on.set()
            assert handled.wait(5), "it hangs"
            assert served.weights() == before
            is_refused = bool(lost)
            if not is_refused and not message.ends:
                assert served.say(self._last_push)
                assert served.weights() != before, "the next good push is applied"
        finally:
            goes_on.set()
            is_over.set()
            served.close()
            for callback in context.ended:
                callback()
            follower.join(5)
        assert not follower.is_alive()
        self.outcomes["Follow", "refused" if is_refused else "harmless"] += 1

    @staticmethod
    def kinds_of_follow():
        """What another ps says in other jobs than the recorded one."""
        part = pb.Part(cut=1, name="values", count=3, last=True, chunk=pb.Chunk(data=bytes(12)))
        who = pb.PushId(worker=0, incarnation=7)
        for message in (pb.FollowRequest(ps=1, part=part), pb.FollowRequest(ps=1, silent=who)):
            yield message.SerializeToString()

    def _tell(self):
        """Stop and Leave, of the chief while its stream is open."""
        draw, good = self._draw, self._alone.work
        incarnation = framing.read_request(good[0]).head.hello.incarnation
        kind, method = draw.choice([(pb.StopRequest, "Stop"), (pb.LeaveRequest, "Leave")])
        good_one = kind(incarnation=incarnation)
        if method == "Stop":
            good_one.reason = "all is done"
        raw = good_one.SerializeToString()
        bad = changed(raw, [raw, *good], kind, draw)
        served = Served()
        for each in good[:3]:
            served.say(each)
        before = served.weights()
        outcome = self._outcome(lambda: getattr(served.ps, method)(kind.FromString(bad), Context()))
        assert served.weights() == before
        is_there = 0 in served.ps.uninformed
        if outcome != "harmless":
            assert not served.stopped, "a refused message has ended the job"
            assert is_there
            assert served.say(good[3]), "the job goes on"
        elif method == "Stop":
            assert kind.FromString(bad).incarnation == incarnation
            assert len(served.stopped) == 1
        served.close()
        self.outcomes[method, outcome] += 1


class PeakMemory:
    """How much memory this process took more, at most, than when it was entered, in bytes."""

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        self._before = self._peak()
        return self

    def __exit__(self, *exception):
        self.grown = self._peak() - self._before

    @staticmethod
    def _peak():
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def fuzz(num_messages, seed):
    """Send so many changed messages; what became of them, and by how many bytes the memory grew."""
    fuzzer = Fuzzer(seed)
    logging.disable()  # of every bad one something is said
    try:
        fuzzer.run(min(200, num_messages))  # what is kept once and for all
        fuzzer.outcomes.clear()
        with PeakMemory() as memory:
            fuzzer.run(num_messages)
    finally:
        logging.disable(logging.NOTSET)
    return fuzzer.outcomes, memory.grown
