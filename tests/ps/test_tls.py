"""TLS of a run: with certificates of the run's authority workers are served, with others or none they are not."""

import shutil
import subprocess

import numpy as np
import pytest
from conftest import missing
from helpers.ps import on_workers, worker_of

import distrib
from distrib.ps.credentials import VARIABLES, tls_from_environment
from distrib.ps.server import Server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """`authority(name)`: certificate, key and authority of a run, as files."""
    if shutil.which("openssl") is None:
        missing("openssl")
    made = {}

    def run(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def make(name):
        if name in made:
            return made[name]
        folder = tmp_path_factory.mktemp(name)
        ca_key, ca, key, request, certificate = (
            folder / each for each in ("ca.key", "ca.pem", "key.pem", "request.pem", "certificate.pem")
        )
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", 1, "-subj", f"/CN={name}")
        run("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        names = folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        signed = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", 1, "-extfile", names]
        run("x509", "-req", "-in", request, *signed, "-out", certificate)
        made[name] = dict(zip(VARIABLES, map(str, (certificate, key, ca)), strict=True))
        return made[name]

    return make


def training(strategy):
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("sgd", "mse")
    return model.fit(np.ones((8, 4)), np.zeros((8, 3)), batch_size=4, verbose=0).history["loss"]


def test_with_certificates_of_the_run_it_trains(authority, monkeypatch):
    for name, file in authority("run").items():
        monkeypatch.setenv(name, file)
    losses = on_workers(2, training, num_ps=2)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("worker", ["none", "another run"])
def test_without_them_it_is_not_served(authority, monkeypatch, worker):
    for name, file in authority("run").items():
        monkeypatch.setenv(name, file)
    server = Server("127.0.0.1:0")
    for name in VARIABLES:
        monkeypatch.delenv(name)
    if worker == "another run":
        for name, file in authority("other").items():
            monkeypatch.setenv(name, file)
    strategy = distrib.ParameterServerStrategy(
        worker_of(0, 1, (f"127.0.0.1:{server.port}",)), ps_timeout_s=1.0
    )
    try:
        with strategy.scope(), pytest.raises(distrib.PeerLostError, match="waited 1 s for the ps"):
            training(strategy)
    finally:
        strategy.close()
        server.close()


def test_off_the_loopback_interface_tls_and_a_token_are_enough(authority, monkeypatch):
    with pytest.raises(distrib.ConfigError, match="it needs --token-file, and TLS"):
        Server("0.0.0.0:0", token="secret")
    for name, file in authority("run").items():
        monkeypatch.setenv(name, file)
    with pytest.raises(distrib.ConfigError, match="--token-file"):
        Server("0.0.0.0:0")
    Server("0.0.0.0:0", token="secret").close()


def test_half_of_it_is_an_error(tmp_path):
    with pytest.raises(distrib.ConfigError, match="Not set: DISTRIB_TLS_KEY, DISTRIB_TLS_CA"):
        tls_from_environment({"DISTRIB_TLS_CERT": "x"})
    with pytest.raises(distrib.ConfigError, match=r"TLS: .*No such file"):
        tls_from_environment(dict.fromkeys(VARIABLES, str(tmp_path / "none")))
