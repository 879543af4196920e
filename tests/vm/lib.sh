# Helpers for scenarios; sourced in the guest before each part (tests/vm/run).
set -Eeuo pipefail
shopt -s inherit_errexit
exec 3>&1 # to the host, where a function's own output is captured
export SYSTEMD_BUS_TIMEOUT=300 # seconds; systemctl gives up after 25, which an emulated PID 1 may take

# A command that fails ends the scenario and names its line there, also from inside these helpers.
trap 'failed $?' ERR
failed() {
  local i file
  for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
    [[ ${BASH_SOURCE[i]} == */lib.sh ]] || break
  done
  file=${BASH_SOURCE[i]-bash}
  ((BASH_SUBSHELL)) ||
    echo "FAILED at ${file##*/}:${BASH_LINENO[i - 1]} (exit $1): $(sed -n "${BASH_LINENO[i - 1]}p" "$file")" >&3
  exit "$1"
}
# A process that still runs in the background would hold the connection open.
trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; exit $code' EXIT

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; return 1; }

# expect CODE COMMAND...: runs it, shows what it prints (kept in $output), and insists on its exit code.
expect() {
  local wanted=$1 code=0
  shift
  (($#)) || fail "nothing to run"
  printf '$ %s\n' "$*"
  output=$("$@" 2>&1) || code=$?
  [[ -z $output ]] || printf '%s\n' "$output"
  ((code == wanted)) || fail "exit code $code, not $wanted: $*"
}

# traced COMMAND...: runs it; /root/calls then has the arguments of every zfs that it started, a line for each.
traced() {
  mkdir -p /root/traced
  printf '#!/bin/bash\necho "$*" >>/root/calls\nexec /usr/sbin/zfs "$@"\n' >/root/traced/zfs
  chmod +x /root/traced/zfs
  : >/root/calls
  PATH=/root/traced:$PATH "$@"
}

# What a program has said when it ends, journald may not have written yet: on a busy machine it comes later.
journalctl() { command journalctl --sync; command journalctl "$@"; }

# contains TEXT PATTERN / lacks TEXT PATTERN: an extended regular expression.
contains() { grep -qE -e "$2" <<<"$1" || fail "no '$2' in: $1"; }
lacks() {
  local code=0
  grep -E -e "$2" <<<"$1" || code=$?
  ((code == 1)) || fail "'$2' is in: $1" # 2: it is no pattern
}
# has PATTERN [FILE]: in a file, or in what the last `expect` printed.
has() { contains "$(if (($# > 1)); then cat "$2"; else printf '%s' "$output"; fi)" "$1"; }
equal() { [[ $1 == "$2" ]] || fail "not equal: $(diff <(printf '%s\n' "$1") <(printf '%s\n' "$2"))"; }

# Processes are slow under emulation: what is looked at again and again is looked at without one.
uptime_seconds() {
  local up
  read -r up _ </proc/uptime
  echo "${up%.*}"
}
# wait_for COMMAND...: until it succeeds. The limit is for what hangs, because a machine may be slow without end. By the
# uptime: scenarios move the clock.
wait_for() {
  local up end
  read -r up _ </proc/uptime
  end=$((${up%.*} + ${PATIENCE:-1000}))
  until "$@" >/dev/null 2>&1; do
    read -r up _ </proc/uptime
    ((${up%.*} < end)) || { never "$@"; return 1; }
    sleep 0.3
  done
}
# never COMMAND...: fails with what it says, and with the end of its last argument, if that is a file.
never() {
  "$@" || true
  [[ ! -f ${*: -1} ]] || tail -n 20 -- "${*: -1}"
  fail "not in time: $*"
}
# idle [JOB]: no job of zam is at work or about to be, or not this one, nor an alert being sent. Control groups are gone when
# a unit is almost so; only then is systemd itself asked.
idle() {
  ! compgen -G "/sys/fs/cgroup/system.slice/system-zam*/zam*@${1-*}.service" >/dev/null || return 1
  local units="zam*@${1-*}.service"
  [[ -z $(systemctl list-units --no-legend --state=activating,active,deactivating "$units") ]] &&
    [[ -z $(systemctl list-jobs --no-legend "$units") ]]
}
# has_snapshot DATASET TIME: a mounted dataset has an owned snapshot of the time that begins so, like 20261123T10.
has_snapshot() { compgen -G "/$1/.zfs/snapshot/*_$2*Z" >/dev/null; }

# config <<EOF: the configuration, made effective.
config() {
  mkdir -p /etc/zam
  cat >/etc/zam/zam.yaml
  zam reload
}

# clock '2026-11-23 10:00:00': sets it, in UTC. The host carries it over a power cut and a reboot.
clock() { date -u -s "$1" >/dev/null; }
advance() { clock "@$(date -u -d "now + $1" +%s)"; }

# cut_power: this very moment; the part must end in a `#--- power cut` line.
cut_power() {
  printf '#--- cut %(%s)T\n' -1 >&3
  sleep infinity
}

# A property of each owned snapshot, oldest first.
owned() {
  local only='s/^[^@]*@[^@]*_[0-9]{8}T[0-9]{6}Z\t//p'
  zfs list -Hp -d 1 -t snapshot -s createtxg -o "name,$2" "$1" | sed -nE "$only" || true
}
snapshots() { owned "$1" name | cut -d @ -f 2; }
guids() { owned "$1" guid; }

# meet HOST: its sshd answers, and root trusts its key.
meet() {
  mkdir -p /root/.ssh
  ssh-keyscan -T 60 -t ed25519 "$1" 2>/dev/null | grep . >>/root/.ssh/known_hosts
}
# start_sshd [PENALTIES]: root can log in to this machine, as to another one. The sshd of the newer Debian turns a machine
# away for which it has refused several keys within seconds: whether a scenario does so depends on how fast it runs.
start_sshd() {
  [[ $(</etc/debian_version) == 12* ]] ||
    echo "PerSourcePenalties ${1-no}" >/etc/ssh/sshd_config.d/penalties.conf
  systemctl restart ssh.service
  wait_for meet localhost
}
# streaming REPLICA: a stream is under way that would leave something to resume. ZFS drops a first one of which no block is
# on the disk yet.
streaming() {
  local token
  echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # seconds, instead of five
  pgrep -f "^zfs receive .*$1" || return 1
  token=$(zfs get -Hpo value receive_resume_token "$1") || return 1
  [[ $token == 1-* && $(zfs send -nvPt "$token" 2>&1) == *'bytes = 0x'[1-9a-f]* ]]
}

# fill DATASET SIZE: one more file of random bytes.
fill() {
  local directory
  directory=$(zfs get -Ho value mountpoint "$1")
  head -c "$2" /dev/urandom >"$(mktemp "$directory/file.XXXXXX")"
}

# content DATASET-OR-SNAPSHOT: a hash over names, owners, modes, times and contents, mounted or not.
content() {
  local directory
  if [[ $(zfs get -Ho value type "${1%@*}") == volume ]]; then
    sha256sum <"/dev/zvol/$1" | cut -d ' ' -f 1
  elif [[ $1 != *@* && $(zfs get -Ho value mounted "$1") == yes ]]; then
    tar -C "$(zfs get -Ho value mountpoint "$1")" --sort=name -cf - . | sha256sum | cut -d ' ' -f 1
  else
    directory=$(mktemp -d)
    if [[ $1 == *@* ]]; then mount -t zfs "$1" "$directory"; else mount -t zfs -o ro,zfsutil "$1" "$directory"; fi
    tar -C "$directory" --sort=name -cf - . | sha256sum | cut -d ' ' -f 1
    umount "$directory"
    rmdir "$directory"
  fi
}

# arrived ROOT SOURCE: the newest snapshot of a source is there too, byte by byte.
arrived() {
  local newest
  newest=$(snapshots "$2" | tail -n 1)
  [[ -n $newest ]] || fail "$2 has no snapshot"
  equal "$(guids "$1/$2" | tail -n 1)" "$(guids "$2" | tail -n 1)"
  equal "$(content "$1/$2@$newest")" "$(content "$2@$newest")"
}

# What the two scenarios share in which failures are noticed. They have `notify: [... >>/root/told]`, in the form EVENT UNIT,
# and `metrics-file: /root/zam.prom`.

# unmask_hourly: as everywhere outside of the rig, but without waiting for the jobs that begin at the same moment.
unmask_hourly() {
  rm /etc/systemd/system/zam-{check,units}.timer
  mkdir -p /etc/systemd/system/zam@check.service.d
  printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStartPre=\n' >/etc/systemd/system/zam@check.service.d/99-at-once.conf
}
# hourly_check: now.
hourly_check() { run_job check; }
login() { bash -lic true 2>/dev/null; }
run_job() {
  advance '2 sec'
  systemctl start "zam@$1.service" 2>/dev/null || true
  wait_for idle "$1"
}
# noticed UNIT [WORDS]: its failure stands everywhere; WORDS are what it said, where it is not the job itself that failed.
noticed() {
  local unit=$1 words=${2-}
  wait_for grep -qF "failed $unit" /root/told
  contains "$(journalctl -u 'zam*' -o cat)" "${words:-$unit: Failed with result}"
  contains "$(systemctl --failed --no-legend)" "$unit"
  hourly_check
  contains "$(login)" "zam: .* alert"
  contains "$(login)" "$unit failed"
  contains "$(zam status)" " ago: $unit failed"
  expect 1 zam check
  [[ -n $words ]] || has "^$unit: failed"
  has '^zam_alerts [1-9]' /root/zam.prom
  [[ ! -e /run/zam-well/all ]]
}
# over UNIT: and is gone from everywhere.
over() {
  hourly_check
  wait_for grep -qF "recovered $1" /root/told
  equal "$(systemctl list-units --failed --no-legend 'zam*')" ''
  lacks "$(zam status)" 'failed'
  expect 0 zam check
  has '^zam_alerts 0$' /root/zam.prom
  [[ -e /run/zam-well/all ]]
  equal "$(login)" ''
  : >/root/told
}
