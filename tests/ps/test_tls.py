"""TLS of a run: with certificates of the run's authority workers are served, with others or none they are not."""

import shutil
import subprocess
import time

import numpy as np
import pytest
from conftest import missing
from helpers.ps import on_workers, worker_of

import distrib
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.wire import tls
from distrib.ps.wire.tls import VARIABLES, tls_from_environment


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
        days = -1 if name == "expired" else 1
        names = folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        signed = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days, "-extfile", names]
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


BAD = {  # of the ps, of the worker, and what is said
    "a worker without any": ("run", None, "Socket closed"),
    "a worker of another run": ("run", "other", "CERTIFICATE_VERIFY_FAILED"),
    "a ps without any": (None, "run", "WRONG_VERSION_NUMBER"),
    "a ps that has expired": ("expired", "expired", "certificate has expired"),
    "a ps that trusts another authority only": ("run but other authority", "run", "Socket closed"),
    "a worker with a certificate of another run": ("run", "other but run authority", "Socket closed"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_s4_without_those_of_the_run_it_ends_at_once_with_advice(authority, monkeypatch, case):
    """A ps that is there and of another run must not look like one that is not there, for a minute."""
    monkeypatch.setattr(tls, "TURNED_AWAY_S", 0.5)
    of_ps, of_worker, words = BAD[case]
    use(monkeypatch, authority, of_ps)
    server = Server("127.0.0.1:0")
    use(monkeypatch, authority, of_worker)
    strategy = distrib.ParameterServerStrategy(worker_of(0, 1, (f"127.0.0.1:{server.port}",)))
    begin = time.monotonic()
    try:
        with strategy.scope(), pytest.raises(distrib.AuthenticationError, match=words) as caught:
            training(strategy)
    finally:
        strategy.close()
        server.close()
    assert time.monotonic() - begin < 3
    assert "need its certificates (DISTRIB_TLS_CERT" in str(caught.value)


def test_a_ps_that_closes_connections_for_a_moment_is_waited_for():
    """Such as one that is being started behind a forwarded port."""
    limit_s = tls.TURNED_AWAY_S
    handshakes = tls.Handshakes()
    away = "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed"
    assert not handshakes.is_hopeless(away, False, 100.0)
    refused = "failed to connect to all addresses; last error: Connection refused"
    assert not handshakes.is_hopeless(refused, False, 100.0 + 0.6 * limit_s)
    assert not handshakes.is_hopeless(away, False, 100.0 + 1.2 * limit_s), "it begins anew"
    assert handshakes.is_hopeless(away, False, 100.0 + 2.3 * limit_s)


def use(monkeypatch, authority, name):
    """Set the variables for certificates: a run's, with the authority of another, or none."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if name is not None:
        own, _, trusted = name.partition(" but ")
        files = authority(own)
        if trusted:
            files = {**files, "DISTRIB_TLS_CA": authority(trusted.split()[0])["DISTRIB_TLS_CA"]}
        for variable, file in files.items():
            monkeypatch.setenv(variable, file)


def test_off_the_loopback_interface_tls_and_a_token_are_enough(authority, monkeypatch):
    with pytest.raises(distrib.ConfigError, match="it needs --token-file, and TLS"):
        Server("0.0.0.0:0", ServerOptions(token="secret"))
    for name, file in authority("run").items():
        monkeypatch.setenv(name, file)
    with pytest.raises(distrib.ConfigError, match="--token-file"):
        Server("0.0.0.0:0")
    Server("0.0.0.0:0", ServerOptions(token="secret")).close()


def test_half_of_it_is_an_error(tmp_path):
    with pytest.raises(distrib.ConfigError, match="Not set: DISTRIB_TLS_KEY, DISTRIB_TLS_CA"):
        tls_from_environment({"DISTRIB_TLS_CERT": "x"})
    with pytest.raises(distrib.ConfigError, match=r"TLS: .*No such file"):
        tls_from_environment(dict.fromkeys(VARIABLES, str(tmp_path / "none")))
