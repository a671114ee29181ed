"""Messages that were changed at random: refused, or harmless; the ps lives, and a refused one changes no weight."""

import json
import random
import threading

import numpy as np
import pytest

from distrib.nn.optimizers import Adam
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps import codec
from distrib.ps.rules import Rules
from distrib.ps.servicer import Servicer
from distrib.ps.wire import read_request

SIZE = 40


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


def messages():
    """The calls of a chief that registers, begins an epoch, and pushes twice."""
    description = {
        "size": SIZE,
        "dtype": "float32",
        "optimizer": Adam().get_config(),
        "learning_rate": 0.1,
        "penalties": [[{"class": "L1L2", "l1": 0.0, "l2": 0.1}, 0, 7]],
        "layout": [["dense/kernel", 0, 30], ["dense/bias", 30, SIZE]],
        "rules": Rules("async", 1).get_config(),
        "ps": ["127.0.0.1:1"],
    }
    stage = {
        "kind": "train",
        "epoch": 0,
        "num_examples": 60,
        "batch_size": 6,
        "steps_per_epoch": 10,
        "num_sums": 4,
    }
    values = pb.Chunk(data=np.linspace(-1, 1, SIZE).astype(np.float32).tobytes())
    gradient = pb.Chunk(data=np.ones(SIZE, np.float32).tobytes())
    hello = pb.Hello(
        protocol=codec.PROTOCOL, worker=0, incarnation=1, num_ps=1, num_elements=SIZE, dtype="float32"
    )
    register = pb.Register(stage=0, description=json.dumps(description))
    calls = [
        pb.WorkRequest(call=1, hello=hello, last=True),
        pb.WorkRequest(call=2, register=register, chunk=values, last=True),
        pb.WorkRequest(call=3, begin=pb.Begin(stage=1, description=json.dumps(stage)), last=True),
    ]
    for number in (1, 2):
        sums, seconds = [6.0, 0, 1.0, 0], [3.0, 0.1, 0.2, 0]
        push = pb.Push(
            stage=1, sequence=number, lease=number - 1, version=number - 1, tally=sums, seconds=seconds
        )
        calls.append(pb.WorkRequest(call=3 + number, push=push, chunk=gradient, last=True))
    return calls


def changed(message, draw):
    """The message with some bits, bytes, fields or numbers changed; None where it is no message any more."""
    kind = draw.randrange(5)
    if kind == 4:
        copy = pb.WorkRequest()
        copy.CopyFrom(message)
        what = copy.WhichOneof("what")
        inner = getattr(copy, what)
        field = draw.choice(inner.DESCRIPTOR.fields)
        if field.is_repeated:
            inner.ClearField(field.name)
        elif field.cpp_type in (field.CPPTYPE_UINT64, field.CPPTYPE_UINT32):
            setattr(inner, field.name, draw.choice([0, 1, 2, 7, 2**31, 2**32 - 1]))
        elif field.cpp_type == field.CPPTYPE_BOOL:
            setattr(inner, field.name, draw.random() < 0.5)
        elif field.cpp_type == field.CPPTYPE_STRING:
            text = list(getattr(inner, field.name))
            for _ in range(1 + draw.randrange(3)):
                text[draw.randrange(len(text)) if text else 0 : 0] = draw.choice(
                    ["{", "}", "-", "9", '"', "null", "[]"]
                )
            setattr(inner, field.name, "".join(text))
        else:
            inner.ClearField(field.name)
        return copy
    data = bytearray(message.SerializeToString())
    if kind == 0:
        for _ in range(1 + draw.randrange(4)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[draw.randrange(len(data)) :]
    elif kind == 2:
        at = draw.randrange(len(data))
        data[at:at] = bytes(draw.randrange(256) for _ in range(1 + draw.randrange(9)))
    else:
        data[draw.randrange(len(data))] = draw.choice([0, 0x7F, 0x80, 0xFF])
    try:
        return pb.WorkRequest.FromString(bytes(data))
    except Exception:
        return None  # gRPC refuses it before we see it


def served(calls, servicer):
    """Serve one stream; returns the number of answers, and why it was refused."""
    calls = [read_request(call.SerializeToString()) for call in calls]
    context, answers = Context(), 0
    try:
        for _ in servicer.Work(iter(calls), context):
            answers += 1
    except Aborted as refusal:
        return answers, str(refusal)
    finally:
        for callback in context.ended:
            callback()
    return answers, ""


def fuzz(num_messages, seed):
    draw = random.Random(seed)
    refused = harmless = 0
    good = messages()
    for _ in range(num_messages):
        victim = draw.randrange(len(good))
        bad = changed(good[victim], draw)
        if bad is None or bad == good[victim]:
            continue
        servicer = Servicer("", lambda reason: None, share_memory=draw.random() < 0.5)
        # Where an answer would never come, the end of the stream ends the wait.
        timer = threading.Timer(0.5, servicer.close)
        timer.daemon = True
        timer.start()
        try:
            answers, why = served([*good[:victim], bad], servicer)
        finally:
            timer.cancel()
        if why:
            refused += 1
            assert answers == victim, "a refused message was answered"
            shard = servicer._node._shard
            assert shard is None or not shard._staged, f"a gradient that was refused is kept: {why}"
            if victim > 1 and shard is not None:
                expected = Servicer("", lambda reason: None)
                served(good[:victim], expected)
                assert shard.values.tobytes() == expected._node._shard.values.tobytes(), why
                expected.close()
        else:
            harmless += 1
        servicer.close()
    return refused, harmless


@pytest.mark.timeout(120)
def test_mutated_messages():
    refused, harmless = fuzz(600, seed=0)
    assert refused > 100
    assert harmless > 20


def test_good_messages_are_answered():
    servicer = Servicer("", lambda reason: None)
    assert served(messages(), servicer) == (5, "")
    assert servicer._node._leader.sequencer.version == 2
    servicer.close()
