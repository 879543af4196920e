"""One virtual machine under qemu: started from a cache directory made by `image`, driven over QMP and ssh."""
import json
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

DISKS = ("root", "tank", "backup")  # vda, vdb, vdc


class Machine:
    """The files key, vmlinuz and initrd come from `cache`; the three NAME.qcow2 disks, sockets and logs are in `work`; qemu gets
    these options too."""

    def __init__(self, cache, work, options=()):
        self.cache, self.work, self.options = Path(cache), Path(work), options
        self.qemu = None

    def start(self, state=None, clock=None):
        """Boots the disks (its clock at `clock`, seconds since 1970), or goes on from a saved `state`."""
        base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(clock))
        append = ("root=/dev/vda rw console=ttyS0 mitigations=off nowatchdog audit=0 panic=-1 oops=panic net.ifnames=0"
                  " rcupdate.rcu_cpu_stall_suppress=1 systemd.show_status=0 loglevel=4"
                  # What the kernel does for its own safety and debugging: a quarter of each fork and exec here.
                  " kfence.sample_interval=0 init_on_alloc=0 lsm= randomize_kstack_offset=off")
        # One processor and the plain model: twice as fast for ZFS under emulation as `-cpu max -smp 2`.
        # No KVM even where there is one, so that a saved state means the same everywhere.
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-smp", "1", "-m", "1024",
                "-nodefaults", "-display", "none", "-no-reboot", "-qmp", "unix:qmp,server=on,wait=off",
                "-serial", "file:console.log", "-rtc", f"base={base},clock=vm", "-device", "virtio-rng-pci",
                "-kernel", self.cache / "vmlinuz", "-initrd", self.cache / "initrd", "-append", append,
                "-nic", "user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:0-:2222"]
        for disk in DISKS:
            # unsafe: the host need not sync. What the guest flushed is with the host's kernel all the same, so
            # killing qemu is a power cut: flushed writes stay, others may be lost.
            argv += ["-drive", f"file={disk}.qcow2,if=virtio,format=qcow2,cache=unsafe,discard=unmap"]
        argv += self.options
        if state:
            argv += ["-incoming", f"exec:zstd -qdc {shlex.quote(str(state))}"]
        # setpriv: this process killed (SIGKILL too), qemu goes with it.
        self.qemu = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, argv)], cwd=self.work,
                                     stdin=subprocess.DEVNULL, stderr=open(self.work / "qemu.log", "w"))
        self._connect()
        while state and self.qmp("query-status")["status"] == "inmigrate":
            time.sleep(0.02)
        if state:
            self.qmp("cont")
        self.port = re.search(r"127\.0\.0\.1\s+(\d+)", self._monitor("info usernet"))[1]

    def _connect(self):
        path = self.work / "qmp"
        while True:
            if self.qemu.poll() is not None:
                raise RuntimeError("qemu did not start: " + (self.work / "qemu.log").read_text())
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.02)
        self._qmp = connection.makefile("rw")
        self._qmp.readline()
        self.qmp("qmp_capabilities")

    def qmp(self, command, **arguments):
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._qmp.flush()
        while True:
            answer = json.loads(self._qmp.readline() or '{"error": "qemu is gone"}')
            if "error" in answer:
                raise RuntimeError(f"qemu: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def _monitor(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def ssh(self, *options):
        """The ssh command up to and with the host; one connection carries all commands."""
        return ["ssh", "-q", "-F", "none", "-i", str(self.cache / "key"), "-p", self.port, "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20",
                "-o", "ControlMaster=auto", "-o", f"ControlPath=ssh-{self.port}", "-o", "ControlPersist=yes",
                "-o", "Ciphers=chacha20-poly1305@openssh.com", *options, "root@127.0.0.1"]

    def call(self, command, check=True, timeout=None, **options):
        return subprocess.run([*self.ssh(), command], cwd=self.work, check=check, timeout=timeout, text=True, **options)

    def wait_for_ssh(self):
        # Without our stderr: the process that keeps the connection would hold it open.
        while self.call("true", check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            if self.qemu.poll() is not None:
                raise RuntimeError("the machine stopped: " + (self.work / "console.log").read_text()[-3000:])
            time.sleep(0.2)

    def save(self, state):
        """Writes memory and devices to `state` and ends; the disks then belong to that state."""
        self.qmp("stop")
        self.qmp("migrate", uri=f"exec:zstd -q -1 > {shlex.quote(str(state))}")
        while (status := self.qmp("query-migrate").get("status")) != "completed":
            if status == "failed":
                raise RuntimeError("saving the state failed")
            time.sleep(0.1)
        self.qmp("quit")
        self.qemu.wait()

    def kill(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
