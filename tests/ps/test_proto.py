"""The protocol is written down: each message, field and value of it, and each status of an answer."""

import re

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from helpers.mpi import ROOT

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
    code = (ROOT / "distrib" / "ps" / "servicer.py").read_text()
    service = (ROOT / "protos" / PROTO).read_text().partition("service ParameterServer")
    always = set(re.findall(r"^// ([A-Z_]+): .+\.$", service[0], re.M))
    bodies = dict(re.findall(r"    def (\w+)\((.*?)(?=\n    def |\n\n\n)", code, re.S))
    calls = re.findall(r"((?:  //.*\n)+)  rpc (\w+)", service[2])
    assert [method for _, method in calls] == ["Work", "Follow", "Stop", "Leave"]
    said = set(re.findall(r"StatusCode\.(\w+)", bodies["_authorize"]))
    for comment, method in calls:
        answered = set(re.findall(r"StatusCode\.(\w+)", bodies[method]))
        written = set(re.findall(r"^  // ([A-Z_]+): .+\.$", comment, re.M))
        assert answered - written == set(), f"{method} answers with what the proto does not explain"
        assert written - answered <= BY_GRPC, f"the proto explains what {method} never answers with"
        said |= answered
    assert said == set(re.findall(r"StatusCode\.(\w+)", code)), "a status of no call"
    assert always - BY_GRPC == {"UNAUTHENTICATED"}
