"""ClusterSpec and TF_CONFIG mean what TensorFlow means by them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrib
from distrib import ClusterSpec
from distrib.cluster.config import ClusterConfig, config_from_environment, config_from_text, hosts_of_cluster
from distrib.cluster.launch_options import LaunchOptions


def config(**fields):
    return config_from_text(json.dumps(fields))


def test_the_example_of_tensorflow():
    spec = ClusterSpec({"worker": ["w0:2222", "w1:2222", "w2:2222"], "ps": ["ps0:2222", "ps1:2222"]})
    assert spec.jobs == ["worker", "ps"]
    assert spec.num_tasks("worker") == 3
    assert spec.task_indices("ps") == [0, 1]
    assert spec.task_address("ps", 1) == "ps1:2222"
    assert spec.job_tasks("ps") == ["ps0:2222", "ps1:2222"]
    assert spec.as_dict() == {"worker": ["w0:2222", "w1:2222", "w2:2222"], "ps": ["ps0:2222", "ps1:2222"]}
    assert repr(ClusterSpec({"worker": ["a:1"], "ps": {2: "b:1"}})) == (
        "ClusterSpec({'ps': {2: 'b:1'}, 'worker': ['a:1']})"
    )


def test_a_job_with_gaps():
    spec = ClusterSpec({"worker": {"3": "w3:1", 1: "w1:1"}, "ps": {0: "p:1"}, "evaluator": []})
    assert spec.num_tasks("worker") == 2
    assert spec.task_indices("worker") == [1, 3]
    assert spec.job_tasks("worker") == [None, "w1:1", None, "w3:1"]
    assert spec.as_dict() == {"worker": {1: "w1:1", 3: "w3:1"}, "ps": ["p:1"], "evaluator": {}}


def test_truth_equality_and_copies():
    spec = ClusterSpec({"worker": ["a:1", "b:1"]})
    assert not ClusterSpec({})
    assert spec
    assert spec == ClusterSpec(spec) == ClusterSpec({"worker": {0: "a:1", 1: "b:1"}})
    assert hash(spec) == hash(ClusterSpec(spec))
    assert spec != ClusterSpec({"worker": ["b:1", "a:1"]})
    spec.as_dict()["worker"].append("c:1")
    assert spec.num_tasks("worker") == 2


@pytest.mark.parametrize("method", ["num_tasks", "task_indices", "job_tasks"])
def test_no_such_job(method):
    with pytest.raises(distrib.ConfigError, match="No such job in cluster: 'ps'"):
        getattr(ClusterSpec({"worker": ["a:1"]}), method)("ps")


def test_no_such_task():
    with pytest.raises(ValueError, match="No task with index 1 in job 'worker'"):
        ClusterSpec({"worker": ["a:1"]}).task_address("worker", 1)


@pytest.mark.parametrize("cluster", [None, [], "a:1", {"worker": "a:1"}, {1: ["a:1"]}, {"worker": [1]}])
def test_no_cluster_at_all(cluster):
    with pytest.raises(distrib.ConfigError, match=r"^cluster"):
        ClusterSpec(cluster)


def test_no_tf_config():
    assert config_from_environment({}) is None
    assert config_from_environment({"TF_CONFIG": ""}) is None
    assert config_from_environment({"TF_CONFIG": "{}"}) == ClusterConfig()


def test_the_hosts_of_a_cluster():
    cluster = {"chief": ["h0:1"], "worker": {"3": "h3:1"}, "ps": ["h3:0", "[::1]:0"]}
    text = json.dumps({"cluster": cluster, "task": {"type": "ps", "index": 0}})
    assert hosts_of_cluster({"TF_CONFIG": text}) == ["h0", "h3", "::1"]
    assert hosts_of_cluster({}) == []
    with pytest.raises(distrib.ConfigError, match=r"^TF_CONFIG: cluster\.ps: expected a list"):
        hosts_of_cluster({"TF_CONFIG": '{"cluster": {"ps": 1}}'})


def test_what_we_do_not_know_is_ignored():
    found = config(
        cluster={"worker": ["a:1"]},
        task={"type": "worker", "index": 0, "cloud": "x"},
        environment="cloud",
        rpc_layer="grpc",
        session_master="grpc://a:1",
        job={"job_name": "x"},
    )
    expected = ClusterConfig(ClusterSpec({"worker": ["a:1"]}), "worker", 0, "cloud", "grpc")
    assert found == expected


@pytest.mark.parametrize(
    "cluster", [{}, {"chief": ["a:1"]}, {"evaluator": ["e:1"]}, {"worker": ["a:1", "b:1"]}]
)
def test_an_evaluator_is_in_the_cluster_or_not(cluster):
    found = config(cluster=cluster, task={"type": "evaluator", "index": 0})
    assert (found.task_type, found.task_id) == ("evaluator", 0)


def test_the_index_may_be_digits_and_may_be_left_out_where_there_is_one_task():
    cluster = {"chief": ["a:1"], "worker": {"4": "b:1"}}
    assert config(cluster=cluster, task={"type": "worker", "index": "4"}).task_id == 4
    assert config(cluster=cluster, task={"type": "worker"}).task_id == 4
    assert config(cluster=cluster, task={"type": "chief"}).task_id == 0
    assert config(task={"type": "chief", "index": 0}).task_id == 0


def test_kubeflow_tells_a_dynamic_worker_itself_and_the_ps():
    worker = config(
        sparseCluster={"worker": {"3": "w3:1"}, "ps": ["p0:1", "p1:1"]}, task={"type": "worker", "index": 3}
    )
    assert worker.cluster.job_tasks("worker")[3] == "w3:1"
    ps = config(sparseCluster={"worker": {}, "ps": ["p1:1"]}, task={"type": "ps", "index": 1})
    assert ps.task_id == 1
    assert ps.cluster.task_address("ps", 1) == "p1:1"


def test_addresses_of_every_kind():
    names = ["h:1", "h-1.example.com:65535", "a_b:80", "10.0.0.1:22", "[::1]:2222", "[fe80::1]:1", "1a:1"]
    assert config(cluster={"worker": names}).cluster.job_tasks("worker") == names


def test_port_0_may_be_there_often():
    free = {
        "chief": ["localhost:0"],
        "worker": ["localhost:0"] * 2,
        "ps": ["localhost:0"],
        "evaluator": ["localhost:0"],
    }
    assert config(cluster=free).cluster.num_tasks("worker") == 2


def test_launch_options():
    workers, around_ps = {"worker": ["a:1"]}, {"chief": ["a:1"], "ps": ["b:1"]}
    assert config(cluster=workers).launch == LaunchOptions("mirrored")
    assert config(cluster=around_ps).launch == LaunchOptions("ps-sync")
    assert config(cluster=around_ps, launch={"strategy": "ps-async"}).launch.strategy == "ps-async"
    text = """
        [cluster]
        worker = ["a:1", "b:1"]
        [launch]
        strategy = "central_storage"
        python = "/opt/venv/bin/python"
        workdir = "/srv/job"
        env = { OMP_NUM_THREADS = "1" }
        ssh_options = ["-p", "2222"]
        ps_arguments = ["--no-shared-memory"]
        mpirun_options = ["--bind-to", "none"]
    """
    assert config_from_text(text, "toml").launch == LaunchOptions(
        "central_storage",
        "/opt/venv/bin/python",
        "/srv/job",
        {"OMP_NUM_THREADS": "1"},
        ("-p", "2222"),
        ("--no-shared-memory",),
        ("--bind-to", "none"),
    )


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.text(LETTERS, min_size=1, max_size=8)
HOSTS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=3).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)


@st.composite
def clusters(draw):
    """A valid cluster as TensorFlow's dict, with gaps or without, and the number of its tasks."""
    sizes = {
        "chief": draw(st.integers(0, 1)),
        "worker": draw(st.integers(0, 5)),
        "ps": draw(st.integers(0, 3)),
        "evaluator": draw(st.integers(0, 1)),
    }
    if not sizes["chief"]:
        sizes["worker"] = max(1, sizes["worker"])
    ports = iter(draw(st.lists(st.integers(1, 65535), min_size=10, max_size=10, unique=True)))
    cluster = {}
    for job in draw(st.permutations([job for job, size in sizes.items() if size])):
        addresses = [f"{draw(HOSTS)}:{next(ports)}" for _ in range(sizes[job])]
        if job in ("worker", "ps") and draw(st.booleans()):
            indices = draw(
                st.lists(st.integers(0, 99), min_size=sizes[job], max_size=sizes[job], unique=True)
            )
            cluster[job] = dict(zip(indices, addresses, strict=True))
        else:
            cluster[job] = addresses
    return cluster


def toml(cluster):
    lines = ["[cluster]"]
    for job, tasks in cluster.items():
        if isinstance(tasks, dict):
            entries = ", ".join(f'"{index}" = {json.dumps(address)}' for index, address in tasks.items())
            lines.append(f"{job} = {{ {entries} }}")
        else:
            lines.append(f"{job} = {json.dumps(tasks)}")
    return "\n".join(lines)


@given(clusters())
def test_a_cluster_survives_json_toml_and_as_dict(cluster):
    spec = ClusterSpec(cluster)
    assert config_from_text(json.dumps({"cluster": cluster})).cluster == spec
    assert config_from_text(json.dumps({"cluster": spec.as_dict()})).cluster == spec
    assert config_from_text(toml(cluster), "toml").cluster == spec
    assert config_from_text(toml(spec.as_dict()), "toml").cluster == spec
    assert ClusterSpec(spec.as_dict()) == spec
    for job, tasks in cluster.items():
        pairs = tasks.items() if isinstance(tasks, dict) else enumerate(tasks)
        assert sorted(pairs) == [(index, spec.task_address(job, index)) for index in spec.task_indices(job)]
        assert spec.num_tasks(job) == len(tasks)
