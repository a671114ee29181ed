"""The services beside a ps's own, asked as any client of gRPC asks them: health, and reflection."""

import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from distrib.ps.client.client import Client
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions

NAME = "distrib.ParameterServer"


@pytest.fixture
def server():
    with_token = Server("127.0.0.1:0", ServerOptions(token="of this run"))
    yield with_token
    with_token.close()


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as made:
        yield made


@pytest.mark.parametrize("service", ["", NAME])
def test_a_ps_is_healthy_until_its_job_has_ended(server, channel, service):
    stub = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service=service)
    assert stub.Check(asked, timeout=5).status == health_pb2.HealthCheckResponse.SERVING
    seen = stub.Watch(asked, timeout=10)
    assert next(seen).status == health_pb2.HealthCheckResponse.SERVING
    waiting = threading.Thread(target=server.wait)
    waiting.start()
    Client([f"127.0.0.1:{server.port}"], 0, token="of this run").stop()
    assert next(seen).status == health_pb2.HealthCheckResponse.NOT_SERVING
    waiting.join(5)
    assert not waiting.is_alive()


def test_the_health_of_what_it_does_not_serve_is_not_known(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(health_pb2.HealthCheckRequest(service="another"), timeout=5)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_describes_the_calls(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
    ]
    names, described = stub.ServerReflectionInfo(iter(asked), timeout=5)
    assert {service.name for service in names.list_services_response.service} == {
        NAME,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    (raw,) = described.file_descriptor_response.file_descriptor_proto
    (service,) = descriptor_pb2.FileDescriptorProto.FromString(raw).service
    assert [method.name for method in service.method] == ["Work", "Follow", "Stop", "Leave"]


def test_a_ps_ends_in_time_although_grpc_does_not(server, monkeypatch):
    """As it happens when a call that was no message is ended at the same moment."""
    stop, asked = server.grpc_server.stop, []

    def never_ends(grace):
        asked.append(grace)
        stop(None)
        return never

    never = threading.Event()
    monkeypatch.setattr(server.grpc_server, "stop", never_ends)
    begin = time.monotonic()
    server.close()
    assert time.monotonic() - begin < 2
    assert asked == [None]
    never.set()
