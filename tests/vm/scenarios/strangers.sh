# machines: debian13 (the newer OpenSSH; ssh.sh has the older)
# Far sides that are not as one would have them: csh, no home, greetings, a long name, an ssh_config full of wishes, a
# source that sends more than it was asked for. Over a real sshd.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
install -d -m 700 /root/.ssh /etc/ssh/keys
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf 'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%%u\nAcceptEnv LC_* LANG\n' >/etc/ssh/sshd_config.d/keys.conf
# stranger NAME HOME SHELL: root under another name.
stranger() {
  useradd -o -u 0 -g 0 -M -p '*' -d "$2" -s "$3" "$1"
  install -m 644 /root/.ssh/id_ed25519.pub "/etc/ssh/keys/$1"
}
mkdir /home/csh
stranger csh /home/csh /bin/tcsh
stranger homeless /nonexistent /bin/sh
stranger guest /home/guest /bin/bash
install -d /home/guest
cat >/home/guest/.bashrc <<'EOS'
echo 'Welcome!' >&2
echo "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)" >&2
echo "cannot open 'nothing at all'" >&2
EOS
install -m 644 /root/.ssh/id_ed25519.pub /etc/ssh/keys/root
start_sshd
for dataset in tank/x tank/home tank/home/kid 'tank/home/with space' backup/pulled backup/csh; do zfs create "$dataset"; done
# far USER [NAME]: the other machine, as USER; it is called NAME.
far() {
  local host=${2-far}
  cat >/etc/zam/zam.yaml <<EOS
hosts:
  $host: {ssh: $1@localhost}
destinations:
  here: {root: backup/pulled, replication-period: 1h}
  away: {host: $host, root: backup/$1, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1d, period: 1d}]}
datasets:
  "$host:tank/x": {destinations: [here]}
  tank/home: {recursive: true, snapshot-period: 1h, destinations: [away]}
EOS
}
take() { fill tank/home/kid 300K; advance '2 sec'; zam snapshot tank/home >/dev/null; }
# pushed ROOT: all of the tree has arrived there.
pushed() {
  local dataset
  for dataset in tank/home tank/home/kid 'tank/home/with space'; do
    equal "$(guids "$1/$dataset" | tail -n 1)" "$(guids "$dataset" | tail -n 1)"
  done
}

say "csh there: a source with two cursors and no snapshot is not destroyed"
far root
for day in 1 2; do zfs snapshot "tank/x@zam_2026110${day}T000000Z"; done
expect 0 zam replicate far:tank/x
id=$(zfs list -H -t bookmark -o name tank/x | sed 's/.*#//; s/_[^_]*$//')
first=$(guids tank/x | head -n 1)
zfs bookmark tank/x@zam_20261101T000000Z "tank/x#${id}_$(printf %016x "$first")"
zfs destroy tank/x@%
born=$(zfs get -Hpo value guid tank/x)
far csh
expect 0 zam replicate far:tank/x
equal "$(zfs get -Hpo value guid tank/x)" "$born"
equal "$(zfs list -H -t bookmark -o name tank/x | wc -l)" 1

say "csh there: pull, push and prune"
zfs snapshot tank/x@zam_20261103T000000Z
expect 0 zam replicate far:tank/x
equal "$(guids backup/pulled/tank/x | tail -n 1)" "$(guids tank/x | tail -n 1)"
equal "$(zfs list -H -t bookmark -o name tank/x | wc -l)" 1
for _ in 1 2 3; do
  take
  expect 0 zam replicate tank/home
done
pushed backup/csh
expect 0 zam prune --to away tank/home
equal "$(snapshots backup/csh/tank/home/kid | wc -l)" 2
expect 0 zam replicate tank/home

say "no home, and greetings on stderr, at the first replication and at the next"
for user in homeless guest; do
  far $user
  expect 1 zam replicate tank/home
  has "backup/$user does not exist"
  zfs create backup/$user
  take
  expect 0 zam replicate tank/home
  pushed backup/$user
  take
  expect 0 zam replicate tank/home
  pushed backup/$user
done

say "a name of 81 characters"
zfs create backup/root
far root "$(printf 'a-host-with-a-long-name-%.0s' 1 2 3)olympus-x"
take
expect 0 zam replicate tank/home
pushed backup/root
equal "$(ls /run/zam | grep -c ssh || true)" 0

say "an ssh_config full of wishes"
cat >/root/.ssh/config <<'EOS'
Host *
  RequestTTY force
  RemoteCommand echo not this
  ForwardX11 yes
  ForwardAgent yes
  LocalForward 127.0.0.1:22 localhost:22
  SendEnv LANG LC_*
  PermitLocalCommand yes
  LocalCommand echo hello
  EscapeChar ~
  StdinNull yes
  ForkAfterAuthentication yes
  SessionType none
  ControlPath none
  LogLevel VERBOSE
  VisualHostKey yes
EOS
far root
take
expect 0 zam replicate tank/home
pushed backup/root
zfs snapshot tank/x@zam_20261104T000000Z
expect 0 env LC_TIME=de_DE.UTF-8 zam replicate far:tank/x
equal "$(guids backup/pulled/tank/x | tail -n 1)" "$(guids tank/x | tail -n 1)"
rm /root/.ssh/config

say "a pulled source sends its properties and children that nobody asked for: neither takes effect, and it is said"
zfs create -o canmount=on -o mountpoint=/etc/evil tank/evil
zfs create -o mountpoint=/etc/cron.evil tank/evil/kid
zfs snapshot -r tank/evil@zam_20261101T000000Z
printf '#!/bin/bash\nif [[ $1 == send && $* != *-n* ]]; then exec /usr/sbin/zfs send -R "${@: -1}"; fi\nexec /usr/sbin/zfs "$@"\n' \
  >/usr/local/sbin/zfs
chmod +x /usr/local/sbin/zfs
echo '  "far:tank/evil": {destinations: [here]}' >>/etc/zam/zam.yaml
env PATH=/usr/sbin:/usr/bin zam replicate far:tank/evil || true
output=$(env PATH=/usr/sbin:/usr/bin zam replicate far:tank/evil 2>&1) || true
echo "$output"
has 'backup/pulled/tank/evil/kid'
rm /usr/local/sbin/zfs
lacks "$(zfs get -rHo value mountpoint backup/pulled)" '/etc/'

say "this machine under another name: its root inside what is replicated is refused, and nothing is sent"
zfs create tank/home/zam
cat >/etc/zam/zam.yaml <<EOS
hosts:
  me: {ssh: root@localhost}
destinations:
  loop: {host: me, root: tank/home/zam, replication-period: 1h}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, destinations: [loop]}
EOS
advance '2 sec'
zam snapshot tank/home >/dev/null
expect 1 zam replicate tank/home
has 'tank/home/zam'
equal "$(zfs list -H -r -o name tank/home/zam)" tank/home/zam
