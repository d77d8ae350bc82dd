"""What is compared: each store has a server or none, and a storage section of ZConfig."""

import contextlib
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time

CACHE_MIB = 64
"""Of each client's own cache, where it has one."""


class Failed(Exception):
    """A store did not start; the reason is the argument."""


class Store:
    """A storage that is measured.

    ``config`` is what ZODB opens it by, ``many`` whether several processes may have it open for
    reading at the same time: then by ``reader``, where that is something else. ``prefetches`` is
    whether it does something when it is asked to.
    """

    name = ""
    durable = ""
    many = True
    prefetches = True
    reader = None

    def start(self, directory):
        """Make an empty one below a directory, and start its server."""

    def stop(self):
        """End its server."""

    def reading(self):
        return self.reader or self.config


class FileStorage(Store):
    name = "FileStorage"
    durable = "fsync in tpc_finish"
    prefetches = False

    def start(self, directory):
        path = f"{directory}/Data.fs"
        self.config = f"<filestorage>\n  path {path}\n</filestorage>"
        self.reader = f"<filestorage>\n  path {path}\n  read-only true\n</filestorage>"


class Embedded(Store):
    name = "neolith, embedded"
    durable = "fdatasync of the log in tpc_finish"
    many = False
    prefetches = False

    def start(self, directory):
        self.config = textwrap.dedent(f"""\
            %import neolith
            <neolith>
              path {directory}/database
              cache-size {CACHE_MIB}MB
            </neolith>""")


class Served(Store):
    """A store with a server of its own."""

    process = None

    def launch(self, command, directory, **options):
        """Start the server; what it says goes into a file."""
        with open(f"{directory}/server.log", "ab") as log:
            self.process = subprocess.Popen(command, stderr=log, **options)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for(self, port):
        """Until the server listens."""
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not listen on port {port}")


class Cluster(Served):
    name = "neolith, cluster"
    durable = "fdatasync before each vote and of the log before tpc_finish"

    def __init__(self, binary):
        self.binary = binary
        self.masters = None

    def start(self, directory):
        command = [self.binary, "simple", "--json", "--dir", f"{directory}/cluster"]
        self.launch(command, directory, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} does not start: {directory}/server.log")
        told = json.loads(line)
        self.masters, self.cluster = " ".join(told["masters"]), told["cluster"]
        self.config = textwrap.dedent(f"""\
            %import neolith
            <neolith>
              masters {self.masters}
              name {self.cluster}
              cache-size {CACHE_MIB}MB
            </neolith>""")


class Zeo(Served):
    name = "ZEO, FileStorage"
    durable = "fsync in tpc_finish"

    def start(self, directory):
        port = free_port()
        path = f"{directory}/zeo.conf"
        with open(path, "w") as file:
            file.write(textwrap.dedent(f"""\
                <zeo>
                  address 127.0.0.1:{port}
                </zeo>
                <filestorage>
                  path {directory}/Data.fs
                </filestorage>
                """))
        command = [sys.executable, "-m", "ZEO.runzeo", "-C", path]
        self.launch(command, directory, cwd=directory, stdout=subprocess.DEVNULL)
        self.wait_for(port)
        self.config = textwrap.dedent(f"""\
            %import ZEO
            <clientstorage>
              server 127.0.0.1:{port}
              cache-size {CACHE_MIB}MB
            </clientstorage>""")


class RelStorage(Store):
    adapter = ""

    def configure(self, adapter):
        self.config = "\n".join([
            "%import relstorage",
            "<relstorage>",
            "  keep-history true",
            f"  cache-local-mb {CACHE_MIB}",
            textwrap.indent(textwrap.dedent(adapter), "  "),
            "</relstorage>",
        ])


class Sqlite(RelStorage):
    name = "RelStorage, SQLite"
    durable = "WAL, synchronous=full"

    def start(self, directory):
        os.mkdir(f"{directory}/sqlite")
        self.configure(f"""\
            <sqlite3>
              data-dir {directory}/sqlite
              <pragmas>
                synchronous full
              </pragmas>
            </sqlite3>""")


class Postgresql(RelStorage, Served):
    name = "RelStorage, PostgreSQL"
    durable = "fsync and synchronous_commit on"

    def start(self, directory):
        binaries = postgresql_binaries()
        data = f"{directory}/postgresql"
        os.mkdir(data)
        # The server does not run as root.
        options = {}
        if os.getuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Failed("PostgreSQL is not run by root: no user postgres") from None
            os.chmod(directory, 0o755)
            shutil.chown(data, "postgres")
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        initialize = [f"{binaries}/initdb", "-D", data, "-A", "trust", "-U", "bench", "-E", "UTF8"]
        done = subprocess.run(initialize, capture_output=True, text=True, cwd="/", **options)
        if done.returncode != 0:
            raise Failed(f"{self.name}: {done.stderr}")
        port = free_port()
        command = [f"{binaries}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port)]
        command += ["-k", ""]
        self.launch(command, directory, cwd="/", stdout=subprocess.DEVNULL, **options)
        self.wait_for(port)
        end = time.monotonic() + 30
        place = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
        create = [f"{binaries}/createdb", *place, "bench"]
        while subprocess.run(create, capture_output=True).returncode != 0:
            if time.monotonic() > end:
                raise Failed(f"{self.name} makes no database")
            time.sleep(0.1)
        self.configure(f"""\
            <postgresql>
              driver psycopg2
              dsn dbname='bench' user='bench' host='127.0.0.1' port='{port}'
            </postgresql>""")


class Other(Store):
    """A storage by a file of the user's: its server runs, if it has one."""

    durable = "as it is configured"

    def __init__(self, name, path, many):
        self.name, self.many = name, many
        with open(path) as file:
            self.config = file.read()


def postgresql_binaries():
    """The directory of the newest server that is installed, not only its client."""
    places = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    places.sort(key=lambda path: float(path.split("/")[4]))
    found = shutil.which("initdb")
    if found:
        places.insert(0, os.path.dirname(os.path.realpath(found)))
    for place in reversed(places):
        if all(os.path.exists(f"{place}/{name}") for name in ("initdb", "postgres", "createdb")):
            return place
    raise Failed("PostgreSQL is not installed")


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]
