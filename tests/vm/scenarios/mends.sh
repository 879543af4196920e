# machines: debian13 (refusals and tokens look at both, where 2.1 and 2.3 differ most)
# A replica that cannot go on: what its mend needs is kept until somebody comes to it, whatever pruning does; and what
# would not arrive at all arrives, or names the command that helps.
for dataset in tank/back tank/tree tank/tree/a tank/tree/b tank/older tank/fresh tank/clone tank/twin tank/away tank/home backup/zam; do zfs create $dataset; done
cat >/etc/zam/zam.yaml <<EOF
defaults: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
destinations:
  local: {root: backup/zam, replication-period: 1h}
  vault: {root: backup/vault, replication-period: 1h}
  disk: {root: disk/zam, replication-period: 1h}
datasets:
  tank/back: {}
  tank/tree: {recursive: true}
  tank/older: {}
  tank/fresh: {}
  tank/clone: {}
  tank/twin: {}
  tank/away: {}
  tank/secret: {recursive: true}
  tank/deep/secret: {destinations: [vault]}
  tank/home: {destinations: [disk]}
EOF
clock '2026-11-01 00:00:00'
take() { fill "$1" 100K; advance '2 sec'; zam snapshot "$1" >/dev/null; }
arrived() {
  equal "$(guids "backup/zam/$1" | tail -n 1)" "$(guids "$1" | tail -n 1)"
  equal "$(content "backup/zam/$1")" "$(content "$1@$(snapshots "$1" | tail -n 1)")"
}
# begun DATASET: three snapshots, all of them replicated.
begun() {
  for _ in 1 2 3; do take "$1"; done
  expect 0 zam replicate "$1"
}
second() { snapshots "$1" | sed -n 2p; }
# mended DATASET: its divergence is told; pruning takes the snapshot in common; the mend that was named works all the same.
mended() {
  local mend
  take "$1"
  expect 1 zam replicate "$1"
  has 'diverged'
  mend=$(grep -oE 'zfs rollback -r [^ ;]+' <<<"$output" | head -n 1)
  advance '3 days'
  for _ in 1 2; do take "$1"; done
  for _ in 1 2; do
    expect 0 zam prune "$1"
    expect 1 zam replicate "$1"
  done
  lacks "$(snapshots "$1")" "${mend#*@}"
  expect 0 $mend
  expect 0 zam replicate "$1"
  arrived "$1"
}

say "the source was rolled back, and its cursor with it"
begun tank/back
zfs rollback -r "tank/back@$(second tank/back)"
mended tank/back

say "it is pruned before the next replication, and the one before did not bring all of its entry"
take_tree() {
  fill tank/tree/a 100K
  take tank/tree
}
take_tree
expect 0 zam replicate tank/tree
zfs destroy -r tank/tree/b
zfs create tank/tree/b
for _ in 1 2; do
  take_tree
  expect 1 zam replicate tank/tree
done
zfs rollback -r "tank/tree/a@$(second tank/tree/a)"
advance '3 days'
for _ in 1 2; do take_tree; done
common=$(second tank/tree/a)
expect 0 zam prune -n tank/tree
has "tank/tree/a@$common .*a destination may have it"
expect 0 zam prune tank/tree
contains "$(snapshots tank/tree/a)" "$common"
expect 1 zam replicate tank/tree
has 'tank/tree/a to local: .*diverged'
expect 0 zam prune tank/tree
lacks "$(snapshots tank/tree/a)" "$common"
expect 0 zfs rollback -r "backup/zam/tank/tree/a@$common"
expect 1 zam replicate tank/tree
arrived tank/tree/a

say "an older snapshot was restored"
begun tank/older
zfs rename tank/older tank/broken
zfs send -R "backup/zam/tank/older@$(second tank/broken)" | zfs receive -u -x readonly -x canmount tank/older
zfs destroy -r tank/broken
zfs mount tank/older
mended tank/older

say "the newest was restored on a machine that was installed anew: what came along stays until the first replication"
begun tank/fresh
common=$(snapshots tank/fresh | tail -n 1)
zfs destroy -r tank/fresh
rm -r /var/lib/zam/done
advance '8 days'
zfs send -R "backup/zam/tank/fresh@$common" | zfs receive -u -x readonly -x canmount tank/fresh
zfs mount tank/fresh
for _ in 1 2; do take tank/fresh; done
expect 0 zam prune tank/fresh
contains "$(snapshots tank/fresh)" "$common"
expect 0 zam replicate tank/fresh
arrived tank/fresh
expect 0 zam prune tank/fresh
lacks "$(snapshots tank/fresh)" "$common"

say "a promoted clone was put in its place"
begun tank/clone
zfs clone "tank/clone@$(second tank/clone)" tank/new
zfs promote tank/new
zfs rename tank/clone tank/old
zfs rename tank/new tank/clone
zfs destroy -r tank/old
mended tank/clone

say "the replica has a snapshot of its own under a name that is to come: told beforehand, and the mend keeps both"
take tank/twin
expect 0 zam replicate tank/twin
take tank/twin
name=backup/zam/tank/twin@$(snapshots tank/twin | tail -n 1)
zfs snapshot "$name"
own=$(zfs get -Hpo value guid "$name")
expect 0 zam replicate -n tank/twin
has 'diverged'
expect 0 zam status tank/twin
has 'diverged'
expect 1 zam replicate tank/twin
expect 0 $(grep -oE 'zfs rename [^ ]+@[^ ]+ [^ ;,)]+' <<<"$output" | head -n 1)
expect 0 zam replicate tank/twin
equal "$(guids backup/zam/tank/twin | tail -n 1)" "$(guids tank/twin | tail -n 1)"
contains "$(zfs list -Hp -d 1 -t snapshot -o guid backup/zam/tank/twin)" "^$own$"

say "the replica was renamed away for a run that brought nothing: said, and renamed back it goes on"
take tank/away
expect 0 zam replicate tank/away
advance '3 days'
for _ in 1 2; do take tank/away; done
expect 0 zam prune tank/away
equal "$(comm -12 <(guids tank/away | sort) <(guids backup/zam/tank/away | sort))" ''
zfs rename backup/zam/tank/away backup/zam/tank/aside
mkdir -p /root/fake
printf '#!/bin/bash\n[[ $1 != receive ]] || exit 1\nexec /usr/sbin/zfs "$@"\n' >/root/fake/zfs
chmod +x /root/fake/zfs
expect 1 env PATH=/root/fake:$PATH zam replicate tank/away
has 'rename'
zfs rename backup/zam/tank/aside backup/zam/tank/away
expect 0 zam replicate tank/away
arrived tank/away
equal "$(zfs list -H -d 1 -t bookmark -o name tank/away | wc -l)" 1

say "the halves of a split mirror, in turn: each goes on from what it has"
truncate -s 100M /root/left /root/right
zpool create -O mountpoint=none disk mirror /root/left /root/right
zfs create disk/zam
half() {
  zpool export disk
  zpool import -N -d "/root/$1" "$2" disk
}
goes_on() {
  take tank/home
  # 2.1 counts 1 KiB as written on the half that was split off (seen): then it takes the command that zam names.
  output=$(zam replicate tank/home 2>&1) || expect 0 $(grep -oE 'zfs rollback -r [^ ;]+' <<<"$output")
  expect 0 zam replicate tank/home
  equal "$(guids disk/zam/tank/home | tail -n 1)" "$(guids tank/home | tail -n 1)"
}
goes_on
zpool split disk other
goes_on
half right other
goes_on
for next in left right left; do
  advance '3 days'
  for _ in 1 2; do take tank/home; done
  expect 0 zam prune tank/home
  half $next disk
  goes_on
done
zpool destroy disk

say "unencrypted below an encrypted dataset: arrives below its raw replica, and goes on"
echo 'a good passphrase' >/root/key
secret() { zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key "$@"; }
secret tank/secret
zfs create tank/secret/kid
zfs create -o encryption=off tank/secret/open
for _ in 1 2; do
  take tank/secret
  fill tank/secret/open 100K
  expect 0 zam replicate tank/secret
  equal "$(guids backup/zam/tank/secret/open)" "$(guids tank/secret/open)"
done
equal "$(zfs get -Ho value encryption,readonly,canmount backup/zam/tank/secret/open | xargs)" 'off on noauto'
equal "$(zfs get -Ho value keystatus backup/zam/tank/secret/kid)" unavailable
equal "$(content backup/zam/tank/secret/open)" "$(content tank/secret/open@"$(snapshots tank/secret/open | tail -n 1)")"

say "into a vault whose key is not loaded: its parents are made, or the command that makes them is named"
secret backup/vault
zfs unmount backup/vault
zfs unload-key backup/vault
zfs create tank/deep
secret tank/deep/secret
take tank/deep/secret
until output=$(zam replicate tank/deep/secret 2>&1); do # for tank, and maybe for tank/deep
  printf '%s\n' "$output"
  expect 0 $(grep -oE 'zfs create [^;`]*encryption=off [^ ;`]*' <<<"$output" | head -n 1)
done
equal "$(guids backup/vault/tank/deep/secret)" "$(guids tank/deep/secret)"
