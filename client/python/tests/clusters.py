"""Clusters of real processes, one a test: they start in about 150 ms."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading

import neolith

_TEMPORARY = tempfile.gettempdir()
"""Not what it is while a test of ZODB runs, which is gone with it."""

BINARY = os.environ.get("NEOLITH_BIN", "neolith")

MODES = {
    "one": ("--storages", "1", "--partitions", "1"),
    "three": ("--storages", "3", "--replicas", "1", "--partitions", "12"),
}
"""A cluster of one storage; one of three, where each object is on two."""

EMBEDDED = "embedded"
"""The mode without a cluster: a directory that is opened by the test's own process."""


class Cluster:
    """A cluster of its own, whose files go with it."""

    def __init__(self, mode="one", *options, directory=None):
        if directory is not None:
            options += ("--dir", directory)
        command = [BINARY, "simple", "--json", *MODES[mode], *options]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"{command}: {self.log.read().decode()}")
        told = json.loads(line)
        self.masters, self.name = told["masters"], told["cluster"]
        self.directory = told["directory"]
        self.uri = f"neolith://{','.join(self.masters)}/{self.name}"

    def open(self, **options):
        options = {"wait_timeout": 10, "cache_size": 1 << 20, **options}
        return neolith.Storage(self.masters, self.name, **options)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        self.process.stdout.close()
        self.log.close()


class Directory:
    """A database in a directory of its own, which goes with it."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(dir=_TEMPORARY)
        self.path = f"{self._directory.name}/database"
        self.uri = f"neolith://{self.path}"

    def open(self, **options):
        return neolith.Storage(path=self.path, **options)

    def stop(self):
        self._directory.cleanup()


def start(mode):
    """What a test of a mode has for itself: it can be opened and stopped."""
    return Directory() if mode == EMBEDDED else Cluster(mode)


class Nodes:
    """A cluster whose nodes can be killed and started again, one by one."""

    def __init__(self, storages=1, replicas=0, partitions=4):
        self.name = "nodes"
        self.directory = tempfile.TemporaryDirectory()
        self.processes = {}
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.masters = [f"127.0.0.1:{chosen.getsockname()[1]}"]
        self._database = ("--partitions", partitions, "--replicas", replicas)
        self._storages = [f"storage{number}" for number in range(storages)]
        for name in ["master", *self._storages]:
            self.start(name)

    def start(self, name):
        path = f"{self.directory.name}/{name}"
        if name == "master":
            command = ["master", "--bind", self.masters[0], "--data", path, *self._database]
            command += ["--autostart", len(self._storages)]
        else:
            command = ["storaged", "--bind", "127.0.0.1:0", "--masters", self.masters[0]]
            command += ["--database", path]
        command += ["--cluster", self.name, "--reconnect-delay", "0.05", "--exit-with-parent"]
        with open(f"{path}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [BINARY, *map(str, command)], stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        process.stdin.close()

    def open(self, **options):
        options = {"wait_timeout": 20, "cache_size": 1 << 20, **options}
        return neolith.Storage(self.masters, self.name, **options)

    def stop(self):
        for name in list(self.processes):
            self.kill(name)
        self.directory.cleanup()


class Supply:
    """Clusters of a mode, the next of which starts while a test runs."""

    def __init__(self, mode):
        self._mode = mode
        self._next = None
        self._stopping = []

    def take(self):
        cluster = self._next() if self._next else start(self._mode)
        self._next = _begin(lambda: start(self._mode))
        return cluster

    def give_back(self, cluster):
        self._stopping.append(_begin(cluster.stop))

    def close(self):
        if self._next:
            self._next().stop()
            self._next = None
        while self._stopping:
            self._stopping.pop()()


def _begin(action):
    """Does something on another thread; what is returned waits for its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(action()))
    thread.start()

    def wait():
        thread.join()
        return results[0]

    return wait
