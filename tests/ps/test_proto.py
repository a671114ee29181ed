"""The protocol is written down: each message, field and value of it, and each status of an answer."""

import json
import os
import re
import subprocess
import sys
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from helpers.mpi import ROOT
from helpers.ps_calls import Calls

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.stream import Stream
from distrib.ps.wire import codec

PROTO = "distrib/proto/parameter_server.proto"
BY_GRPC = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED"}
"""What gRPC answers by itself."""


def described(tmp_path, text):
    """The descriptor of a proto with its comments."""
    (tmp_path / "it.proto").write_text(text)
    out = tmp_path / "set"
    arguments = ["", f"-I{tmp_path}", "--include_source_info", f"--descriptor_set_out={out}", "it.proto"]
    assert protoc.main(arguments) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]


def uncommented(file):
    """The names of all that has no sentence above it."""
    comments = {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}
    things = {}
    for number, message in enumerate(file.message_type):
        things[4, number] = message.name
        for index, field in enumerate(message.field):
            things[4, number, 2, index] = f"{message.name}.{field.name}"
        for index, choice in enumerate(message.oneof_decl):
            if not choice.name.startswith("_"):  # made for `optional`
                things[4, number, 8, index] = f"{message.name}.{choice.name}"
    for number, enum in enumerate(file.enum_type):
        things[5, number] = enum.name
        for index, value in enumerate(enum.value):
            things[5, number, 2, index] = f"{enum.name}.{value.name}"
    for number, service in enumerate(file.service):
        things[6, number] = service.name
        for index, method in enumerate(service.method):
            things[6, number, 2, index] = f"{service.name}.{method.name}"
    assert len(things) > 3
    return [
        name for path, name in things.items() if not re.match(r"[A-Z`].*\.$", comments.get(path, ""), re.S)
    ]


def test_everything_has_a_sentence(tmp_path):
    assert uncommented(described(tmp_path, (ROOT / "protos" / PROTO).read_text())) == []


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("  // Who pushed.", "PushId.worker"),
        ("  // There was none.", "Decision.NOTHING"),
        ("// Names a push.", "PushId"),
        ("  // What is to be done.", "FollowReply.entry"),
    ],
)
def test_what_lacks_one_is_found(tmp_path, line, missing):
    text = (ROOT / "protos" / PROTO).read_text()
    assert uncommented(described(tmp_path, text.replace(line, ""))) == [missing]


def test_every_status_has_a_sentence_at_the_call_that_answers_with_it(tmp_path):
    code, following = [
        (ROOT / "distrib" / "ps" / "server" / f"{name}.py").read_text()
        for name in ("servicer", "replication/follow_service")
    ]
    service = (ROOT / "protos" / PROTO).read_text().partition("service ParameterServer")
    always = set(re.findall(r"^// ([A-Z_]+): .+\.$", service[0], re.M))
    bodies = dict(re.findall(r"    def (\w+)\((.*?)(?=\n    def |\n\n\n)", code, re.S))
    bodies["Follow"] += following
    refusals = (ROOT / "distrib" / "ps" / "policy" / "errors.py").read_text()
    names = grpc.StatusCode.__members__
    bodies["Work"] += "".join(
        f"StatusCode.{each} " for each in re.findall(r'"([A-Z_]+)"', refusals) if each in names
    )
    code += bodies["Work"]
    calls = re.findall(r"((?:  //.*\n)+)  rpc (\w+)", service[2])
    assert [method for _, method in calls] == ["Work", "Follow", "Stop", "Leave"]
    said = set(re.findall(r"StatusCode\.(\w+)", bodies["_authorize"]))
    for comment, method in calls:
        answered = set(re.findall(r"StatusCode\.(\w+)", bodies[method]))
        written = set(re.findall(r"^  // ([A-Z_]+): .+\.$", comment, re.M))
        assert answered - written == set(), f"{method} answers with what the proto does not explain"
        assert written - answered <= BY_GRPC, f"the proto explains what {method} never answers with"
        said |= answered
    assert said == set(re.findall(r"StatusCode\.(\w+)", code + following)), "a status of no call"
    assert always - BY_GRPC == {"UNAUTHENTICATED"}


OTHER_VERSION = """
import distrib
from distrib.ps.wire import codec

codec.PROTOCOL += {step}
with distrib.ParameterServerStrategy().scope():
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.fit([[0.0, 1.0]], [[1.0]], verbose=0)
"""


def test_a_worker_of_another_version_ends_with_76_and_the_job_goes_on(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(OTHER_VERSION.format(step=-1))
    with Calls("async", 1, num_workers=2, start_timeout_s=0.1) as job:
        client, answer = job.begun()
        cluster = {"chief": ["x:0"], "worker": ["x:0"], "ps": job.addresses}
        config = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
        ended = subprocess.run(
            [sys.executable, "-m", "distrib.launch.task.entrypoint", script],
            env={**os.environ, "TF_CONFIG": json.dumps(config)},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert ended.returncode == 76
        mine = codec.PROTOCOL
        words = (
            f"Worker 1: ProtocolError: Expected a greeting in version {mine} of the protocol. Received: hello in "
            f"version {mine - 1}. All processes need the same distrib."
        )
        assert words in ended.stderr
        assert job.push(client, answer, 1).decision == pb.APPLIED
        job.has_version(1)


@pytest.mark.parametrize("step", [-1, 1])
def test_a_worker_of_an_older_or_newer_version_is_refused_at_once(step, monkeypatch):
    with Calls("sync", 1) as job:
        client = job.client()
        monkeypatch.setattr(codec, "PROTOCOL", codec.PROTOCOL + step)
        send = Stream.send

        def send_and_go_back(self, request):
            send(self, request)
            monkeypatch.undo()

        monkeypatch.setattr(Stream, "send", send_and_go_back)
        begin = time.monotonic()
        with pytest.raises(distrib.ProtocolError, match="All processes need the same distrib"):
            job.register(client)
        assert time.monotonic() - begin < 1 + 2
        job.register(client)
