"""Clusters of real processes, one a test: they start in about 150 ms."""

import json
import os
import signal
import subprocess
import tempfile
import threading

import neolith

BINARY = os.environ.get("NEOLITH_BIN", "neolith")

MODES = {
    "one": ("--storages", "1", "--partitions", "1"),
    "three": ("--storages", "3", "--replicas", "1", "--partitions", "12"),
}
"""A cluster of one storage; one of three, where each object is on two."""


class Cluster:
    """A cluster of its own, whose files go with it."""

    def __init__(self, mode="one", *options, directory=None):
        if directory is not None:
            options += ("--dir", directory)
        command = [BINARY, "simple", "--json", *MODES[mode], *options]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True
        )
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

    def nodes(self, kind):
        """Process ids of the nodes of a kind: ``master`` or ``storaged``."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _parent(entry) == self.process.pid:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if kind.encode() in file.read().split(b"\0"):
                        found.append(int(entry))
        return sorted(found)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        self.process.stdout.close()
        self.log.close()


class Supply:
    """Clusters of a mode, the next of which starts while a test runs."""

    def __init__(self, mode):
        self._mode = mode
        self._next = None
        self._stopping = []

    def take(self):
        cluster = self._next() if self._next else Cluster(self._mode)
        self._next = _begin(lambda: Cluster(self._mode))
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


def _parent(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
