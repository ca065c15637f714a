"""A real Slurm of one node, started by tests: own folder, ports and credentials, no system file touched, no database.

It enforces memory as a cluster does: a job over its ``--mem`` is killed, found by sampling once a second.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PROGRAMS = {"munged": "/usr/sbin", "slurmctld": "/usr/sbin", "slurmd": "/usr/sbin", "sbatch": "/usr/bin"}

# More processors than there are: most of a small job's time goes by waiting. A GPU that is only counted shows what a
# rule asks for. Ended jobs are remembered for as long as tests may take. Sampling counts shared pages once (UsePss), as
# a cgroup would.
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/node
StateSaveLocation={folder}/controller
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
JobCompType=jobcomp/none
MinJobAge=7200
InactiveLimit=0
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """The parts of Slurm that this machine lacks."""
    return [name for name, folder in PROGRAMS.items() if not shutil.which(name, path=f"{os.environ['PATH']}:{folder}")]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Job(NamedTuple):
    """What the queue says of a job; Snakemake's plugin puts rule and wildcards into the comment."""

    id: str
    state: str
    memory: str
    name: str
    comment: str
    folder: Path


class OneNode:
    """Slurm's three services on this machine; ``env`` leads commands to them."""

    def __init__(self) -> None:
        # A socket's path is limited to about 100 characters, which pytest's own folders exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="posemill-slurm-"))
        for name in ("munge", "node", "controller"):
            (self.folder / name).mkdir()
        for path in (self.folder, self.folder / "munge"):
            path.chmod(0o755)
        conf = CONF.format(
            folder=self.folder,
            host=socket.gethostname().split(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            controller_port=_free_port(),
            node_port=_free_port(),
        )
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text("AutoDetect=off\nName=gpu File=/dev/null\n")
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.env = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all three and wait until the node takes jobs."""
        munge = self.folder / "munge"
        self._start(
            *("munged", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/socket"),
            *(f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"),
        )
        self._wait_for(lambda: (munge / "socket").exists(), "munged")
        self._start("slurmctld", "-D", "-i")
        self._start("slurmd", "-D")
        self._wait_for(lambda: "idle" in self.run("sinfo", "--noheader", "-o", "%T", check=False), "slurmd")

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._services[name] = subprocess.Popen(
                [f"{PROGRAMS[name]}/{name}", *arguments], stdout=log, stderr=log, env={**os.environ, **self.env}
            )

    def _wait_for(self, ready, name: str) -> None:
        deadline = time.monotonic() + 30
        while not ready():
            if time.monotonic() > deadline or self._services[name].poll() is not None:
                raise RuntimeError(f"{name} did not start:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def restart_controller(self, pause_s: float) -> None:
        """Stop the controller and start it again after a while; jobs on the node go on."""
        controller = self._services["slurmctld"]
        controller.terminate()
        controller.wait(30)
        time.sleep(pause_s)
        self._start("slurmctld", "-D")

    def run(self, *command: str, check: bool = True) -> str:
        """Standard output of a command of Slurm."""
        done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def jobs(self) -> list[Job]:
        """Every job that the controller remembers, oldest first; none while it does not answer."""
        text = self.run("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%T|%m|%j|%k|%Z", check=False)
        return [Job(*fields[:5], Path(fields[5])) for fields in (line.split("|", 5) for line in text.splitlines())]

    def stop(self) -> None:
        """End all jobs and services, and remove the folder."""
        self.run("scancel", "--full", "--partition=main", check=False)
        deadline = time.monotonic() + 10
        while self.run("squeue", "--noheader", check=False).strip() and time.monotonic() < deadline:
            time.sleep(0.2)
        for name in ("slurmd", "slurmctld", "munged"):
            if service := self._services.get(name):
                service.terminate()
                try:
                    service.wait(10)
                except subprocess.TimeoutExpired:
                    service.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
