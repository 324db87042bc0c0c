"""Breaks a random part of an installation, in a random way, every few seconds."""

import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import psutil
import psycopg
import redis

from tests.installation import Installation, role, until
from tests.stacks import AT_SCALE, POSTGRES

PARTS = ("api", "worker", "batch-worker")
LONGEST_FREEZE = 20.0
DISPATCHER = "waybill:dispatcher"  # who leads


class Breaker:
    """Does one thing at a time, and puts right what does not heal by itself."""

    def __init__(self, installation: Installation, seed: str) -> None:
        self.installation = installation
        self.dice = random.Random(seed)
        self.done: Counter[str] = Counter()
        at_scale = [self.cut_postgresql, self.cut_rabbitmq, self.kill_redis]
        self._ways: list[Callable[[], str]] = [
            *[self.kill] * 4,
            *[self.freeze] * 3,
            self.depose,
            self.kill_fork_server,
            self.kill_everything,
            *(at_scale if AT_SCALE else [self.kill_valkey]),
        ]

    def break_something(self) -> str:
        """Break one thing; return what it was."""
        way = self.dice.choice(self._ways)
        try:
            said = way()
        except (psutil.NoSuchProcess, IndexError) as error:
            said = f"{way.__name__}: nothing there ({error})"
        self.done[said] += 1
        return said

    def kill(self) -> str:
        name = self.dice.choice(PARTS)
        self._part(name).kill()
        return f"killed {name}"

    def freeze(self) -> str:
        names = [*PARTS, *([] if AT_SCALE else ["valkey"])]
        name, seconds = self.dice.choice(names), self.dice.uniform(0.5, LONGEST_FREEZE)
        part = self._part(name)
        part.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)  # as long as it stands still
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                part.send_signal(signal.SIGCONT)
        return f"froze {name}"

    def depose(self) -> str:
        """Take the lead from whoever dispatches, for five seconds."""
        with contextlib.suppress(redis.RedisError), self._redis() as client:
            client.set(DISPATCHER, "nobody", px=5_000)
        return "deposed the dispatcher"

    def kill_valkey(self) -> str:
        self._part("valkey").kill()
        return "killed valkey"

    def kill_fork_server(self) -> str:
        assert self.installation.process is not None
        for each in psutil.Process(self.installation.process.pid).children():
            if "multiprocessing.forkserver" in " ".join(each.cmdline()):
                each.kill()
        return "killed the fork server"

    def kill_everything(self) -> str:
        process = self.installation.process
        assert process is not None
        family = psutil.Process(process.pid).children(recursive=True)
        for each in (psutil.Process(process.pid), *family):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(30)
        psutil.wait_procs(family, timeout=30)
        self.installation.start()
        return "killed everything"

    def cut_postgresql(self) -> str:
        """End all connections to the installation's own database."""
        name = self.installation.database_url.rpartition("/")[2]
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(POSTGRES, autocommit=True) as admin:
            admin.execute(ours, (name,))
        return "cut PostgreSQL"

    def cut_rabbitmq(self) -> str:
        """Close all connections to the installation's own virtual host."""
        host = urlsplit(self.installation.stack.settings["WAYBILL_BROKER_URL"]).path.lstrip("/")
        command = ["rabbitmqctl", "--quiet", "close_all_connections", "--vhost", host, "chaos"]
        subprocess.run(command, check=True, capture_output=True)
        return "cut RabbitMQ"

    def kill_redis(self) -> str:
        """Kill the installation's own Redis, and start an empty one in its place."""
        port = urlsplit(self.installation.redis_url).port
        for each in psutil.Process().children():
            if role(each).startswith("redis-server") and str(port) in " ".join(each.cmdline()):
                each.kill()
                each.wait(10)
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        subprocess.Popen([*command, "--appendonly", "no"], stdout=subprocess.DEVNULL)
        until(self._redis_answers, 20, "Redis does not come back")
        return "killed Redis"

    def end(self) -> None:
        """End the servers that this run started itself."""
        for each in psutil.Process().children():
            if role(each).startswith("redis-server"):
                each.terminate()

    def _part(self, name: str) -> psutil.Process:
        found = [each for each in self.installation.children("") if _is(each, name)]
        return self.dice.choice(sorted(found, key=lambda each: each.pid))

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.installation.redis_url, socket_timeout=2)

    def _redis_answers(self) -> bool:
        try:
            with self._redis() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def _is(process: psutil.Process, name: str) -> bool:
    return role(process).startswith(name)
