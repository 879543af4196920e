# machines: debian13 (how many names zam puts into one command)
# Sizes: a tree of nine children with long and odd names, several at once; more snapshots than one destroy takes.
zfs create -o canmount=off tank/tree
zfs create -o canmount=off backup/zam
zfs create -o canmount=off "tank/tree/$(printf 'n%.0s' $(seq 180))"
for i in $(seq 8); do zfs create -o canmount=off "tank/tree/a child: $i"; done
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, parallel: 4, windows: [{max-age: 1w, period: 1s}]}
datasets:
  tank/tree: {recursive: true, snapshot-period: 1h, destinations: [local]}
  tank/many: {windows: [{max-age: 1d, period: 1d}]}
EOF
tree() { zfs list -Hp -r -t snapshot -o name,guid "$1" | sed 's,^backup/zam/,,'; }

say "nine children: all at one moment, and all arrive"
expect 0 zam snapshot tank/tree
equal "$(wc -l <<<"$output")" 10
expect 0 zam replicate tank/tree
equal "$(tree backup/zam/tank/tree)" "$(tree tank/tree)"
for i in 1 2 3; do
  advance '2 sec'
  zam snapshot tank/tree >/dev/null
done
expect 0 zam replicate tank/tree
equal "$(tree backup/zam/tank/tree)" "$(tree tank/tree)"
expect 0 traced zam replicate tank/tree
has 'up to date'
equal "$(cut -d ' ' -f 1 /root/calls)" $'list\nlist'

say "110 snapshots to destroy"
zfs create -o canmount=off tank/many
clock '2026-11-20 01:00:00'
for i in $(seq 110); do zfs snapshot "tank/many@zam_202611$(date -u -d "@$((i * 60))" +%dT%H%M%S)Z"; done
expect 0 zam prune tank/many
has 'tank/many: 108 snapshots destroyed, 2 kept'
