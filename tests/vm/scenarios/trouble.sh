# machines: debian12 (the older ZFS, whose messages say less)
# Bad days: each ends in one clear error, the right exit code, and nothing lost.
clock '2026-11-27 10:01:00' # no bucket ends meanwhile
zfs create tank/home
zfs create tank/home/kid
zfs create backup/zam
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1w, period: 1h}]}
  lost: {root: nopool/zam, replication-period: 1h}
  elsewhere: {root: backup/none, replication-period: 1h}
datasets:
  tank/home: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
  tank/nowhere: {snapshot-period: 10min, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
  nopool/x: {snapshot-period: 10min, recursive: true, windows: [{max-age: 1d, period: 1h}]}
  tank/away: {snapshot-period: 10min, destinations: [lost]}
  tank/far: {snapshot-period: 10min, destinations: [elsewhere]}
EOF
zfs create tank/away
zfs create tank/far
expect 0 zam config --check

say "a dataset that does not exist; a pool that is not imported"
for verb in snapshot prune replicate; do
  expect 1 zam $verb tank/nowhere
  has 'tank/nowhere does not exist'
done
expect 1 zam snapshot nopool/x
has 'nopool/x does not exist.*zpool import nopool'
expect 1 zam prune nopool/x
zam snapshot tank/away >/dev/null
expect 1 zam replicate tank/away
has 'nopool/zam does not exist.*zpool import nopool'
zam snapshot tank/far >/dev/null
expect 1 zam replicate tank/far
has 'backup/none does not exist.*zfs create backup/none'

say "a dataset that no entry governs"
expect 2 zam snapshot tank/hom
has 'did you mean tank/home'
expect 2 zam snapshot tank/far/child
has 'tank/far above it is not recursive'
expect 2 zam snapshot tank/home@x
has 'without @snapshot'
expect 2 zam replicate tank/home --to nowhere
has 'no destination .nowhere.; it has local'

say "several first replications at once make their common parents once"
zfs create -p tank/deep/down
jobs=()
for name in a b c d; do
  zfs create tank/deep/down/$name
  echo "  tank/deep/down/$name: {snapshot-period: 10min, destinations: [local]}" >>/etc/zam/zam.yaml
  zam snapshot tank/deep/down/$name >/dev/null
  zam replicate tank/deep/down/$name &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || fail "a first replication failed"; done
equal "$(zfs get -Ho value canmount,mounted backup/zam/tank/deep/down | xargs)" 'off no'

say "a new child below a nested entry of its own is brought by the outer one"
for dataset in tank/outer tank/outer/in tank/outer/in/new; do zfs create $dataset; done
cat >>/etc/zam/zam.yaml <<EOF
  tank/outer: {recursive: true, snapshot-period: 10min, destinations: [local]}
  tank/outer/in: {snapshot-period: 10min, destinations: [local]}
EOF
for dataset in tank/outer tank/outer/in; do zam snapshot $dataset >/dev/null; done
expect 75 zam replicate tank/outer
has 'tank/outer/in/new waits for its parent backup/zam/tank/outer/in, which .zam replicate tank/outer/in. brings'
expect 75 zam replicate tank/outer
equal "$(zfs list -H -t bookmark -o name tank/outer/in/new | wc -l)" 0
expect 0 zam replicate tank/outer/in
expect 0 zam replicate tank/outer
has 'tank/outer/in/new -> backup/zam/tank/outer/in/new'

say "the replica was written to: reported, nothing changed, mended by the command it names"
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
sleep 1
zam snapshot tank/home >/dev/null
zfs set readonly=off backup/zam/tank/home/kid
zfs mount backup/zam/tank/home/kid
echo foreign >"$(zfs get -Ho value mountpoint backup/zam/tank/home/kid)/file"
zpool sync
before=$(zfs list -Hp -t all -r -o name,guid backup/zam)
expect 0 zam replicate -n tank/home/kid
has 'diverged .*was written to'
expect 1 zam replicate tank/home
has 'tank/home/kid to local: .*diverged.*was written to.*zfs rollback -r backup/zam/tank/home/kid@zam_'
has 'tank/home -> backup/zam/tank/home: 1 snapshot'
equal "$(zfs list -Hp -d 1 -t all -o name,guid backup/zam/tank/home/kid)" "$(grep kid <<<"$before")"
mend=$(grep -oE 'zfs rollback -r [^ ;]+' <<<"$output")
expect 0 $mend
expect 0 zam replicate tank/home
has 'tank/home/kid -> backup/zam/tank/home/kid: 1 snapshot'

say "a foreign snapshot that changed nothing is passed over; one with data is a divergence"
zfs umount backup/zam/tank/home/kid 2>/dev/null || true
zfs snapshot backup/zam/tank/home/kid@by-hand
sleep 1
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
equal "$(guids backup/zam/tank/home/kid | tail -n 1)" "$(guids tank/home/kid | tail -n 1)"

say "no common snapshot and no bookmark: a clear report, no resend over what is there"
zfs destroy tank/home/kid@%
for mark in $(zfs list -H -t bookmark -o name tank/home/kid); do zfs destroy "$mark"; done
sleep 1
zam snapshot tank/home >/dev/null
before=$(guids backup/zam/tank/home/kid)
expect 1 zam replicate tank/home
has 'no snapshot in common.*zfs rename backup/zam/tank/home/kid'
equal "$(guids backup/zam/tank/home/kid)" "$before"
expect 0 zfs rename backup/zam/tank/home/kid backup/zam/tank/home/kid-old
expect 0 zam replicate tank/home

say "the destination is full: the exit says so, the source keeps what it needs, and the next run goes on"
zfs set quota=20M backup/zam
fill tank/home 60M
sleep 1
zam snapshot tank/home >/dev/null
expect 1 zam replicate tank/home
has 'quota|out of space'
expect 0 zam prune tank/home
zfs set quota=none backup/zam
expect 0 zam replicate tank/home
equal "$(guids backup/zam/tank/home | tail -n 1)" "$(guids tank/home | tail -n 1)"
equal "$(content backup/zam/tank/home)" "$(content tank/home@"$(snapshots tank/home | tail -n 1)")"
equal "$(zfs list -H -t bookmark -o name tank/home | wc -l)" 1

say "held, cloned and busy: the others go, the reason is named"
zfs create tank/many
cat >>/etc/zam/zam.yaml <<EOF
  tank/many: {windows: [{max-age: 1d, period: 1d}]}
EOF
for i in 1 2 3 4 5 6; do zfs snapshot tank/many@zam_2026112${i}T000001Z; done
zfs hold keep tank/many@zam_20261122T000001Z
zfs clone tank/many@zam_20261123T000001Z tank/clone
expect 0 zam prune -n tank/many
has 'keep .*zam_20261122T000001Z .*held'
has 'keep .*zam_20261123T000001Z .*cloned'
expect 0 zam prune tank/many
equal "$(snapshots tank/many | xargs)" 'zam_20261121T000001Z zam_20261122T000001Z zam_20261123T000001Z zam_20261126T000001Z'

say "1 of 20 gets a hold after the listing: the other 19 go, the exit says that not all did, and the reason is named"
zfs create tank/twenty
echo '  tank/twenty: {windows: [{max-age: 1d, period: 1d}]}' >>/etc/zam/zam.yaml
for i in $(seq 10 31); do zfs snapshot "tank/twenty@zam_20261101T0000${i}Z"; done
mkdir -p /root/fake
cat >/root/fake/zfs <<'EOF'
#!/bin/bash
[[ $1 != destroy ]] || /usr/sbin/zfs hold late tank/twenty@zam_20261101T000020Z 2>/dev/null
exec /usr/sbin/zfs "$@"
EOF
chmod +x /root/fake/zfs
expect 1 env PATH=/root/fake:$PATH zam prune tank/twenty
has 'tank/twenty@zam_20261101T000020Z stays: .*(hold|busy)'
has 'tank/twenty: 19 snapshots destroyed, 3 kept'
equal "$(snapshots tank/twenty | xargs)" 'zam_20261101T000010Z zam_20261101T000020Z zam_20261101T000031Z'

say "a listing that fails half way is an error, never a shorter list"
mkdir -p /root/fake
cat >/root/fake/zfs <<'EOF'
#!/bin/bash
if [[ $1 == list ]]; then /usr/sbin/zfs "$@" | head -n 2; echo "cannot iterate filesystems: I/O error" >&2; exit 1; fi
exec /usr/sbin/zfs "$@"
EOF
chmod +x /root/fake/zfs
before=$(zfs list -Hp -t all -o name,guid)
for verb in snapshot replicate prune; do
  expect 1 env PATH=/root/fake:$PATH zam $verb tank/home
  has 'I/O error'
done
# One that is killed says nothing at all.
sed -i 's/echo "cannot.*/kill -9 $$; fi/' /root/fake/zfs
for verb in snapshot replicate prune; do
  expect 1 env PATH=/root/fake:$PATH zam $verb tank/home
  has 'signal: 9'
done
equal "$(zfs list -Hp -t all -o name,guid)" "$before"
rm /root/fake/zfs

say "a destination that stays full: its source is pruned all the same, and one run then brings everything"
zfs create tank/full
echo '  tank/full: {snapshot-period: 1h, windows: [{max-age: 1h, period: 1h}], destinations: [local]}' >>/etc/zam/zam.yaml
take() { fill tank/full 2M; advance '1 hour'; zam snapshot tank/full >/dev/null; }
take
expect 0 zam replicate tank/full
zfs set quota=3M backup/zam/tank/full
for _ in 1 2 3 4; do
  take
  expect 1 zam replicate tank/full
  has 'quota'
  expect 0 zam prune tank/full
done
equal "$(zfs list -H -t bookmark -o name tank/full | wc -l)" 2
equal "$(snapshots tank/full | wc -l)" 4 # the third of five is gone
zfs set quota=none backup/zam/tank/full
expect 0 zam replicate tank/full
arrived backup/zam tank/full
equal "$(zfs list -H -t bookmark -o name tank/full | wc -l)" 1

say "locked: by hand it says by whom, and exits 75; a job waits, and has not failed when it is stopped"
exec 9>/run/zam/prune-tank-home.lock
flock 9
echo "process 1: somebody" >&9
expect 75 zam prune tank/home
has 'locked by process 1: somebody'
expect 0 systemctl daemon-reload
systemctl start --no-block zam@prune-tank-home.service
wait_for pgrep -f '^zam prune -- tank/home'
expect 0 systemctl stop zam@prune-tank-home.service
equal "$(systemctl show -p Result --value zam@prune-tank-home.service)" success
exec 9>&-

say "no ZFS: not installed, or without its module"
mv /usr/sbin/zfs /root/zfs
expect 1 zam snapshot tank/home
has 'there is no .zfs. on this machine; install'
mv /root/zfs /usr/sbin/zfs
zpool export tank
zpool export backup
modprobe -r zfs
echo 'install zfs /bin/false' >/etc/modprobe.d/none.conf
expect 1 zam snapshot tank/home
has 'modprobe|module'
