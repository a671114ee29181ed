"""What no module of the package may do: rows S1 (no pickle, no code from data), S15 (deadlines) and C29 (clocks).

Each rule is tried on programs that break it.
"""

import ast

import pytest
from test_floors import PACKAGE, sources

PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "jsonpickle"}
OBJECT_CALLS = {
    *("send", "recv", "bcast", "gather", "scatter", "allgather", "allreduce", "alltoall", "isend", "irecv"),
    *("bsend", "ssend", "ibsend", "issend", "sendrecv", "reduce", "scan", "exscan", "mprobe", "improbe"),
}
COMMUNICATORS = {"world", "_world", "comm", "_comm", "COMM_WORLD", "COMM_SELF", "intercomm"}
CALLABLES = {
    "unary_unary",
    "unary_stream",
    "stream_unary",
}  # of channels; streams end with a call's own deadline
STREAMS = {"Work", "Follow"}
WALL_CLOCKS = {"time", "time_ns"}


def last_name(node):
    """`c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def constant(node):
    return node.value if isinstance(node, ast.Constant) else None


def lint(text, who="a.py"):
    """What is wrong, as `file:line: words`."""
    tree = ast.parse(text)
    found = []
    modules = {}  # what a name stands for: `import time as t`
    stubs = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {(alias.asname or alias.name).split(".")[0]: alias.name for alias in node.names}
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            if last_name(node.value.func).endswith("Stub"):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                stubs |= {last_name(each) for each in targets}
    uses_mpi = "mpi4py" in text

    def is_stub(node):
        return last_name(node) in stubs or (
            isinstance(node, ast.Call) and last_name(node.func).endswith("Stub")
        )

    def say(node, words):
        found.append(f"{who}:{node.lineno}: {words}")

    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
            if node.module == "time" and WALL_CLOCKS & {alias.name for alias in node.names}:
                say(node, "wall clock")
        elif isinstance(node, ast.Call) and last_name(node.func) in ("import_module", "__import__"):
            names = [str(constant(each)) for each in node.args]
        for name in names:
            if PICKLES & set(name.split(".")):
                say(node, f"imports {name}")
            if name.split(".")[0] == "datetime":
                say(node, "wall clock")
        if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCKS:
            if modules.get(last_name(node.value)) == "time":
                say(node, "wall clock")
        if not isinstance(node, ast.Call):
            continue
        called, keywords = node.func, {each.arg: each.value for each in node.keywords}
        if isinstance(called, ast.Name) and called.id in ("eval", "exec"):
            say(node, called.id)
        if "allow_pickle" in keywords and constant(keywords["allow_pickle"]) is not False:
            say(node, "allow_pickle")
        if not isinstance(called, ast.Attribute):
            if (
                isinstance(called, ast.Call)
                and last_name(called.func) == "getattr"
                and is_stub(called.args[0])
                and "timeout" not in keywords
            ):
                say(node, "gRPC call without a deadline")
            continue
        if called.attr in ("load", "load_all", "unsafe_load") and last_name(called.value) == "yaml":
            say(node, f"yaml.{called.attr}")
        if called.attr == "load" and modules.get(last_name(called.value)) == "numpy":
            if "allow_pickle" not in keywords:
                say(node, "numpy.load without allow_pickle=False")
        if called.attr in OBJECT_CALLS and (uses_mpi or last_name(called.value) in COMMUNICATORS):
            say(node, f"{called.attr} of mpi4py pickles")
        if is_stub(called.value) and called.attr not in STREAMS and "timeout" not in keywords:
            say(node, "gRPC call without a deadline")
        if called.attr in CALLABLES:
            say(node, "gRPC call without a deadline")
    return found


def test_the_package_is_clean():
    # The date of TensorBoard's events is the one thing that a wall clock says.
    found = [line for path, _ in sources() for line in lint(path.read_text(), path.name)]
    assert [line.split(":")[0] + line.rpartition(":")[2] for line in found] == ["event_file.py wall clock"]
    assert len(list(PACKAGE.rglob("*.py"))) > 150


BAD = {
    "imports pickle": "import pickle",
    "imports cPickle": "from six.moves import cPickle",
    "imports dill": "import dill as d",
    "imports cloudpickle": "from cloudpickle import loads",
    "imports shelve": "def f():\n    import shelve",
    "imports marshal": "import importlib\nimportlib.import_module('marshal')",
    "imports _pickle": "__import__('_pickle')",
    "imports multiprocessing.pickle": "import multiprocessing.pickle",
    "eval": "x = eval('1')",
    "exec": "exec('1')",
    "yaml.load": "import yaml\nyaml.load(text)",
    "allow_pickle": "import numpy as np\nnp.load(path, allow_pickle=True)",
    "allow_pickle ": "import numpy as np\nnp.load(path, allow_pickle=flag)",
    "numpy.load without allow_pickle=False": "import numpy as np\nnp.load(path)",
    **{f"{call} of mpi4py pickles": f"self._world.{call}(1)" for call in sorted(OBJECT_CALLS)},
    "bcast of mpi4py pickles ": "from mpi4py import MPI\nring = MPI.COMM_WORLD\nring.bcast(1)",
    "gRPC call without a deadline": "stub: Any = services.PsStub(channel)\nstub.Stop(message)",
    "gRPC call without a deadline ": "self._stub = PsStub(channel)\nself._stub.Leave(message, metadata=m)",
    "gRPC call without a deadline  ": "stub = PsStub(channel)\ngetattr(stub, method)(message)",
    "gRPC call without a deadline   ": "PsStub(channel).Stop(message)",
    "gRPC call without a deadline    ": "channel.unary_unary('/x')(message)",
    "wall clock": "import time\nwhile time.time() < end: pass",
    "wall clock ": "import time as t\nend = t.time_ns() + 5",
    "wall clock  ": "from time import time",
    "wall clock   ": "from time import time_ns as now",
    "wall clock    ": "import time\nclock = time.time",
    "wall clock     ": "import datetime",
    "wall clock      ": "from datetime import datetime",
}


@pytest.mark.parametrize("words", BAD)
def test_what_is_forbidden_is_found(words):
    lines = len(BAD[words].splitlines())
    assert lint(BAD[words]) in ([f"a.py:{lines}: {words.strip()}"], [f"a.py:{lines}: {words.strip()}"] * 2)


def test_what_is_allowed_is_not():
    for text in (
        "import time\ntime.monotonic(); time.strftime('%Y'); time.sleep(1)",
        "stub = PsStub(channel)\nstub.Stop(message, timeout=3)\ngetattr(stub, m)(message, timeout=3)\nstub.Work(a)",
        "import numpy as np\nnp.load(path, allow_pickle=False)\nnp.add.reduce(x)",
        "self._messenger.send(0, vector); strategy.reduce(op, value)",
        "from mpi4py import MPI\nMPI.COMM_WORLD.Isend([a, b], 1, 2)",
        "yaml.safe_load(text); json.load(file); model.eval()",
    ):
        assert lint(text) == []


PUBLIC_BY_DESIGN = {"_replace", "_asdict", "_fields", "_exit"}
"""Of named tuples, and of `os`."""

OF_LIBRARIES = {("test_event_file.py", name) for name in ("_py_recordio_writer", "_file", "_writer")}
"""tensorboardX has no other way to its file, which a test of full disks replaces."""


def foreign_private(text):
    """Private attributes that are read or set on anything but `self` and `cls`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr[0] == "_" and node.attr[:2] != "__":
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and node.attr not in PUBLIC_BY_DESIGN:
                yield node.attr


def test_no_test_reaches_into_private_attributes():
    assert list(foreign_private("server._node\nself._node\nclient._disconnect()")) == ["_node", "_disconnect"]
    root = PACKAGE.parent
    files = [*root.glob("tests/**/*.py"), *root.glob("scripts/**/*.py")]
    found = [(path.name, name) for path in files for name in foreign_private(path.read_text())]
    assert len(files) > 150
    assert [each for each in found if each not in OF_LIBRARIES] == []
