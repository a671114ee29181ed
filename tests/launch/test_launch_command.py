"""Invalid command lines of `distrib launch`: exit code 64, the flag is named, no traceback."""

import pytest

from distrib.cli import launch
from distrib.cli.main import main

CLUSTER = '[cluster]\nchief = ["localhost:0"]\nworker = ["localhost:0"]\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with scripts and cluster files, good and bad."""
    monkeypatch.chdir(tmp_path)
    files = {
        "train.py": "print('hello')",
        "good.toml": CLUSTER,
        "ps.toml": '[cluster]\nchief = ["localhost:0"]\nps = ["localhost:0"]\n',
        "broken.toml": "[cluster",
        "broken.json": "{",
        "empty.toml": "",
        "jobs.toml": '[cluster]\nmaster = ["localhost:0"]\n',
        "port.toml": '[cluster]\nchief = ["localhost:70000"]\n',
        "host.toml": '[cluster]\nchief = ["-oProxyCommand=touch x:0"]\n',
        "strategy.toml": CLUSTER + '[launch]\nstrategy = "ring"\n',
        "no_ps.toml": CLUSTER + '[launch]\nstrategy = "ps-sync"\n',
        "key.toml": CLUSTER + "[launch]\nnodes = 4\n",
        "env.toml": CLUSTER + '[launch.env]\n"A=B" = "c"\n',
        "central.toml": '[cluster]\nchief = ["h1.invalid:0"]\nworker = ["h2.invalid:0"]\n[launch]\n'
        'strategy = "central_storage"\n',
        "cluster.yaml": "cluster: {}",
        "hosts": "h1 slots=2\n",
        "hosts_bad": "h1 slots=two\n",
        "hosts_zero": "h1 slots=0\n",
        "hosts_empty": "# nobody\n\n",
        "hosts_shell": "h1;touch slots=1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "CONFIG"),
        ("--nonsense good.toml train.py", "--nonsense"),
        ("good.toml --nonsense train.py", "--nonsense"),
        ("good.toml", "SCRIPT"),
        ("-n 2", "SCRIPT"),
        ("-n 2 -m", "SCRIPT"),
        ("good.toml missing.py", "SCRIPT"),
        ("-n 2 .", "SCRIPT"),
        ("train.py", "train.py"),
        ("missing.toml train.py", "missing.toml"),
        ("cluster.yaml train.py", "cluster.yaml"),
        ("broken.toml train.py", "broken.toml"),
        ("broken.json train.py", "broken.json"),
        ("empty.toml train.py", "cluster"),
        ("jobs.toml train.py", "cluster.master"),
        ("port.toml train.py", "cluster.chief[0]"),
        ("host.toml train.py", "cluster.chief[0]"),
        ("strategy.toml train.py", "launch.strategy"),
        ("no_ps.toml train.py", "launch.strategy"),
        ("key.toml train.py", "launch.nodes"),
        ("env.toml train.py", "launch.env"),
        ("central.toml train.py", "launch.strategy"),
        ("-n 0 train.py", "-n"),
        ("-n -1 train.py", "-n"),
        ("-n two train.py", "-n"),
        ("-n 2.5 train.py", "-n"),
        ("--np 99999999999 train.py", "--np"),
        ("-n", "-n"),
        ("-n 2 good.toml train.py -n 3", "SCRIPT"),
        ("good.toml -n 2 train.py", "-n"),
        ("-H , train.py", "-H"),
        ("-H h1: train.py", "-H"),
        ("-H h1:0 train.py", "-H"),
        ("-H h1:x train.py", "-H"),
        ("-H h1:2:3 train.py", "-H"),
        ("-H -oProxyCommand=x train.py", "-H"),
        ("-H h1;touch train.py", "-H"),
        ("-H user@h1 train.py", "-H"),
        ("-n 3 -H h1:2 train.py", "-n"),
        ("-H h1 --hostfile hosts train.py", "--hostfile"),
        ("--hostfile missing train.py", "--hostfile"),
        ("--hostfile hosts_bad train.py", "--hostfile"),
        ("--hostfile hosts_zero train.py", "--hostfile"),
        ("--hostfile hosts_empty train.py", "--hostfile"),
        ("--hostfile hosts_shell train.py", "--hostfile"),
        ("good.toml -H h1 train.py", "-H"),
        ("--max-restarts -1 good.toml train.py", "--max-restarts"),
        ("--max-restarts many good.toml train.py", "--max-restarts"),
        ("good.toml --max-restarts", "--max-restarts"),
        ("--grace soon good.toml train.py", "--grace"),
        ("--grace -1 good.toml train.py", "--grace"),
        ("--grace nan good.toml train.py", "--grace"),
        ("--grace inf good.toml train.py", "--grace"),
        ("--evaluator-timeout x good.toml train.py", "--evaluator-timeout"),
        ("--log-dir", "--log-dir"),
    ],
)
def test_it_is_refused(folder, capsys, line, named):
    try:
        code = main(["launch", *line.split()])
    except SystemExit as end:
        code = end.code
    output = capsys.readouterr()
    assert code == 64, output
    assert named in output.err
    assert "Traceback" not in output.err + output.out
    assert not (folder / "runs").exists(), "nothing was made"


def test_s4_insecure_is_told_at_every_start(folder, capsys, monkeypatch):
    monkeypatch.setattr(launch, "run", lambda *_: 0)
    for flags, told in ((["--insecure"], True), (["--insecure"], True), ([], False)):
        assert main(["launch", *flags, "--log-dir", "logs", "ps.toml", "train.py"]) == 0
        words = "distrib: --insecure: what parameter servers and workers say to each other is not encrypted."
        assert (words in capsys.readouterr().err) == told


def test_logs_that_cannot_be_written_are_a_matter_of_storage(folder, capsys, monkeypatch):
    monkeypatch.setattr(launch, "check_user", lambda *_: None)  # it may be root
    (folder / "file").write_text("")
    assert main(["launch", "--log-dir", "file/logs", "good.toml", "train.py"]) == 74
    assert "--log-dir" in capsys.readouterr().err


def test_dry_run_shows_everything_but_secrets_and_makes_nothing(folder, capsys):
    assert main(["launch", "--dry-run", "ps.toml", "train.py", "--epochs", "5"]) == 0
    output = capsys.readouterr().out
    assert "chief 0 on localhost" in output
    assert "-m distrib ps --address localhost:0" in output
    assert "train.py --epochs 5" in output
    assert '"task": {"type": "chief", "index": 0}' in output
    assert "DISTRIB_STRATEGY=ps-sync" in output
    assert "TOKEN" not in output
    assert not (folder / "runs").exists()


def test_flags_may_stand_on_both_sides_of_the_config(folder, capsys):
    assert main(["launch", "--grace", "3", "ps.toml", "--dry-run", "-m", "package.train", "--dry-run"]) == 0
    assert "-m distrib.launch.task.entrypoint -m package.train --dry-run" in capsys.readouterr().out


def test_hosts_without_a_config(folder, capsys):
    assert main(["launch", "--dry-run", "-H", "h1.invalid:2,h2.invalid", "-n", "3", "train.py"]) == 0
    output = capsys.readouterr().out
    assert "h1.invalid:2,h2.invalid:1" in output
    assert "worker 1 on h2.invalid through ssh -o BatchMode=yes" in output


@pytest.mark.parametrize("flag", ["-np 3", "-n 3", "-n3", "--np 3", "--np=3"])
def test_np_as_other_launchers_have_it(folder, capsys, flag):
    assert main(["launch", "--dry-run", *flag.split(), "train.py", "-np", "7"]) == 0
    output = capsys.readouterr().out
    assert output.count(" on localhost\n") == 3
    assert '["train.py", "-np", "7"]' in output
