# machines: both (2.1 and 2.3 word their refusals differently)
# One dataset that refuses, or is gone, never stops its tree: it is left out and named, and the rest is done.
clock '2026-11-23 10:01:00' # no bucket ends meanwhile
for dataset in tank/tree tank/tree/a tank/tree/b tank/tree/c tank/sent backup/zam; do zfs create $dataset; done
fill tank/tree/a 200K
fill tank/sent 2M
zfs snapshot tank/sent@1
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/tree: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 1d}], destinations: [local]}
  tank/chain: {recursive: true, destinations: [local]}
EOF
# half DATASET: received by half, its token left.
half() { { zfs send tank/sent@1 | head -c 1000000 | zfs receive -s -u "$1"; } 2>/dev/null || true; }
# fake LINE: zam finds a zfs that runs it first; "$@" is what zfs is asked for.
mkdir -p /root/fake
fake() {
  printf '#!/bin/bash\n%s\nexec /usr/sbin/zfs "$@"\n' "$1" >/root/fake/zfs
  chmod +x /root/fake/zfs
}
faked() { env PATH=/root/fake:$PATH zam "$@"; }
# taken: of which datasets a snapshot was taken, by what the last `expect` printed, and that all are of one moment.
taken() {
  local name
  name=$(grep -oE '^tank/tree@zam_[0-9TZ]+$' <<<"$output" | cut -d @ -f 2)
  equal "$(zfs list -Hp -t snapshot -o name,createtxg -r tank/tree | grep "@$name" | cut -f 2 | sort -u | wc -l)" 1
  zfs list -H -t snapshot -o name -r tank/tree | grep "@$name$" | sed 's,@.*,,; s,^tank/tree/*,,' | xargs
}

say "a volume without room, a child half received, a name too long: left out and named, the rest of one moment"
zfs create tank/tree/small
zfs create -V 20M tank/tree/small/thick
udevadm settle
head -c 16M /dev/urandom | dd of=/dev/zvol/tank/tree/small/thick bs=1M conv=notrunc,fsync status=none
zfs set quota=30M tank/tree/small # not before: near a quota ZFS lets each write wait for a transaction group
long=tank/tree/$(printf 'n%.0s' $(seq 230))
zfs create "$long"
half tank/tree/half
zpool sync
expect 1 zam snapshot tank/tree
has 'tank/tree/small/thick.*out of space'
has 'tank/tree/half.*busy'
has "$long.*(no room|too long)"
equal "$(taken)" 'a b c small'
udevadm settle
zfs destroy -r tank/tree/small
zfs destroy "$long"

say "a child half received is passed over by a replication, too"
expect 0 zam replicate tank/tree
has 'tank/tree/half.*(no snapshot|being received)'
equal "$(guids backup/zam/tank/tree/a)" "$(guids tank/tree/a)"
zfs receive -A tank/tree/half
advance '2 sec'
expect 0 zam snapshot tank/tree

say "two children end, one after the other, while a snapshot is taken"
for dataset in tank/tree/d tank/tree/e; do zfs create $dataset; done
fake '[[ $1 != snapshot ]] || { /usr/sbin/zfs destroy tank/tree/d || /usr/sbin/zfs destroy tank/tree/e; } 2>/dev/null'
advance '2 sec'
expect 0 faked snapshot tank/tree
has 'tank/tree/d.*gone'
has 'tank/tree/e.*gone'
equal "$(taken)" 'a b c'

say "a child ends between the listing and its bookmark; its stream; its pruning"
fake '[[ "$1 $2" != "bookmark tank/tree/b@"* ]] || /usr/sbin/zfs destroy -r tank/tree/b'
expect 0 faked replicate tank/tree
has 'tank/tree/b.*gone'
equal "$(guids backup/zam/tank/tree/c)" "$(guids tank/tree/c)"
advance '2 sec'
zam snapshot tank/tree >/dev/null
fake '[[ $1 != send || $* != *tank/tree/c@* ]] || /usr/sbin/zfs destroy -r tank/tree/c'
expect 0 faked replicate tank/tree
has 'tank/tree/c.*gone'
equal "$(guids backup/zam/tank/tree/a)" "$(guids tank/tree/a)"
zfs create tank/tree/f # not b: what is dated back under a name that was sent could be restored from there
for day in 1 2 3; do zfs snapshot -r "tank/tree@zam_2026110${day}T000000Z"; done
fake '[[ "$1 $2" != "destroy tank/tree/f@"* ]] || /usr/sbin/zfs rename tank/tree/f tank/gone'
expect 0 faked prune tank/tree
has 'tank/tree/a: [0-9]+ snapshots? destroyed'
equal "$(snapshots tank/gone | wc -l)" 3

say "the second of a chain: a child that is still arriving from the first, and one without a snapshot"
zfs create tank/chain
zfs create tank/chain/new
zfs send tank/sent@1 | zfs receive -u tank/chain/whole
half tank/chain/arriving
for dataset in tank/chain tank/chain/whole; do zfs snapshot $dataset@zam_20261101T000000Z; done
expect 0 zam replicate tank/chain
has 'tank/chain/new.* no snapshot'
has 'tank/chain/arriving.*(no snapshot|being received)'
equal "$(guids backup/zam/tank/chain/whole)" "$(guids tank/chain/whole)"

say "a source pool that is imported read-only, for a rescue: sent without a cursor, and that is said"
advance '2 sec'
fill tank/tree/a 200K
zam snapshot tank/tree >/dev/null
zpool export tank
zpool import -N -o readonly=on tank
for _ in 1 2; do
  expect 0 zam replicate tank/tree
  has 'read-only'
  equal "$(guids backup/zam/tank/tree/a | tail -n 1)" "$(guids tank/tree/a | tail -n 1)"
done
zpool export tank
zpool import tank
advance '2 sec'
zam snapshot tank/tree >/dev/null
expect 0 zam replicate tank/tree
lacks "$output" 'read-only'
equal "$(zfs list -H -d 1 -t bookmark -o name tank/tree/a | wc -l)" 1
