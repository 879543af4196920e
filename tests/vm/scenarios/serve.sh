# machines: debian13 (the newer OpenSSH and ZFS; core/serve decides the same on both)
# An account without root, made by `zam setup`, whose keys are bound to `zam serve`: one pushes and prunes, one only adds,
# one fetches. And what somebody can do who has stolen such a key.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # so that short streams leave something to resume
for dataset in tank/home tank/home/kid tank/far backup/pulled; do zfs create $dataset; done
install -d -m 700 /root/.ssh
for key in push add fetch; do ssh-keygen -q -t ed25519 -N '' -f "/root/.ssh/$key"; done
start_sshd
cat >/etc/zam/zam.yaml <<EOF
hosts:
  push: {ssh: far@localhost, identity: /root/.ssh/push}
  add: {ssh: far@localhost, identity: /root/.ssh/add}
  fetch: {ssh: far@localhost, identity: /root/.ssh/fetch}
destinations:
  pushed: {host: push, root: backup/far, compress: zstd, idle: {pool: true}, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1d, period: 1d}]}
  added: {host: add, root: backup/add, replication-period: 1h, rate-limit: 512KiB/s}
  here: {root: backup/pulled, idle: {pool: true}, replication-period: 1h, rate-limit: 512KiB/s}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [pushed, added]}
  "fetch:tank/far": {destinations: [here]}
EOF
say "the account and its keys, as zam setup says; then nothing is missing"
for host in push add fetch; do
  expect 1 zam setup --on $host --check
  zam setup --on $host >/root/setup
  expect 0 sh /root/setup
  expect 0 zam setup --on $host
  equal "$output" ''
done
equal "$(wc -l </home/far/.ssh/authorized_keys)" 3
for permission in '-d -u far send' '-l -u far hold' '-l -u far bookmark' '-l -u far destroy'; do
  zfs unallow $permission tank/far
  expect 0 zam setup --on fetch
  equal "$(grep '^zfs' <<<"$output")" "zfs allow $permission tank/far"
  sh -c "$output"
done
expect 0 zam setup --on fetch --check

say "an sshd that turns this machine away, because it has just refused a key, is one that cannot be reached for a while"
start_sshd authfail:100s
expect 255 ssh -n -o BatchMode=yes -i /root/.ssh/push root@localhost true
has 'Permission denied'
turned_away() { ! ssh -n -o BatchMode=yes -i /root/.ssh/push far@localhost zam serve; }
wait_for turned_away
expect 75 zam replicate --to pushed tank/home
has 'cannot reach push .far@localhost.: .*its sshd hung up: .* keys that it refused a moment ago'
start_sshd

say "each key may ask whether its pool is being scrubbed, as a job of systemd's does"
echo 1 >/sys/module/zfs/parameters/zfs_scan_suspend_progress
zpool scrub tank backup
expect 75 env ZAM_INSTANCE=replicate:pushed-tank-home zam replicate --to pushed tank/home
has 'not now: the pool backup on push is being scrubbed'
expect 75 env ZAM_INSTANCE=replicate:here-fetch:tank-far zam replicate --to here fetch:tank/far
has 'not now: the pool tank on fetch is being scrubbed'
zpool scrub -s tank backup
echo 0 >/sys/module/zfs/parameters/zfs_scan_suspend_progress

take() { fill tank/home/kid "$1"; advance '2 sec'; zam snapshot tank/home >/dev/null; }
# interrupt TO DATASET REPLICA: the receiver is killed in the middle of a stream of 16 seconds, and leaves a part of it.
interrupt() {
  zam replicate $1 "$2" >/dev/null 2>&1 &
  wait_for streaming "$3"
  sleep 2
  pkill -9 -f '^zfs receive'
  wait $! || true
  contains "$(zfs get -Hpo value receive_resume_token "$3")" '^1-'
}

say "one key brings replicas, packed and unpacked, goes on where it was cut, and prunes"
take 200K
expect 0 zam replicate tank/home
for _ in 1 2; do take 200K; done
expect 0 zam replicate tank/home
arrived backup/far tank/home/kid
arrived backup/add tank/home/kid
expect 0 zam prune --to pushed tank/home
equal "$(snapshots backup/far/tank/home/kid | wc -l)" 2
take 8M
interrupt '--to added' tank/home backup/add/tank/home/kid
expect 0 zam replicate tank/home
arrived backup/add tank/home/kid

say "one fetches, and keeps its place by bookmarks"
zfs snapshot tank/far@zam_20261122T000000Z
expect 0 zam replicate fetch:tank/far
fill tank/far 8M
zfs snapshot tank/far@zam_20261122T010000Z
interrupt '' fetch:tank/far backup/pulled/tank/far
expect 0 zam replicate fetch:tank/far
arrived backup/pulled tank/far
equal "$(zfs list -H -t bookmark -o name tank/far | wc -l)" 1
equal "$(journalctl -q -t zam -g 'refused the key' -o cat | wc -l)" 0

say "who steals a key runs nothing else: no shell, no other command, no dataset beside its root"
kept=$(zfs list -Hp -r -t filesystem,snapshot,bookmark -o name,guid tank backup)
newest=$(zfs list -H -d 1 -t snapshot -o name backup/add/tank/home/kid | tail -n 1)
before="env 'ZAM=#@,. %' LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"
tried=0
steal() {
  local code=0
  output=$(ssh -n -i "/root/.ssh/$1" -o BatchMode=yes -o ControlMaster=auto -o ControlPath="/run/stolen-$1" -o ControlPersist=60 \
    far@localhost "${@:2}" 2>&1) || code=$?
  ((code)) && contains "$output" 'zam serve refuses the key|forced command' || fail "$1 ran: ${*:2}: $output"
  tried=$((tried + 1))
}
for key in add fetch; do
  steal $key
  for words in "destroy '$newest'" 'destroy -r backup/add' 'destroy backup/add/tank/home/kid' 'rollback -r backup/add/tank/home@x' \
    'receive -F backup/add/tank/home' 'receive -A backup/add/tank/home/kid' 'receive -s -u backup/pulled/x' 'promote backup/add' \
    'rename backup/add backup/x' 'set readonly=off backup/add/tank/home' 'inherit readonly backup/add' 'allow everyone destroy backup' \
    'unallow everyone backup' 'hold x backup/add@x' 'release x backup/add@x' 'clone backup/add@x backup/add/x' 'mount -a' \
    'unmount -a' 'share -a' 'upgrade -a' 'program backup x' 'send -R tank@x' "send -Lc 'tank/home@zam_20261123T100102Z'" \
    'diff tank/home@a' 'load-key -a' 'change-key backup' 'create -o mountpoint=/etc backup/add/x' 'wait backup' 'list -r backup' 'jail 1 x'; do
    steal $key "$before zfs $words"
  done
  steal $key "$before zpool destroy backup"
  steal $key 'zfs list; zfs destroy -r backup'
  steal $key '/bin/sh -c reboot'
done
steal push "$before zfs destroy 'backup/add/tank/home/kid@zam_20261123T100102Z'"
steal push "$before zfs destroy backup/far/tank/home/kid"
steal push "$before zfs receive -s -u backup/add/x"
say "$tried commands refused"
equal "$(zfs list -Hp -r -t filesystem,snapshot,bookmark -o name,guid tank backup)" "$kept"
equal "$(journalctl -q -t zam -g 'refused the key' -o cat | wc -l)" $((tried - 2))
expect 255 ssh -n -o BatchMode=yes -i /root/.ssh/add -W localhost:22 far@localhost

say "the token of a dataset beside the root is refused"
zfs create backup/hidden
zfs send -Lc "tank/home/kid@$(snapshots tank/home/kid | tail -n 1)" | head -c 2000000 | zfs receive -s -u backup/hidden/x 2>/dev/null || true
steal fetch "$before zfs send -t $(zfs get -Hpo value receive_resume_token backup/hidden/x)"
has 'tank/home/kid is not within what this key is for'

say "what a stream says of mount points and room is not taken over"
zfs create -o mountpoint=/etc/evil -o quota=10M tank/evil
zfs snapshot tank/evil@x
zfs send -p tank/evil@x | ssh -i /root/.ssh/add -o BatchMode=yes far@localhost "$before zfs receive -s -u backup/add/evil" || true
expect 0 zfs list -H -o name backup/add/evil@x
lacks "$(zfs get -rHo value mountpoint,quota backup/add)" '/etc/|10M'

say "nor what it would rename: an account lacks the permission, which root never does"
# renaming DATASET: a package in which the snapshot that the replica keeps has a name that its pruning would take.
renaming() {
  zfs create $1
  zfs snapshot $1@kept
  zfs send $1@kept | ssh -i /root/.ssh/add -o BatchMode=yes far@localhost "$before zfs receive -s -u backup/add/${1##*/}"
  zfs rename $1@kept $1@zam_20250101T000000Z
  zfs snapshot $1@next
  zfs send -R -I @zam_20250101T000000Z $1@next >/root/package
}
names() { zfs list -H -d 1 -t snapshot -o name $1 | cut -d @ -f 2 | xargs; }
renaming tank/twin
ssh -i /root/.ssh/add -o BatchMode=yes far@localhost "$before zfs receive -s -u backup/add/twin" </root/package || true
contains "$(names backup/add/twin)" '^kept( next)?$'
renaming tank/kin
SSH_ORIGINAL_COMMAND="$before zfs receive -s -u backup/add/kin" zam serve --append-only --root backup/add </root/package || true
contains "$(names backup/add/kin)" '^zam_20250101T000000Z'

say "pruning over a key that only adds is refused, and says so"
sed -i 's/  added: {/&prune-period: 1d, windows: [{max-age: 1d, period: 1d}], /' /etc/zam/zam.yaml
expect 1 zam prune --to added tank/home
has 'this key destroys no snapshots'

say "the machine that keeps the replicas prunes them itself, and the key goes on adding"
echo 'datasets: {backup/add: {recursive: true, windows: [{max-age: 1d, period: 1d}]}}' >/root/far.yaml
expect 0 zam --config /root/far.yaml prune backup/add
equal "$(snapshots backup/add/tank/home/kid | wc -l)" 2
take 200K
expect 0 zam replicate --to added tank/home
arrived backup/add tank/home/kid

say "a key says what it may do"
expect 0 ssh -n -o BatchMode=yes -i /root/.ssh/add far@localhost zam serve
has '"role":"append-only","roots":."backup/add".'

say "weeks without a person: what is cut once and for all is given up there, and everything else goes on meanwhile"
sed -i 's/, rate-limit: 512KiB.s//' /etc/zam/zam.yaml
take 4M
base=$(snapshots backup/add/tank/home/kid | tail -n 1) lost=$(snapshots tank/home/kid | tail -n 1)
zfs send -i "@$base" "tank/home/kid@$lost" | head -c 2000000 | zfs receive -s -u backup/add/tank/home/kid 2>/dev/null || true
zfs destroy "tank/home/kid@$lost"
for day in {1..16}; do
  advance '1 day'
  fill tank/home/kid 100K
  zam snapshot tank/home >/dev/null
  zam replicate --to added tank/home >/root/added 2>&1 || has 'receive -A' /root/added
  zam --config /root/far.yaml prune backup/add >/root/pruned 2>&1 || fail "$(cat /root/pruned)"
  zam prune tank/home >/dev/null
  equal "$(guids backup/add/tank/home | tail -n 1)" "$(guids tank/home | tail -n 1)"
  ((day != 3)) || has 'kid holds part of a stream that has not grown for 2d; after 2w it is given up' /root/pruned
  ((day != 15)) || has 'kid: gave up part of a stream that had not grown for 2w' /root/pruned
done
arrived backup/add tank/home/kid
equal "$(zfs get -Hpo value receive_resume_token backup/add/tank/home/kid)" '-'
