"""Who a process is: the first source that knows answers, and what a strategy makes of it."""

import json

import pytest

import distrib
from distrib.cluster.resolve import ALONE, resolve
from distrib.cluster_resolver import (
    MPIClusterResolver,
    SimpleClusterResolver,
    Task,
    TFConfigClusterResolver,
)

ALL = distrib.ClusterSpec(
    {"chief": ["h0:1"], "worker": ["h1:1", "h2:1"], "ps": ["h3:1", "h4:1"], "evaluator": ["h5:1"]}
)
WORKERS = distrib.ClusterSpec({"worker": ["h0:1", "h1:1"]})
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}


def tf_config(cluster, *task):
    task = {"task": dict(zip(("type", "index"), task, strict=True))} if task else {}
    return {"TF_CONFIG": json.dumps({"cluster": cluster.as_dict(), **task})}


@pytest.fixture
def environ(monkeypatch):
    """A function that sets variables for this test."""

    def set_(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_


@pytest.mark.parametrize(
    ("type", "index", "worker", "is_chief"),
    [("chief", 0, 0, True), ("worker", 0, 1, False), ("worker", 1, 2, False)],
)
def test_the_chief_is_worker_0(type, index, worker, is_chief):
    task = resolve(SimpleClusterResolver(ALL, "", type, index))
    assert (task.worker, task.is_chief, task.num_workers) == (worker, is_chief, 3)
    assert task.ps == ("h3:1", "h4:1")
    assert str(task) == f"{type}:{index}"


def test_without_a_chief_worker_0_is_it():
    assert [resolve(SimpleClusterResolver(WORKERS, "", "worker", i)).is_chief for i in range(2)] == [
        True,
        False,
    ]


def test_workers_with_gaps_are_numbered_in_their_order_and_the_lowest_is_chief():
    gaps = distrib.ClusterSpec({"worker": {4: "h4:1", 1: "h1:1", 9: "h9:1"}})
    tasks = [resolve(SimpleClusterResolver(gaps, task_type="worker", task_id=index)) for index in (1, 4, 9)]
    assert [(task.worker, task.is_chief, task.num_workers) for task in tasks] == [
        (0, True, 3),
        (1, False, 3),
        (2, False, 3),
    ]
    after_a_chief = distrib.ClusterSpec({"chief": ["h0:1"], **gaps.as_dict()})
    last = resolve(SimpleClusterResolver(after_a_chief, task_type="worker", task_id=9))
    assert (last.worker, last.is_chief, last.num_workers) == (3, False, 4)


def test_nobody_trains_by_a_cluster_that_lacks_workers(environ):
    sparse = {"worker": {"3": "h3:1"}, "ps": ["h9:1", "h8:1"]}
    environ(TF_CONFIG=json.dumps({"sparseCluster": sparse, "task": {"type": "worker", "index": 3}}))
    assert TFConfigClusterResolver().cluster_spec().task_indices("worker") == [3]
    for source, resolver in (("TF_CONFIG", None), ("TFConfigClusterResolver", TFConfigClusterResolver())):
        with pytest.raises(distrib.ConfigError, match=rf"^{source}: sparseCluster: expected `cluster`, with"):
            resolve(resolver)
    environ(TF_CONFIG=json.dumps({"sparseCluster": {"ps": ["h8:1"]}, "task": {"type": "ps", "index": 1}}))
    assert str(resolve()) == "ps:1"


@pytest.mark.parametrize("type", ["ps", "evaluator"])
def test_a_ps_and_an_evaluator_are_not_the_chief(type):
    assert not resolve(SimpleClusterResolver(ALL, "", type, 0)).is_chief


def test_the_first_source_that_knows_answers(tmp_path):
    file = tmp_path / "cluster.json"
    file.write_text(tf_config(ALL, "worker", 0)["TF_CONFIG"])
    environ = {**OPEN_MPI}
    assert str(resolve(environ={})) == "worker:0"
    assert resolve(environ={}) == ALONE
    launched = resolve(environ=environ)
    assert (launched.type, launched.index, launched.num_workers) == ("worker", 1, 2)
    environ |= tf_config(ALL, "ps", 1)
    assert resolve(environ=environ) == Task("ps", 1, ALL)
    environ["DISTRIB_CLUSTER_FILE"] = str(file)
    assert resolve(environ=environ) == Task("worker", 0, ALL)
    assert resolve(SimpleClusterResolver(ALL, "", "chief"), environ) == Task("chief", 0, ALL)


@pytest.mark.parametrize(
    "variables",
    [
        {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"},
        {"PMI_RANK": "2", "PMI_SIZE": "3"},
        {"PMIX_RANK": "2"},
    ],
)
def test_a_cluster_without_a_task_is_for_the_ranks_in_order(variables):
    assert resolve(environ={**tf_config(ALL), **variables}) == Task("worker", 1, ALL)
    chief = {**variables, next(iter(variables)): "0"}
    assert resolve(environ={**tf_config(ALL), **chief}) == Task("chief", 0, ALL)


def test_other_ranks_than_workers():
    with pytest.raises(distrib.ConfigError, match=r"^TF_CONFIG: cluster: .* each of 2 ranks .* Received: 3"):
        resolve(environ={**tf_config(ALL), **OPEN_MPI})
    with pytest.raises(distrib.ConfigError, match=r"^TF_CONFIG: cluster: "):
        resolve(environ={**tf_config(WORKERS), "PMIX_RANK": "2"})


def test_a_cluster_without_a_task_and_without_ranks():
    with pytest.raises(distrib.ConfigError, match=r"^TF_CONFIG: task: expected the type and index"):
        resolve(environ=tf_config(ALL))


def test_a_file_that_is_not_there():
    with pytest.raises(distrib.ConfigError, match=r"^/nowhere\.toml: cannot be read"):
        resolve(environ={"DISTRIB_CLUSTER_FILE": "/nowhere.toml"})


@pytest.mark.parametrize("rank", ["", "one", "-1"])
def test_a_rank_that_is_none(rank):
    with pytest.raises(distrib.ConfigError, match=r"^PMI_RANK: expected an integer"):
        resolve(environ={"PMI_RANK": rank, "PMI_SIZE": "2"})


@pytest.mark.parametrize(
    ("cluster", "task", "path"),
    [
        ({"worker": ["h1"]}, ("worker", 0), r"cluster\.worker\[0\]"),
        ({"ps": ["h1:1"]}, ("chief", 0), "cluster"),
        ({"worker": ["h1:1"]}, ("chief", 0), r"task\.type"),
        ({"worker": ["h1:1"]}, ("worker", 1), r"task\.index"),
        ({"worker": ["h1:1"]}, (), "task_type"),
    ],
)
def test_a_resolver_that_cannot_be_right(cluster, task, path):
    with pytest.raises(distrib.ConfigError, match=rf"^SimpleClusterResolver: {path}: expected"):
        resolve(SimpleClusterResolver(distrib.ClusterSpec(cluster), "", *task))


def test_the_resolver_of_tf_config(environ):
    assert resolve(TFConfigClusterResolver()) == ALONE
    environ(**tf_config(ALL, "worker", 1))
    resolver = TFConfigClusterResolver()
    assert (resolver.task_type, resolver.task_id, resolver.rpc_layer) == ("worker", 1, None)
    assert resolver.cluster_spec() == ALL
    assert resolve(TFConfigClusterResolver("ps", 0)) == Task("ps", 0, ALL)


def test_the_resolver_of_mpi(environ):
    with pytest.raises(distrib.ConfigError, match="mpirun or srun"):
        MPIClusterResolver()
    environ(PMI_RANK="1", PMI_SIZE="3")
    resolver = MPIClusterResolver()
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
    assert resolver.cluster_spec().num_tasks("worker") == 3
    assert resolve(resolver) == resolve()


def test_alone_the_strategy_is_the_default_one():
    assert isinstance(distrib.strategy_from_cluster(), distrib.DefaultStrategy)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_around_ps_it_is_parameter_server(environ, mode):
    environ(DISTRIB_STRATEGY=f"ps-{mode}", **tf_config(ALL, "worker", 1))
    strategy = distrib.strategy_from_cluster()
    try:
        assert isinstance(strategy, distrib.ParameterServerStrategy)
        assert (strategy.replica_id, strategy.num_replicas_in_sync, strategy.is_chief) == (2, 3, False)
        assert strategy.rules.mode == mode
    finally:
        strategy.close()


@pytest.mark.parametrize("name", ["", "mirrored", "ps-async", "central_storage"])
def test_an_evaluator_is_alone(environ, name):
    environ(DISTRIB_STRATEGY=name, **tf_config(ALL, "evaluator", 0))
    assert isinstance(distrib.strategy_from_cluster(), distrib.DefaultStrategy)
    for strategy in (distrib.MirroredStrategy(), distrib.ParameterServerStrategy(num_backup_workers=1)):
        assert strategy.gather_bytes(b"alone") == [b"alone"]
    assert not strategy.is_chief


def test_an_evaluator_does_not_train_with_parameter_servers(environ):
    environ(**tf_config(ALL, "evaluator", 0))
    strategy = distrib.ParameterServerStrategy()
    with strategy.scope():
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
        model.compile("sgd", "mse")
    with pytest.raises(distrib.ConfigError, match="The evaluator expects fit"):
        model.fit([[0.0, 0.0]], [[0.0]], verbose=0)
    strategy.close()


@pytest.mark.parametrize(
    "strategy",
    [distrib.strategy_from_cluster, distrib.MirroredStrategy, distrib.CentralStorageStrategy],
)
def test_workers_that_mpi_did_not_start_do_not_train_alone(environ, strategy):
    environ(**tf_config(WORKERS, "worker", 0))
    with pytest.raises(distrib.ConfigError, match=r"has 2 workers .* no MPI launcher .* mpirun -n 2"):
        strategy()
    environ(PMI_RANK="0", PMI_SIZE="3")
    with pytest.raises(distrib.ConfigError, match=r"has 2 workers .* MPICH Hydra started 3"):
        strategy()


def test_a_ps_that_runs_the_script_listens_where_the_cluster_says(environ):
    environ(**tf_config(ALL, "ps", 1))
    with pytest.raises(
        distrib.ConfigError, match=r"expects a loopback address.* Received: h4:1\..*--insecure"
    ):
        distrib.strategy_from_cluster()


def test_a_strategy_that_is_none(environ):
    environ(DISTRIB_STRATEGY="horovod")
    with pytest.raises(distrib.ConfigError, match=r"^DISTRIB_STRATEGY: expected one of mirrored, "):
        distrib.strategy_from_cluster()


def test_a_strategy_that_leaves_the_ps_alone(environ):
    environ(DISTRIB_STRATEGY="mirrored", **tf_config(ALL, "worker", 0))
    with pytest.raises(distrib.ConfigError, match=r"^DISTRIB_STRATEGY: expected ps-sync or ps-async"):
        distrib.strategy_from_cluster()
