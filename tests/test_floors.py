"""Imports go down and never in a circle, some libraries are imported in one module only, `__all__` is whole."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import distrib

PACKAGE = Path(distrib.__file__).parent
FRONT_DOORS = {"callbacks", "cluster_resolver", "datasets", "models", "train", "utils"}

# From the lowest floor to the highest. A module belongs to the longest name here that it is or lies in, and imports
# from lower floors only, or from its own entry. So the entries of one floor do not know each other.
FLOORS = [
    ["version", "base", "proto"],
    ["host"],
    # Gradients of NumPy functions.
    ["autodiff.recorder"],
    ["autodiff.structures"],
    ["autodiff.operations"],
    ["autodiff.rules"],
    ["autodiff.tensor"],
    ["autodiff.whole"],
    ["autodiff.dispatch", "autodiff.operand"],
    ["autodiff"],
    ["autodiff.backward"],
    ["autodiff.tape"],
    ["autodiff.custom"],
    # Alone on one process.
    ["data.pipeline.structure", "data.pipeline.spec", "data.pipeline.iteration", "data.pipeline.options"],
    ["data.pipeline.blocks", "data.pipeline.ahead"],
    ["data.pipeline.batch_blocks", "data.pipeline.sources"],
    ["data.pipeline.ordering"],
    ["data.pipeline.computing"],
    ["data.pipeline.batching", "data.pipeline.buffering"],
    ["data.pipeline.ordered"],
    ["data.pipeline.transformations"],
    ["data.pipeline", "data.pipeline.dataset"],
    ["cluster", "data", "io", "nn"],
    ["nn.graph.symbolic", "nn.layers.has_variables", "nn.layers.shapes"],
    ["nn.layers.has_nodes", "nn.layers.parts", "nn.layers.taped_call", "nn.layers.eager"],
    ["nn.layers.has_parts"],
    ["nn.layers.has_call"],
    ["nn.layers.layer"],
    ["nn.layers.activated_layer", "nn.graph.graph"],
    ["nn.layers.core", "nn.layers.reshaping", "nn.schedules", "nn.graph", "nn.losses"],
    ["nn.optimizers", "nn.metrics"],
    ["nn.objective"],
    ["nn.joint_objective"],
    ["nn.layers", "nn.network"],
    ["formats"],
    # Between ranks.
    ["comm", "comm.counters", "comm.reduce_op", "comm.liveness"],
    ["comm.messages"],
    ["comm.communicator"],
    ["comm.collectives"],
    ["comm.select", "comm.connect"],
    # Parameter servers.
    ["ps", "ps.policy", "ps.policy.errors", "ps.policy.identity"],
    ["ps.policy.admission"],
    ["ps.policy.order"],
    ["ps.policy.validation"],
    ["ps.wire"],
    ["ps.client", "ps.server"],
    # Replicas that train together.
    ["strategies", "strategies.scope", "strategies.options", "strategies.placement"],
    ["strategies.update"],
    ["strategies.ps_worker", "strategies.strategy", "strategies.mpi_job"],
    ["strategies.collective_strategy"],
    ["strategies.default", "strategies.mirrored", "strategies.central_storage"],
    ["strategies.named", "strategies.alone"],
    ["strategies.parameter_server"],
    ["strategies.from_cluster", "strategies.replica_context", "strategies.own_updates"],
    # The training loop.
    ["training.arguments.data_structure", "training.arguments.unsupported"],
    ["training.arguments"],
    ["training"],
    ["training.checkpoints.model_state", "training.checkpoints.own_optimizers"],
    ["training.checkpoints.keras_files"],
    ["training.interface"],
    ["training.checkpoints.objects"],
    ["training.checkpoints", "training.callbacks.callback"],
    ["training.callbacks"],
    ["training.evaluator", "training.loop"],
    ["training.model_files", "training.arguments.fit_plan"],
    ["training.model_layers", "training.model_config"],
    ["training.model"],
    ["training.sequential"],
    ["training.functional"],
    ["training.own_models.bases", "training.own_models.model_call", "training.own_models.structures"],
    ["training.own_models"],
    ["training.load_model", "training.serialization", "training.train_and_evaluate"],
    # What starts processes.
    ["launch"],
    ["launch.backends", "launch.task"],
    ["launch.settings", "launch.preflight"],
    ["launch.run"],
    ["callbacks", "cluster_resolver", "datasets", "models", "train", "utils"],
    ["tf.elementwise", "tf.config.devices", "tf.module"],
    ["tf.reductions", "tf.ordering", "tf.random"],
    ["keras"],
    ["tf.arrays", "tf.dtypes", "tf.linalg", "tf.nn", "tf.config", "tf.distribute", "tf.train", "tf.math"],
    ["keras.ops", "keras.random"],
    ["tf"],
    ["tf.compat.v1.graph", "tf.compat"],
    ["tf.compat.v1.variables"],
    ["tf.compat.v1.train"],
    ["tf.compat.v1.session"],
    ["tf.compat.v1"],
    ["testing.report", "testing.easy_data", "testing.replicas"],
    ["testing.subject"],
    ["testing.checks"],
    ["testing.check_model"],
    ["testing"],
    ["lab"],
    ["cli"],
    ["__init__", "__main__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def entry(module):
    """The entry of FLOORS that a module belongs to, by its name without the package's."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in FLOOR), None)


def module_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Line and full name of everything that a file imports, within functions and for annotations, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                path = PACKAGE.parent / name.replace(".", "/")
                is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
                yield node.lineno, name if is_module else node.module


def ours(path):
    """The modules of the package that a file imports, by line."""
    return [(line, name.partition(".")[2]) for line, name in imports(path) if name.startswith("distrib.")]


def upward(files):
    """What each of the files (path, module) should not import."""
    return [
        f"{module} line {line}: imports {name}"
        for path, module in files
        for line, name in ours(path)
        if entry(name) != entry(module) and FLOOR[entry(name)] >= FLOOR[entry(module)]
    ]


def circles(files):
    """The modules that import each other, directly or through others."""
    edges = {module: {name for _, name in ours(path)} for path, module in files}

    def reached(start):
        found, waiting = set(), list(edges.get(start, ()))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += edges.get(name, ())
        return found

    return sorted(module for module in edges if module in reached(module))


def sources():
    """Path and module of every file, but for generated ones."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name != "proto":
            yield path, module_of(path)


def test_imports_go_down():
    assert upward(sources()) == []


def test_every_file_has_a_floor():
    assert [module for _, module in sources() if module and entry(module) is None] == []


def test_nothing_imports_in_a_circle():
    assert circles(sources()) == []


def test_an_upward_import_is_found(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from distrib.strategies.strategy import Strategy\n")
    assert upward([(path, "nn.bad")]) == ["nn.bad line 1: imports strategies.strategy"]
    path.write_text("from distrib.io import event_file\n")
    assert upward([(path, "nn.bad")]) == ["nn.bad line 1: imports io.event_file"], "of the same floor"
    path.write_text("def late():\n    from distrib.comm.collectives.ring import RingCommunicator\n")
    assert upward([(path, "comm.messages.bad")]) == [
        "comm.messages.bad line 2: imports comm.collectives.ring"
    ]
    path.write_text("if TYPE_CHECKING:\n    from distrib.ps.server.node import Node\n")
    assert upward([(path, "ps.policy.order.bad")]) == ["ps.policy.order.bad line 2: imports ps.server.node"]


def test_a_circle_is_found(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("from distrib.two import b\n")
    two.write_text("if TYPE_CHECKING:\n    from distrib.one import a\n")
    assert circles([(one, "one"), (two, "two")]) == ["one", "two"]


def test_no_folder_is_too_full():
    """About 15 files side by side; those that hold the roles of one protocol may have some more."""
    counts = {
        folder.relative_to(PACKAGE).as_posix(): len(list(folder.glob("*.py")))
        for folder in [PACKAGE, *PACKAGE.rglob("*/")]
        if folder.name not in ("__pycache__", "proto")
    }
    assert {name: count for name, count in counts.items() if count > 17} == {}


def test_liveness_does_without_numpy_and_policies_without_io():
    """The liveness server is a small process of its own; a policy is driven by simulations."""
    forbidden = {
        "comm.liveness": {"numpy"},
        "ps.policy": {"grpc", "socket", "threading", "time", "os"},
    }
    for path, module in sources():
        for place, names in forbidden.items():
            if module.startswith(place):
                assert not names & {name.split(".")[0] for _, name in imports(path)}, module


def test_mpi_is_imported_in_one_module():
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.startswith("mpi4py")}
    assert users == {"connect.py"}


def test_tensorboard_is_imported_in_one_module():
    names = {"tensorboard", "tensorboardX"}
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.split(".")[0] in names}
    assert users == {"event_file.py"}


def test_pillow_is_imported_in_one_module():
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.split(".")[0] == "PIL"}
    assert users == {"pillow.py"}


def test_grpc_is_imported_by_what_talks():
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.split(".")[0] == "grpc"}
    talks = {
        "client.py",
        "follow_service.py",
        "follower.py",
        "goodbye.py",
        "server.py",
        "servicer.py",
        "stream.py",
        "tls.py",
    }
    assert users == talks


def test_files_stay_small():
    sizes = sorted(len(path.read_text().splitlines()) for path, _ in sources())
    assert sizes[len(sizes) // 2] <= 120
    # Model, with its documented arguments, is one concept.
    large = {path.name for path, _ in sources() if len(path.read_text().splitlines()) > 310}
    assert large <= {"model.py"}


def test_all_is_sorted_and_complete():
    assert distrib.__all__ == sorted(distrib.__all__)
    modules = [distrib, *(getattr(distrib, name) for name in FRONT_DOORS), distrib.layers, distrib.optimizers]
    for module in modules:
        names = module.__all__
        assert all(hasattr(module, name) for name in names)
    public = {name for name in vars(distrib) if not name.startswith("_")}
    floors = {name.split(".")[0] for name in FLOOR} - FRONT_DOORS
    assert public - floors == set(distrib.__all__) - {"__version__"}


def public_objects():
    for path, _ in sources():
        name = f"distrib.{module_of(path)}".removesuffix(".__init__")
        __import__(name)
        module = sys.modules[name]
        yield name, module
        for key, value in vars(module).items():
            if key.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{name}.{key}", value
            if inspect.isclass(value):
                for attribute, member in vars(value).items():
                    if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                        yield f"{name}.{key}.{attribute}", getattr(value, attribute)


def test_everything_public_has_a_docstring():
    assert [name for name, value in public_objects() if not inspect.getdoc(value)] == []


def test_import_is_light(tmp_path):
    program = (
        "import numpy, sys, time; begin = time.process_time(); import distrib; "
        "took = time.process_time() - begin; "
        "heavy = {'mpi4py', 'grpc', 'rich', 'tensorboardX', 'threadpoolctl', 'PIL'}; "
        "assert not heavy & set(sys.modules); print(took)"
    )
    # The first run compiles, as the installation of a package does.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", program], check=True, capture_output=True, env=environ
            ).stdout
        )
        for _ in range(4)
    ]
    assert min(runs) < 0.3


def test_the_page_of_the_architecture_has_every_folder():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \| .+ \| (.*) \|$", page, re.M)
    folders = {name for cell, _ in rows for name in re.findall(r"`([a-z0-9_/]+)`", cell)}
    there = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}
    assert folders == there
    for cell, first in rows:
        folder = re.findall(r"`([a-z0-9_/]+)`", cell)[0]
        for name in re.findall(r"`(\w+\.py)`", first):
            assert (PACKAGE / folder / name).exists(), f"{folder}/{name}"
