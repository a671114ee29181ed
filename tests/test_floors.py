"""Imports go down, islands of floor 1 do not know each other, MPI is imported in one module, `__all__` is whole."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import distrib

PACKAGE = Path(distrib.__file__).parent
FRONT_DOORS = {"callbacks", "cluster_resolver", "datasets", "models", "train"}
FLOORS = [
    {"base", "proto", "version"},
    {"host"},
    {"cluster", "data", "nn", "comm", "io"},
    {"ps"},
    {"strategies"},
    {"training"},
    {"launch"},
    FRONT_DOORS,
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "distrib":
                yield from ((node.lineno, f"distrib.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def upward(files):
    bad = []
    for path, here in files:
        for line, name in imports(path):
            if name.startswith("distrib."):
                there = name.split(".")[1]
                if there != here and FLOOR[there] >= FLOOR[here] and not (FLOOR[here] == FLOOR[there] == 0):
                    bad.append(f"{path.name}:{line}: {here} -> {there}")
    return bad


def sources():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "proto":  # generated
            continue
        yield path, path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_go_down():
    assert upward(sources()) == []


def test_an_upward_import_is_found(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from distrib.strategies.strategy import Strategy\n")
    assert upward([(path, "nn")]) == ["bad.py:1: nn -> strategies"]
    path.write_text("from distrib.comm.collectives.ring import RingCommunicator\n")
    assert upward([(path, "nn")]) == ["bad.py:1: nn -> comm"]


def test_mpi_is_imported_in_one_module():
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.startswith("mpi4py")}
    assert users == {"connect.py"}


def test_tensorboard_is_imported_in_one_module():
    names = {"tensorboard", "tensorboardX"}
    users = {path.name for path, _ in sources() for _, name in imports(path) if name.split(".")[0] in names}
    assert users == {"event_file.py"}


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
    # Losses, and Model with its documented arguments, are each one concept.
    large = {path.name for path, _ in sources() if len(path.read_text().splitlines()) > 310}
    assert large <= {"model.py", "losses.py"}


def test_all_is_sorted_and_complete():
    assert distrib.__all__ == sorted(distrib.__all__)
    modules = [distrib, *(getattr(distrib, name) for name in FRONT_DOORS), distrib.layers, distrib.optimizers]
    for module in modules:
        names = module.__all__
        assert all(hasattr(module, name) for name in names)
    public = {name for name in vars(distrib) if not name.startswith("_")}
    floors = {name for floor in FLOORS for name in floor} - FRONT_DOORS
    assert public - floors == set(distrib.__all__) - {"__version__"}


def public_objects():
    for path, _ in sources():
        name = ".".join(("distrib", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
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


def test_import_is_light():
    program = (
        "import numpy, sys, time; begin = time.process_time(); import distrib; "
        "took = time.process_time() - begin; "
        "assert not {'mpi4py', 'grpc', 'rich', 'tensorboardX', 'threadpoolctl'} & set(sys.modules); print(took)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
        for _ in range(3)
    ]
    assert min(runs) < 0.3
