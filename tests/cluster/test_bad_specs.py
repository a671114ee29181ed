"""Invalid cluster specs: each is refused with the path of the wrong field, before anything is started."""

import json
import socket
import time

import pytest

from distrib.base.errors import ConfigError, exit_code_of
from distrib.cluster.config import config_from_environment, config_from_text, read_config

WORKERS = {"worker": ["h1:2222", "h2:2222"]}
AROUND_PS = {"chief": ["h0:2222"], "worker": ["h1:2222"], "ps": ["h2:2222"]}

BAD_ADDRESSES = [
    "",
    " ",
    "h1",
    "h1:",
    ":2222",
    ":",
    "h1:abc",
    "h1:70000",
    "h1:65536",
    "h1:-1",
    "h1:+1",
    "h1:1.5",
    "h1:02222",
    "h1:99999999999999999999",
    "h1:2222:3333",
    "h1: 2222",
    "h1 :2222",
    " h1:2222",
    "h1:2222 ",
    "h1:2222\n",
    "h1:2222\x00",
    "h1\x1b[2J:2222",
    "h1:٢٢٢٢",
    "::1:2222",
    "[::1]",
    "[::1]2222",
    "[::g]:2222",
    "[]:2222",
    "[h1]:2222",
    "[fe80::1%eth0]:2222",
    "256.1.1.1:2222",
    "1.2.3:2222",
    "h1..h2:2222",
    ".h1:2222",
    "h1.:2222",
    "-h1:2222",
    "-oProxyCommand=touch:2222",
    "h1;touch x:2222",
    "$(touch x):2222",
    "h1/h2:2222",
    "grpc://h1:2222",
    "root@h1:2222",
    "hé:2222",
    "h" * 64 + ":2222",
    ".".join(["h" * 60] * 5) + ":2222",
    "h" * 100_000,
    1,
    None,
    True,
    [],
    {},
    ["h1:2222"],
]

BAD = [
    # the whole
    ("$", []),
    ("$", "worker"),
    ("$", None),
    ("$", 1),
    # cluster
    ("cluster", {"cluster": None}),
    ("cluster", {"cluster": []}),
    ("cluster", {"cluster": "h1:2222"}),
    ("cluster", {"cluster": {"ps": ["h1:2222"]}}),
    ("cluster", {"cluster": {"worker": []}}),
    ("cluster", {"cluster": {"chief": [], "worker": {}, "ps": ["h1:2222"]}}),
    ("cluster", {"cluster": {"evaluator": ["h1:2222"]}}),
    ("cluster", {"cluster": {"evaluator": ["h1:2222"]}, "task": {"type": "chief"}}),
    ("cluster.master", {"cluster": {"master": ["h1:2222"]}}),
    ("cluster.workers", {"cluster": {"workers": ["h1:2222"]}}),
    ("cluster.Worker", {"cluster": {"Worker": ["h1:2222"]}}),
    ("cluster.localhost", {"cluster": {**WORKERS, "localhost": []}}),
    ("cluster.tpu_worker", {"cluster": {**WORKERS, "tpu_worker": ["h1:1"]}}),
    ("cluster", {"cluster": {**WORKERS, "": ["h1:1"]}}),
    ("cluster", {"cluster": {**WORKERS, "a\nb": ["h1:1"]}}),
    ("cluster.worker", {"cluster": {"worker": "h1:2222"}}),
    ("cluster.worker", {"cluster": {"worker": 2}}),
    ("cluster.worker", {"cluster": {"worker": None}}),
    ("cluster.chief", {"cluster": {"chief": ["h1:2222", "h2:2222"]}}),
    ("cluster.chief", {"cluster": {"chief": {"1": "h1:2222"}}}),
    ("cluster.evaluator", {"cluster": {**WORKERS, "evaluator": ["h1:1", "h2:1"]}}),
    ("cluster.evaluator", {"cluster": {**WORKERS, "evaluator": {"2": "h1:1"}}}),
    ("cluster.worker[1]", {"cluster": {"worker": ["h1:2222", "h1:2222"]}}),
    ("cluster.worker[1]", {"cluster": {"worker": ["h1:2222", "H1:2222"]}}),
    ("cluster.worker[1]", {"cluster": {"worker": ["[::1]:2222", "[0:0::1]:2222"]}}),
    ("cluster.ps[0]", {"cluster": {**WORKERS, "ps": ["h1:2222"]}}),
    ("cluster.evaluator[0]", {"cluster": {**WORKERS, "evaluator": ["h2:2222"]}}),
    ("cluster.worker[3]", {"cluster": {"worker": {"1": "h1:2222", "3": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"x": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"-1": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"1.0": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"1000000": "h1:2222"}}}),
    ("cluster.worker: index of a task", {"cluster": {"worker": {"9" * 5000: "h1:2222"}}}),
    ("cluster.worker[1]", {"cluster": {"worker": {"1": "h1:2222", "01": "h2:2222"}}}),
    ("cluster.worker[7]", {"cluster": {"worker": {"7": "h1"}}}),
    ("sparseCluster.worker[7]", {"sparseCluster": {"worker": {"7": "h1"}}}),
    ("sparseCluster.worker", {"sparseCluster": {"worker": "h1:1"}}),
    ("sparseCluster", {"sparseCluster": []}),
    ("sparseCluster", {"sparseCluster": WORKERS, "cluster": WORKERS}),
    ("cluster.ps[0]", {"cluster": {**WORKERS, "ps": ["h3:0"]}, "task": {"type": "worker", "index": 0}}),
    # task
    ("task", {"cluster": WORKERS, "task": None}),
    ("task", {"cluster": WORKERS, "task": []}),
    ("task", {"cluster": WORKERS, "task": "worker"}),
    ("task.type", {"cluster": WORKERS, "task": {"type": 1}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": ""}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": "Worker", "index": 0}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": "master", "index": 0}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": "chief", "index": 0}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": "ps", "index": 0}}),
    ("task.type", {"cluster": WORKERS, "task": {"index": 0}}),
    ("task.type", {"cluster": WORKERS, "task": {"type": None, "index": 0}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker"}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": None}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": -1}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": 0.5}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": True}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": "one"}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": "²"}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": [0]}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "worker", "index": 10**100}}),
    ("task.index", {"cluster": AROUND_PS, "task": {"type": "chief", "index": 1}}),
    ("task.index", {"cluster": WORKERS, "task": {"type": "evaluator", "index": 1}}),
    ("task.index", {"cluster": {"worker": {"3": "h1:1"}}, "task": {"type": "worker", "index": 0}}),
    ("task.index", {"task": {"type": "worker", "index": 1}}),
    ("task.type", {"task": {"type": "ps", "index": 0}}),
    # what else TensorFlow knows
    ("environment", {"environment": 1}),
    ("environment", {"environment": ["cloud"]}),
    ("rpc_layer", {"rpc_layer": {"grpc": True}}),
    # launch
    ("launch", {"cluster": WORKERS, "launch": None}),
    ("launch", {"cluster": WORKERS, "launch": ["mirrored"]}),
    ("launch.strategies", {"cluster": WORKERS, "launch": {"strategies": "mirrored"}}),
    ("launch.np", {"cluster": WORKERS, "launch": {"np": 2}}),
    ("launch.strategy", {"cluster": WORKERS, "launch": {"strategy": "Mirrored"}}),
    ("launch.strategy", {"cluster": WORKERS, "launch": {"strategy": 1}}),
    ("launch.strategy", {"cluster": WORKERS, "launch": {"strategy": "ps-sync"}}),
    ("launch.strategy", {"cluster": AROUND_PS, "launch": {"strategy": "mirrored"}}),
    ("launch.strategy", {"cluster": WORKERS, "launch": {"strategy": "default"}}),
    ("launch.python", {"cluster": WORKERS, "launch": {"python": ["python3"]}}),
    ("launch.python", {"cluster": WORKERS, "launch": {"python": ""}}),
    ("launch.workdir", {"cluster": WORKERS, "launch": {"workdir": 1}}),
    ("launch.workdir", {"cluster": WORKERS, "launch": {"workdir": "/a\nb"}}),
    ("launch.env", {"cluster": WORKERS, "launch": {"env": ["A=1"]}}),
    ("launch.env", {"cluster": WORKERS, "launch": {"env": {"A=B": "1"}}}),
    ("launch.env", {"cluster": WORKERS, "launch": {"env": {"": "1"}}}),
    ("launch.env.A", {"cluster": WORKERS, "launch": {"env": {"A": 1}}}),
    ("launch.env.A", {"cluster": WORKERS, "launch": {"env": {"A": "\0"}}}),
    ("launch.env.TF_CONFIG", {"cluster": WORKERS, "launch": {"env": {"TF_CONFIG": "{}"}}}),
    ("launch.ssh_options", {"cluster": WORKERS, "launch": {"ssh_options": "-p 22"}}),
    ("launch.ssh_options[1]", {"cluster": WORKERS, "launch": {"ssh_options": ["-p", 22]}}),
    ("launch.ps_arguments[0]", {"cluster": AROUND_PS, "launch": {"ps_arguments": [None]}}),
    ("launch.mpirun_options[0]", {"cluster": WORKERS, "launch": {"mpirun_options": ["\n"]}}),
]

NOT_JSON = [
    "{",
    "worker",
    "{'cluster': {}}",
    '{"cluster": {}',
    '{"cluster": {}, "cluster": {}}',
    "[" * 10**5,
    "\0",
]
NOT_TOML = [
    "[cluster",
    "worker",
    "[cluster]\n[cluster]",
    "a = " + "[" * 10**5,
    "cluster.worker = h1:2222",
    "\0",
]


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch):
    """D1: it is refused before any socket is made."""

    def refuse(*arguments, **named):
        raise AssertionError("a socket")

    for name in ("socket", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


def refused(text, format="json"):
    """The message, after checks that hold for all of them."""
    begin = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        config_from_text(text, format)
    assert time.monotonic() - begin < 3
    assert exit_code_of(caught.value) == 64
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(("path", "config"), BAD, ids=lambda value: str(value)[:60])
def test_the_message_begins_with_the_field(path, config):
    message = refused(json.dumps(config))
    assert message.startswith(f"{path}: ")
    assert "expected" in message
    assert "Received: " in message


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=lambda value: ascii(value)[:60])
def test_no_address(address):
    message = refused(json.dumps({"cluster": {"chief": ["h0:2222"], "worker": ["h1:1", address]}}))
    assert message.startswith("cluster.worker[1]: expected ")


@pytest.mark.parametrize("text", NOT_JSON, ids=lambda text: ascii(text)[:30])
def test_not_json(text):
    assert refused(text).startswith("The cluster is not JSON: ")


@pytest.mark.parametrize("text", NOT_TOML, ids=lambda text: ascii(text)[:30])
def test_not_toml(text):
    assert refused(text, "toml").startswith("The cluster is not TOML: ")


def test_a_large_text():
    assert "at most 1048576 characters. Received: 10000000" in refused("[" * 10_000_000)


def test_the_message_says_where_the_text_is_from(tmp_path):
    bad = '{"cluster": {"worker": ["h1:1", "h2"]}}'
    with pytest.raises(
        ConfigError, match=r'^TF_CONFIG: cluster\.worker\[1\]: expected "host:port"\. Received: "h2"\.'
    ):
        config_from_environment({"TF_CONFIG": bad})
    file = tmp_path / "cluster.json"
    file.write_text(bad)
    with pytest.raises(ConfigError, match=r"cluster\.json: cluster\.worker\[1\]: expected "):
        read_config(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.toml", None, "No such file"),
        ("folder.toml", "folder", "Is a directory"),
        ("cluster.yaml", b"", r"expected a \.toml or \.json file"),
        ("cluster", b"", r"expected a \.toml or \.json file"),
        ("cluster.toml", b"\xff", "cannot be read: 'utf-8'"),
        ("cluster.toml", b"", "cluster: expected at least one task"),
        ("cluster.json", b"{}", "cluster: expected at least one task"),
        ("cluster.json", b" " * 10_000_000, "at most 1048576 characters"),
        ("nul\0.json", None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_cluster(tmp_path, name, content, message):
    file = tmp_path / name
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config(file)
