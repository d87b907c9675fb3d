"""A laboratory for scripts: processes of carryover on one PostgreSQL, a proxy between them, and what must hold.

Scripts that use it run themselves again under scripts/with-postgres (see `main`)."""

import contextlib
import csv
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_OPTIONS = "-c shared_buffers=512MB -c max_wal_size=4GB -c wal_buffers=64MB -c jit=off -c max_connections=200"
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("CARRYOVER_")}


class Wrong(Exception):
    """Something is not as it must be."""


def binary():
    """The binary to look at: CARRYOVER_BIN, or the release binary, which is built."""
    if given := os.environ.get("CARRYOVER_BIN"):
        return str(Path(given).resolve())
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    return str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "carryover")


class Postgres:
    """The PostgreSQL server of scripts/with-postgres."""

    def __init__(self):
        self.url = urlsplit(os.environ["CARRYOVER_TEST_POSTGRES"])
        self.data = os.environ["CARRYOVER_TEST_POSTGRES_DATA"]
        self.numbers = itertools.count(1)

    def url_of(self, database, port=None):
        place = f"{self.url.username}@{self.url.hostname}:{port or self.url.port}"
        return self.url._replace(netloc=place, path=f"/{database}").geturl()

    def run(self, statement, database="postgres"):
        psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url_of(database), "-c", statement]
        return subprocess.run(psql, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def new_database(self):
        name = f"lab_{os.getpid()}_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def restart(self):
        as_owner = []
        if os.getuid() == 0:
            owner = Path(self.data).owner()
            as_owner = ["setpriv", "--reuid", owner, "--regid", str(os.getgid()), "--clear-groups"]
        restart = ["pg_ctl", "restart", "--pgdata", self.data, "--mode", "immediate", "--wait", "--silent"]
        log = ["--log", str(Path(self.data).parent / "log")]
        subprocess.run([*as_owner, *restart, *log], check=True, cwd=Path(self.data).parent)


class Proxy:
    """Stands between processes and PostgreSQL; delays what it carries, or cuts it."""

    def __init__(self, port):
        self.target, self.delay, self.is_cut, self.open = port, 0.0, False, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                if self.is_cut:
                    raise OSError
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(256 << 10):
                if self.delay:
                    time.sleep(self.delay / 2)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.open -= {source, sink}

    def cut(self):
        self.is_cut = True
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self.is_cut = False


class Process:
    """One `carryover serve`."""

    running = []

    def __init__(self, lab, role, *flags):
        self.lab, self.role, self.flags, self.binary = lab, role, flags, lab.binary
        self.running.append(self)
        self.start()

    def start(self):
        log = tempfile.NamedTemporaryFile("w+", dir=self.lab.folder, prefix="log-", delete=False)
        command = [self.binary, "serve", "--listen", "127.0.0.1:0", "--role", self.role, "--log", "warn"]
        shared = ["--data-dir", str(self.lab.folder / "data"), "--object-store", self.lab.objects.as_uri()]
        own = ["--database-url", self.lab.database_url, "--admin-key", self.lab.admin_key, *self.flags]
        self.log = Path(log.name)
        # Samples link to media that nobody serves. A version that knows of no media ignores the variable.
        environment = CLEAN | {"CARRYOVER_MEDIA_DEFAULT": "skip"}
        self.process = subprocess.Popen([*command, *shared, *own], env=environment, stderr=log)
        before = "carryover serves gRPC on "
        for _ in range(1200):
            for line in self.log.read_text().split("\n")[:-1]:
                if line.startswith(before):
                    self.address = line.removeprefix(before).split()[0]
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise Wrong(f"a process did not start:\n{self.log.read_text()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; gives the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def restart(self):
        self.kill()
        self.start()

    def peak_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


class Lab:
    """A database, an object store and processes on both."""

    admin_key = "co_" + "0123456789abcdef" * 4

    def __init__(self, folder, behind_proxy=False):
        self.binary, self.postgres = binary(), Postgres()
        self.folder = Path(folder)
        self.objects = self.folder / "objects"
        self.objects.mkdir(parents=True)
        self.database = self.postgres.new_database()
        self.proxy = Proxy(self.postgres.url.port) if behind_proxy else None
        port = self.proxy.port if self.proxy else None
        self.database_url = self.postgres.url_of(self.database, port)
        self.processes = []

    def process(self, role, *flags):
        started = Process(self, role, *flags)
        self.processes.append(started)
        return started

    def close(self):
        for process in self.processes:
            process.kill()
        self.postgres.run(f"DROP DATABASE {self.database} WITH (FORCE)")

    def carryover(self, process, key, *args, check=True):
        """Runs a command that prints one JSON object; nothing where it failed and may."""
        environment = CLEAN | {"CARRYOVER_SERVER": process.address, "CARRYOVER_API_KEY": key}
        done = subprocess.run([self.binary, *args, "--json"], env=environment, capture_output=True, text=True)
        if done.stdout.startswith("{"):
            return json.loads(done.stdout)
        if check:
            raise Wrong(f"{' '.join(args)}: {done.stderr}")
        return None

    def tenant(self, process, active=1):
        """A tenant that may import; gives its key."""
        admin = lambda *args: self.carryover(process, self.admin_key, "admin", *args)
        application = admin("application", "create", "lab", "--enable-imports")["id"]
        admin("application", "update", application, "--max-active-imports", str(active))
        admin("workflow", "create", "lab", "--application", application, "--kind", "user")
        return admin("key", "create", "--application", application, "--role", "operator")["key"]

    def sample(self, rows, seed=1, name="sample"):
        path = self.folder / f"{name}-{rows}-{seed}.csv"
        wanted = ["--rows", str(rows), "--seed", str(seed), "--invalid", "0.01", "--duplicate", "0.01"]
        sample = [self.binary, "sample", "--type", "user_verification", "--format", "csv", *wanted]
        subprocess.run([*sample, "--output", str(path)], check=True)
        return path

    def carry_on(self, key, file, process_of, import_id=None, seconds=600):
        """Imports a file to its end whatever happens to processes; `process_of` gives one that may answer."""
        deadline = time.monotonic() + seconds
        new = ["import", str(file), "--type", "user_verification", "--detach"]
        while time.monotonic() < deadline:
            process = process_of()
            if import_id is None:
                listed = self.run_list(process, key)
                import_id = listed[0] if listed else None
            if import_id is None:
                self.carryover(process, key, *new, check=False)
                continue
            state = self.carryover(process, key, "get", import_id, check=False)
            if state and state["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
                return state
            if state and not state["upload_finished"]:
                environment = CLEAN | {"CARRYOVER_SERVER": process.address, "CARRYOVER_API_KEY": key}
                resume = [self.binary, "resume", import_id, str(file), "--json"]
                with contextlib.suppress(subprocess.TimeoutExpired):
                    left = max(1.0, deadline - time.monotonic())
                    subprocess.run(resume, env=environment, capture_output=True, timeout=left)
            time.sleep(0.1)
        raise Wrong(f"import {import_id} has not ended within {seconds} s")

    def run_list(self, process, key):
        environment = CLEAN | {"CARRYOVER_SERVER": process.address, "CARRYOVER_API_KEY": key}
        listed = subprocess.run([self.binary, "list", "--json"], env=environment, capture_output=True, text=True)
        return [json.loads(line)["uuid"] for line in listed.stdout.splitlines() if line.startswith("{")]

    def check(self, state, file):
        """What must hold of an import that has ended, by an independent reading of its file."""
        created, rows, keys = 0, 0, set()
        with open(file, newline="", encoding="utf-8") as source:
            for row in csv.DictReader(source):
                rows += 1
                keys.add((row.get("provider") or "generic", row["external_id"]))
        counts = [state[f"{name}_count"] for name in ("created", "updated", "skipped", "failed")]
        self.expect(state["status"] == "COMPLETED", f"status {state['status']}: {state.get('last_error')}")
        self.expect(state["total_rows"] == rows == sum(counts), f"{rows} rows, {counts}")
        import_id = state["uuid"]
        one = lambda statement: int(self.postgres.run(statement, self.database))
        created = one(f"SELECT count(*) FROM user_sessions WHERE import_id = '{import_id}'")
        self.expect(created == counts[0], f"{created} records, {counts[0]} counted")
        distinct = one(f"SELECT count(DISTINCT (provider, external_id)) FROM user_sessions WHERE import_id = '{import_id}'")
        self.expect(distinct == created, f"{created - distinct} records stand twice")
        self.expect(created <= len(keys), f"{created} records of {len(keys)} keys")
        errors = one(f"SELECT count(*) FROM row_errors WHERE import_id = '{import_id}'")
        self.expect(errors == counts[3], f"{errors} row errors, {counts[3]} counted")
        stuck = one(f"SELECT count(*) FROM segments WHERE import_id = '{import_id}' AND state <> 'DONE'")
        self.expect(stuck == 0, f"{stuck} segments are not settled")
        return counts

    @staticmethod
    def expect(holds, otherwise):
        if not holds:
            raise Wrong(otherwise)


def main(run, parse):
    """Runs a script under a PostgreSQL of its own, in a folder that is gone afterwards."""
    args = parse()
    if "CARRYOVER_TEST_POSTGRES" not in os.environ:
        os.environ.setdefault("POSTGRES_OPTIONS", POSTGRES_OPTIONS)
        with_postgres = str(ROOT / "scripts" / "with-postgres")
        os.execv(with_postgres, [with_postgres, sys.executable, *sys.argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    random.seed(7)
    with tempfile.TemporaryDirectory(prefix="carryover-lab-") as folder:
        try:
            return run(args, Path(folder))
        except (Wrong, subprocess.SubprocessError) as error:
            sys.exit(f"{Path(sys.argv[0]).name}: {error}")
        finally:
            for process in Process.running:
                process.kill()
