"""Rows of the catalogue of faults over real servers, in both modes, on one and two ps: late, wrong, half, again."""

import itertools
import threading
import time
from functools import partial

import grpc
import numpy as np
import pytest
from helpers.ps import nothing_is_staged
from helpers.ps_calls import SIZE, Calls, until

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.server import reconnects, worker_session
from distrib.ps.server import server as server_module
from distrib.ps.server.worker_session import WorkerSession
from distrib.ps.wire import framing
from distrib.ps.wire.framing import Frame
from distrib.ps.wire.grpc_options import MAX_MESSAGE_BYTES

BOTH = [{"mode": mode, "num_ps": num_ps} for mode, num_ps in itertools.product(("sync", "async"), (1, 2))]
PATIENT = [{**each, "read_timeout_s": 0.6} for each in BOTH]
HASTY = [{**each, "read_timeout_s": 0.1} for each in BOTH]
NAMED = [f"{each['mode']}, {each['num_ps']} ps" for each in BOTH]


@pytest.fixture(params=BOTH, ids=NAMED)
def job(request):
    with Calls(**request.param) as calls:
        yield calls


@pytest.fixture(params=BOTH, ids=NAMED)
def pair(request):
    with Calls(**request.param, num_workers=2) as calls:
        yield calls


def goes_on(job, client, sequence=1, version=0, answer=None):
    """The next good push is applied, once and everywhere; by default that of a lease that is asked for."""
    done = job.push(client, answer or job.begin(client), sequence)
    assert (done.decision, done.version) == (pb.APPLIED, version + 1)
    job.has_version(version + 1)


def fields_of(message):
    return {field.name: value for field, value in message.ListFields()}


def drain(stream):
    """Read until the stream ends with an error."""
    while True:
        stream.reply()


def together(pair):
    """The chief and worker 1 have begun: a client and its answer for each."""
    clients = [pair.client(worker) for worker in range(2)]
    for client in clients:
        pair.register(client)
    return [(client, pair.begin(client)) for client in clients]


def test_c2_a_worker_dies_after_its_push_counts_and_another_takes_its_place(pair):
    (chief, chiefs), (dying, answer) = together(pair)
    pair.send(dying, answer, 1)
    until(lambda: pair.sequencer.members[1].sequence == 1, "the push has come")
    dying.close()  # before the answer
    until(lambda: not pair.sequencer.members.is_alive(1), "it is gone")
    assert pair.sequencer.counts.pushed == 1
    new = pair.client(1, incarnation=77)
    pair.register(new)
    # In sync the new one has to wait for the chief: what the dead one pushed counts in the round.
    helper = threading.Thread(target=lambda: pair.finish([(new, pair.begin(new), 0)]))
    helper.start()
    pair.finish([(chief, chiefs, 0)])
    helper.join(20)
    counts = pair.sequencer.counts
    assert pair.sequencer.phases.all[1].totals[0] == counts.examples == 50
    assert counts.pushed == counts.applied + counts.dropped
    assert pair.sequencer.members[1].former == (dying.incarnation,)
    pair.has_version(10)


def test_c3_a_lost_answer_is_asked_for_again_and_counts_once(job):
    client, answer = job.begun()
    job.send(client, answer, 1)
    job.has_version(1)
    client.disconnect()  # the answer is lost
    again = job.push(client, answer, 1)
    assert (again.decision, again.version) == (pb.APPLIED, 1)
    job.has_version(1)
    assert job.sequencer.counts.pushed == 1
    goes_on(job, client, 2, 1, again)


def test_c4_an_older_push_is_refused_and_the_last_is_answered_again(job, monkeypatch):
    monkeypatch.setattr(reconnects, "RECONNECT_S", 0.3)
    client, answer = job.begun()
    for sequence in (1, 2):
        answer = job.push(client, answer, sequence)
    answer = job.push(client, answer, 2)
    assert answer.version == 2, "the last one is answered again"
    for sequence in (1, 5):
        words = rf"Expected push 3 of worker 0\. Received: push {sequence}"
        with pytest.raises(distrib.ProtocolError, match=words):
            job.push(client, answer, sequence)
        nothing_is_staged(job.servers)
        answer = job.begin(client)
    job.has_version(2)
    assert job.sequencer.counts.pushed == 2
    for _ in range(4):
        client.close()
        until(lambda: not job.sequencer.members.is_alive(0), "it is gone")
        client = job.client(0)
        job.register(client)
    assert len(job.sequencer.members.items()) == 1, "one entry for a worker, however often it starts"
    goes_on(job, client, 1, 2)


def test_c5_a_late_push_of_an_older_process_is_refused(job):
    old, answer = job.begun(incarnation=1)
    old.disconnect()
    new, again = job.begun(incarnation=2)
    with pytest.raises(distrib.PeerLostError, match="was started again since"):
        job.push(old, answer, 1)
    job.has_version(0)
    assert job.push(new, again, 1).decision == pb.APPLIED
    job.has_version(1)


def test_d2_a_second_process_for_one_worker_is_refused_and_the_first_goes_on(job, monkeypatch):
    assert worker_session.SURELY_LIVES_S == 4.0, "longer than the end of a process or host goes unnoticed"
    monkeypatch.setattr(worker_session, "SURELY_LIVES_S", 0.5)
    first, answer = job.begun(incarnation=1)
    second = job.client(0, incarnation=2)
    begin = time.monotonic()
    with pytest.raises(distrib.ConfigError, match="Worker 0 is running already") as error:
        job.register(second)
    assert 0.5 < time.monotonic() - begin < 3, "a silent worker may be dead, and its end not noticed"
    assert distrib.base.errors.exit_code_of(error.value) == 64
    monkeypatch.setattr(worker_session, "SURELY_LIVES_S", 60.0)
    answer = job.push(first, answer, 1)
    busy = threading.Timer(0.1, lambda: job.push(first, answer, 2))
    busy.start()
    begin = time.monotonic()
    with pytest.raises(distrib.ConfigError, match="Worker 0 is running already"):
        job.register(second)
    assert time.monotonic() - begin < 1 + 2, "the first one has spoken since"
    busy.join()
    job.has_version(2)


class TestRefused:
    """Each of these is refused with a code and a reason; no byte changes on any ps; the next good push is applied."""

    def test_c16_a_version_of_the_future(self, job):
        client, answer = job.begun()
        answer.version = 1
        assert self.refusal(job, client, lambda: job.send(client, answer, 1), 0) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Expected 4 sums and a version up to 0. Received: 4 sums, version 1.",
        )
        assert job.sequencer.counts.pushed == 1, "but for the good one"

    def test_another_number_of_examples_than_was_leased(self, job):
        client, answer = job.begun()
        answer.end += 1
        code, words = self.refusal(job, client, lambda: job.send(client, answer, 1), 0)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "Expected the 5 examples of lease" in words
        assert "Received: 6 examples" in words

    def test_sums_of_another_phase(self, job):
        client, answer = job.begun()
        message = job.message
        job.message = lambda *given: pb.Push(**fields_of(message(*given)) | {"sums": [5.0, 0, 0]})
        code, words = self.refusal(
            job, client, lambda: (job.send(client, answer, 1), delattr(job, "message")), 0
        )
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "Expected 4 sums and a version up to 0. Received: 3 sums, version 0." in words

    @pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
    def test_a_learning_rate_that_is_none(self, job, rate):
        client, answer = job.begun()
        message = job.message
        job.message = lambda *given: pb.Push(**fields_of(message(*given)), learning_rate=rate)
        code, words = self.refusal(
            job, client, lambda: (job.send(client, answer, 1), delattr(job, "message")), 0
        )
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert f"Expected a learning rate of 0 to 3e+38. Received: {rate}." in words

    def test_a_model_larger_than_memory_before_memory_is_taken(self, job):
        client = job.client()
        client.place(1 << 50, np.dtype("float32"))
        with pytest.raises(distrib.ProtocolError, match="Use more ps"):
            job.register(client)

    @pytest.mark.parametrize("phase", [0, 7])
    def test_another_model_while_one_is_trained(self, job, phase):
        """As by a chief that was started again with another script."""
        client, answer = job.begun()
        job.push(client, answer, 1)
        job.has_version(1)
        other = job.description() | {"optimizer": distrib.optimizers.Adam().get_config()}
        other["layout"] = [["other", 0, SIZE]]
        words = "is at phase 7 of its script" if phase else "not about to do what the chief does"
        new = job.client(0)
        client.close()
        with pytest.raises(distrib.ProtocolError, match=words):
            new.register(phase, other, np.full(SIZE, 9, np.float32))
        job.has_version(1)
        until(lambda: not any(shard.waiting for shard in job.shards), "it is forgotten")
        assert all(shard.description == job.description() for shard in job.shards), "what is saved"
        new.disconnect()
        job.register(new)
        goes_on(job, new, 1, 1)

    def test_c21_nan_in_the_slice_of_the_last_ps(self, job):
        client, answer = job.begun()
        job.gradient = lambda answer: np.append(np.ones(SIZE - 1, np.float32), np.float32(np.nan))
        code, words = self.refusal(job, client, lambda: job.send(client, answer, 1))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "NaN or Inf in the gradient of dense/bias" in words

    def test_c21_a_worker_is_told_by_whichever_ps_refuses(self, job):
        """ps:0 would wait for ever for what the other one has refused."""
        client, answer = job.begun()
        gradient = np.append(np.ones(SIZE - 1, np.float32), np.float32(np.nan))
        begin = time.monotonic()
        with pytest.raises(distrib.ProtocolError, match="NaN or Inf in the gradient of dense/bias"):
            client.push(job.message(answer, 1), gradient, np.empty(SIZE, np.float32))
        assert time.monotonic() - begin < 1 + 2
        job.has_version(0)
        goes_on(job, client)

    @pytest.mark.parametrize("job", BOTH[1::2], ids=NAMED[1::2], indirect=True)
    def test_c21_what_a_refused_call_left_is_not_put_together_with_the_next_call(self, job):
        """ps:0 has kept its part when the worker is back on new streams, and the next part reaches ps:1 first."""
        client, answer = job.begun()
        job.gradient = lambda answer: np.append(np.ones(SIZE - 1, np.float32), np.float32(np.nan))
        client.cancel = lambda: None  # the stream to ps:0 is open when the next one replaces it
        job.send(client, answer, 1)
        with pytest.raises(grpc.RpcError, match="NaN or Inf"):
            drain(client.streams[1])
        until(lambda: job.shards[0].waiting, "ps:0 has its part")
        again = job.client(0, client.incarnation)
        again.last_call = client.last_call
        answer = job.begin(again)
        again.last_call += 1
        request = pb.WorkRequest(call=again.last_call, push=job.message(answer, 1), last=True)
        gradient = Calls.gradient(job, answer)
        for stream, part in reversed(list(zip(again.streams, again.parts, strict=True))):
            stream.send(Frame(request, 0, gradient[part.slice].view(np.uint8).data))
            until(lambda: all(shard.waiting for shard in job.shards) or job.sequencer.version, "it is here")
            time.sleep(0.1)
        done = again.streams[0].reply().head.answer
        assert (done.decision, done.version) == (pb.APPLIED, 1)
        job.has_version(1)
        nothing_is_staged(job.servers)

    @pytest.mark.parametrize(
        ("size", "dtype"), [(SIZE // 2, "float64"), (SIZE, "float64"), (SIZE + 2, "float32")]
    )
    def test_c21_a_gradient_of_another_dtype_or_model(self, job, size, dtype):
        """The stream is opened for another model than the one that is trained; half of float64 is as long."""
        client, answer = job.begun()
        client.place(size, np.dtype(dtype))
        client.connect()
        job.gradient = lambda answer: np.ones(size, dtype)
        code, words = self.refusal(job, client, lambda: job.send(client, answer, 1))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        num_ps = len(job.servers)
        assert f"Expected: {SIZE // num_ps} elements of float32 on ps:{num_ps - 1}" in words
        assert f"Received: {size // num_ps} of {dtype}" in words
        client.place(SIZE, np.dtype("float32"))

    @pytest.mark.parametrize(
        ("chunks", "said"),
        [
            ([(0, 0.5, True)], "Expected {all} bytes. Received: {half}"),
            ([(0, 0.5, False), (1.0, 0.5, True)], "Expected the chunk at byte {half} of {all}"),
            ([(0, 0.5, False), (0.25, 0.5, True)], "Expected the chunk at byte {half} of {all}"),
            ([(0, 0.5, False), (0.0, 0.5, True)], "Expected the chunk at byte {half} of {all}"),
            ([(0.5, 0.5, False), (0.0, 0.5, True)], "Expected the chunk at byte 0 of {all}"),
            ([(0, 1.0, False), (1.0, 0.5, True)], "Expected the chunk at byte {all} of {all}"),
            ([(0, 1.0, True), (1.0, 0.5, True)], "Expected a call. Received: None"),
            ([(0, 0.05, False), (0.05, 0.05, False), (0.1, 0.05, False)], "Received: too many"),
            ([(0, 0.0, False), (0, 0.0, False)], "Received: an empty one"),
        ],
        ids=["missing", "gap", "overlap", "twice", "swapped", "too much", "extra", "too many", "empty"],
    )
    def test_c21_c24_chunks_that_are_not_a_vector(self, job, chunks, said):
        """To the last ps; the others have all."""
        client, answer = job.begun()
        own = 4 * SIZE // len(job.servers)
        raw = np.ones(own, np.float32).view(np.uint8).data
        is_whole_first = chunks[0][1:] == (1.0, True)

        def send():
            job.send(client, answer, 1) if is_whole_first else self.send_head(job, client, answer)
            for index, (begin, share, last) in enumerate(chunks):
                if is_whole_first and not index:
                    job.has_version(1)
                    client.streams[-1].reply()
                    continue
                request = pb.WorkRequest(call=client.last_call, last=last)
                if not index:
                    request.push.CopyFrom(job.message(answer, 1))
                client.streams[-1].send(Frame(request, int(begin * own), raw[: int(share * own)]))

        version = int(is_whole_first)
        code, words = self.refusal(job, client, send, -1, 1 + version, version)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert said.format(all=own, half=own // 2) in words

    @staticmethod
    def send_head(job, client, answer):
        """A whole push to all ps but the last."""
        last = client.streams.pop()
        try:
            parts = client.parts
            client.parts = parts[:-1]
            job.send(client, answer, 1)
        finally:
            client.streams.append(last)
            client.parts = parts

    @staticmethod
    def refusal(job, client, send, ps=-1, sequence=1, version=0):
        before = job.values().tobytes() if not version else None
        client.cancel = lambda: None  # one stream that breaks would end the others
        send()
        with pytest.raises(grpc.RpcError) as error:
            drain(client.streams[ps])
        del client.cancel
        if before is not None:
            assert job.values().tobytes() == before
        job.has_version(version)
        assert job.sequencer.version == version
        client.disconnect()
        client.place(SIZE, np.dtype("float32"))
        job.gradient = lambda answer: Calls.gradient(job, answer)
        goes_on(job, client, sequence, version)
        nothing_is_staged(
            job.servers
        )  # of several ps, those with good slices keep them until they come again
        return error.value.code(), error.value.details()


class TestHalf:
    """Half a vector, and then nothing."""

    def test_c23_a_stream_that_is_cut(self, job):
        client, answer = job.begun()
        stream, half = self.send_half(job, client, answer)
        client.disconnect()
        until(lambda: not any(server.inspect().workers for server in job.servers), "its end is noticed")
        assert (stream.staging[:half] == 1).all(), "the half was there"
        job.has_version(0)
        goes_on(job, client)

    @pytest.mark.parametrize("pair", PATIENT, indirect=True, ids=NAMED)
    def test_c24_a_stream_that_goes_silent_is_ended_and_others_go_on(self, pair, caplog):
        (chief, chiefs), (silent, answer) = together(pair)
        begin = time.monotonic()
        self.send_half(pair, silent, answer, worker=1)
        spans = pair.finish([(chief, chiefs, 0)])  # all of the epoch, what the silent one was leased too
        assert time.monotonic() - begin < 5
        assert sum(span.range.size for span, _ in spans) == 50
        codes = {}
        for ps, stream in enumerate(silent.streams):
            with pytest.raises(grpc.RpcError) as error:
                stream.reply()
            codes[ps] = error.value.code()
        assert codes.pop(len(codes) - 1) == grpc.StatusCode.CANCELLED
        assert all(code == grpc.StatusCode.DEADLINE_EXCEEDED for code in codes.values())
        assert "has begun a call, and sent no more of it for 0.6 s" in caplog.text
        pair.has_version(10)
        assert pair.sequencer.counts.pushed == pair.sequencer.counts.applied

    def test_a_stream_without_a_greeting_is_ended(self):
        with (
            Calls("sync", 1, read_timeout_s=0.3) as calls,
            grpc.insecure_channel(calls.addresses[0]) as channel,
        ):
            opened = threading.Event()
            stream = channel.stream_stream(framing.WORK)(iter(lambda: opened.wait(10) and None, None))
            begin = time.monotonic()
            with pytest.raises(grpc.RpcError) as error:
                next(stream)
            opened.set()
            assert error.value.code() == grpc.StatusCode.CANCELLED
            assert time.monotonic() - begin < 3

    @pytest.mark.parametrize("job", HASTY, indirect=True, ids=NAMED)
    def test_a_worker_may_compute_for_longer_than_that(self, job):
        client, answer = job.begun()
        time.sleep(0.4)
        assert job.push(client, answer, 1).decision == pb.APPLIED

    @staticmethod
    def send_half(job, client, answer, worker=0):
        """Half of its slice to the last ps; returns when it has arrived there."""
        TestRefused.send_head(job, client, answer)
        stream = next(
            each for each in reversed(job.sessions) if each.worker == worker and each.ps == each.num_ps - 1
        )
        half = stream.staging.size // 2
        stream.staging[...] = 7
        request = pb.WorkRequest(call=client.last_call, push=job.message(answer, 1))
        client.streams[-1].send(Frame(request, 0, np.ones(half, np.float32).view(np.uint8).data))
        until(lambda: (stream.staging[:half] == 1).all(), "the half has arrived")
        assert (stream.staging[half:] == 7).all()
        return stream, half


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_c20_more_workers_than_threads_end_with_an_error_that_says_so(monkeypatch, mode):
    monkeypatch.setattr(server_module, "MAX_CALLS", 2)
    with Calls(mode, 1, num_workers=3, start_timeout_s=0.1) as calls:
        _, second = together(calls)
        third = calls.client(2)
        begin = time.monotonic()
        with pytest.raises(
            distrib.ProtocolError, match=r"Worker 2: .*MAX_CALLS in distrib/ps/wire/grpc_options\.py"
        ):
            calls.register(third)
        assert time.monotonic() - begin < 3
        second[0].close()  # there is room now
        until(lambda: not calls.sequencer.members.is_alive(1), "it is gone")
        calls.register(third)


class TestC22:
    def test_a_message_over_the_limit_is_refused_with_both_numbers(self, job):
        client, _ = job.begun()
        client.streams[-1].send(Frame(pb.WorkRequest(call=9, last=True), 0, memoryview(bytes(8 << 20))))
        with pytest.raises(grpc.RpcError) as error:
            client.streams[-1].reply()
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        words = distrib.ps.client.stream.message_of(error.value)
        assert f"vs. {MAX_MESSAGE_BYTES})" in words
        assert "(83886" in words
        assert "MAX_MESSAGE_BYTES in distrib/ps/wire/grpc_options.py" in words
        client.disconnect()
        goes_on(job, client)

    def test_an_answer_over_the_limit_of_a_worker(self, job, monkeypatch):
        client, answer = job.begun()
        hand_over = WorkerSession.hand_over
        monkeypatch.setattr(
            WorkerSession,
            "hand_over",
            lambda self, values: (long if self.ps == self.num_ps - 1 else partial(hand_over, self))(values),
        )
        with pytest.raises(distrib.ProtocolError) as error:
            job.push(client, answer, 1)
        assert f"vs. {MAX_MESSAGE_BYTES})" in str(error.value)
        assert "(20000" in str(error.value)
        assert "MAX_MESSAGE_BYTES in distrib/ps/wire/grpc_options.py" in str(error.value)


def long(values):
    from distrib.ps.wire.codec import Chunk

    return [Chunk(0, memoryview(bytes(2_000_000)), True)]
