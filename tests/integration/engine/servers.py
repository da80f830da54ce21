"""Servers of a test's own, to be stopped, frozen and killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import uuid4

import redis
from sqlalchemy import NullPool, create_engine, make_url, text

from cognition.adapters.embedded import ensure_running, status
from cognition.adapters.postgres import migrate
from tests.integration.engine.stage import wait_until

_POSTGRESQL, _VALKEY = "postgresql", "valkey"


class Servers:
    """The embedded servers of a home."""

    def __init__(self, home: Path) -> None:
        """Use a home; starts nothing."""
        self._home = home
        self._frozen: set[int] = set()
        self._template: str | None = None

    @property
    def redis_url(self) -> str:
        """Where Redis is, or will be again."""
        return self._redis_url

    def start(self) -> None:
        """Start what does not run, and empty Redis."""
        running = ensure_running(self._home)
        assert running.redis_url is not None
        self._redis_url, self._database_url = running.redis_url, running.database_url
        with redis.Redis.from_url(running.redis_url) as client:  # pyright: ignore[reportUnknownMemberType]
            client.flushall()  # pyright: ignore[reportUnknownMemberType]

    def fresh_database(self) -> str:
        """Return the URL of a database at the newest revision, without rows."""
        if self._template is None:
            # After a kill PostgreSQL would send each file to the disk, for half a minute; nothing here must last.
            self._execute("ALTER SYSTEM SET fsync = off")
            self._execute("SELECT pg_reload_conf()")
            self._template = self._create_database("template1")
            migrate.upgrade(self._template)
        return self._create_database(str(make_url(self._template).database))

    def role_with_password(self, database_url: str, password: str) -> str:
        """Return the URL of a database for a user whom PostgreSQL asks for a password."""
        name = f"guarded_{uuid4().hex}"
        rules = self._home / _POSTGRESQL / "data" / "pg_hba.conf"
        others = rules.read_text(encoding="utf-8")
        rules.write_text(f"local all {name} scram-sha-256\n{others}", encoding="utf-8")
        self._execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{password}'")
        self._execute("SELECT pg_reload_conf()")
        return make_url(database_url).set(username=name, password=password).render_as_string(hide_password=False)

    def kill_redis(self) -> None:
        """Kill Redis without warning."""
        self._end(_VALKEY, signal.SIGKILL)

    def kill_postgres(self) -> None:
        """Kill PostgreSQL without warning."""
        self._end(_POSTGRESQL, signal.SIGKILL)

    def freeze_redis(self) -> None:
        """Let Redis accept connections and say nothing any more."""
        pid = self._pid_of(_VALKEY)
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)

    def resume(self) -> None:
        """Let what is frozen go on."""
        while self._frozen:
            os.kill(self._frozen.pop(), signal.SIGCONT)

    def _create_database(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return make_url(self._database_url).set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        engine = create_engine(self._database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))

    def _end(self, name: str, how: signal.Signals) -> None:
        os.kill(self._pid_of(name), how)
        wait_until(lambda: not self._runs(name))

    def _runs(self, name: str) -> bool:
        return next(server.running for server in status(self._home) if server.name == name)

    def _pid_of(self, name: str) -> int:
        pid = next(server.pid for server in status(self._home) if server.name == name)
        assert pid is not None
        return pid
