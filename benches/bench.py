"""What the comparisons share: a cluster of three daemons on loopback, programs, and their environment."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Cluster:
    """Holdfast's daemons in folders below one, talking over loopback."""

    nodes = 3

    def __init__(self, folder, settings=""):
        self.folder = folder
        self.settings = settings
        self.environment = dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder / "config"))
        self.metrics_ports = []
        self.daemons = []

    def form(self):
        """Starts the daemons and makes them one cluster."""
        for number in range(1, self.nodes + 1):
            port, metrics_port = free_ports(2)
            self.metrics_ports.append(metrics_port)
            self.daemons.append(self.start(number, port, metrics_port))
        for number in range(1, self.nodes + 1):
            wait_until(lambda: answers(self.socket(number)), "an admin socket")
        answer = json.loads(self.cli("--json", "cluster", "init", "--first-nodes", str(self.nodes)))
        for number, token in zip(range(2, self.nodes + 1), answer["tokens"]):
            self.cli("cluster", "join", token, node=number)
        wait_until(lambda: json.loads(self.cli("--json", "cluster", "status"))["ready"], "a cluster that is ready")

    def node(self, number):
        return self.folder / f"n{number}"

    def socket(self, number):
        return self.node(number) / "admin.sock"

    def start(self, number, port, metrics_port):
        folder = self.node(number)
        folder.mkdir()
        (folder / "holdfastd.toml").write_text(
            f'data = "data"\nvolumes = ["volume"]\n'
            f'[network]\nlisten = "127.0.0.1:{port}"\nadvertise = "127.0.0.1:{port}"\n'
            f'[admin]\nsocket = "admin.sock"\n[metrics]\nlisten = "127.0.0.1:{metrics_port}"\n{self.settings}'
        )
        return self.launch(number)

    def launch(self, number):
        """Starts the daemon of a node that has its configuration."""
        folder = self.node(number)
        with open(folder / "log", "ab") as log:
            return subprocess.Popen(
                [programs() / "holdfastd", "--config", folder / "holdfastd.toml"], stderr=log, process_group=0
            )

    def command(self, *arguments, node=1):
        return [str(programs() / "holdfast"), "--socket", str(self.socket(node)), *arguments]

    def cli(self, *arguments, node=1):
        return run(self.command(*arguments, node=node), self.environment)

    def stop(self):
        stop(self.daemons)


def scrape(port):
    """All figures of an endpoint for Prometheus, by name."""
    figures = {}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                figures[name] = figures.get(name, 0.0) + float(value)
    return figures


def stop(processes):
    """Ends processes of ours and waits for them."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def free_ports(count):
    """Ports below the range from which the kernel gives ports to clients."""
    found = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
    return found


def answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False


def wait_until(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.05)


def run(command, environment=None):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def cache():
    return Path(os.environ["HOLDFAST_CACHE"])


def programs():
    return Path(os.environ["CARGO_TARGET_DIR"]) / "release"


def build(*packages):
    """Builds programs of these packages with `--release`."""
    chosen = [argument for package in packages for argument in ("-p", package)]
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "--bins", *chosen], cwd=ROOT, check=True)


def take_environment(script):
    """Starts the script again with the environment of the other scripts, unless it has that; it ends in order on SIGTERM."""
    if "HOLDFAST_CACHE" not in os.environ:
        command = f'. "{ROOT}/scripts/env" && exec "$0" "$@"'
        os.execvp("bash", ["bash", "-c", command, sys.executable, script, *sys.argv[1:]])
    signal.signal(signal.SIGTERM, ended)


def ended(number, _frame):
    """Unwinds when the script is told to end, so that daemons and folders go as they do at its own end."""
    raise SystemExit(128 + number)
