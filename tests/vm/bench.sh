# timeout: 900
# What `make bench` measures on real ZFS: processes counted by a shim before zfs, and times as ratios to bare commands.
mkdir /root/shim
cat >/root/shim/zfs <<'EOF'
#!/bin/bash
echo "$*" >>/root/calls
exec /usr/sbin/zfs "$@"
EOF
chmod +x /root/shim/zfs

# count BOUND WHAT COMMAND...: how many zfs processes it starts.
count() {
  local bound=$1 what=$2 calls
  shift 2
  : >/root/calls
  PATH=/root/shim:$PATH "$@" >/dev/null
  calls=$(wc -l </root/calls)
  printf '%-62s%9d processes (bound %d)\n' "$what" "$calls" "$bound"
  ((calls <= bound)) || { cat /root/calls; fail "$what: $calls zfs processes, bound $bound"; }
}

# seconds COMMAND...: the median of five runs.
seconds() {
  local i
  for i in 1 2 3 4 5; do
    local begun=$EPOCHREALTIME
    "$@" >/dev/null
    bc_free "$begun"
  done | sort -n | sed -n 3p
}
bc_free() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.3f\n", b - a}'; }
ratio() { awk -v a="$2" -v b="$3" -v what="$1" 'BEGIN {printf "%-62s%9.2f times the least (%.2f s, %.2f s)\n", what, a / b, a, b}'; }

zfs create backup/zam
for i in $(seq 0 9); do zfs create -p "tank/tree/$i"; done
zfs create tank/one
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d}
datasets:
  tank/one: {snapshot-period: 10min}
  tank/tree: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 1d}], destinations: [local]}
EOF
count 1 "snapshot of one dataset" zam snapshot tank/one
count 2 "snapshot of a tree of 11" zam snapshot tank/tree
for i in 1 2 3 4; do advance '2 sec'; zam snapshot tank/tree >/dev/null; done
: >/root/calls
PATH=/root/shim:$PATH zam replicate tank/tree >/dev/null
printf '%-62s%9d processes\n' "first replication of the tree, 5 snapshots each" "$(wc -l </root/calls)"
count 2 "replication with nothing to do" zam replicate tank/tree
for i in 1 2 3 4 5; do advance '2 sec'; zam snapshot tank/tree >/dev/null; done
: >/root/calls
PATH=/root/shim:$PATH zam replicate tank/tree >/dev/null
equal "$(grep -c '^send' /root/calls)" 11
printf '%-62s%9d streams for 11 datasets\n' "5 new snapshots in each" "$(grep -c '^send' /root/calls)"

listings() {
  zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg tank/tree
  zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg backup/zam/tank/tree
}
ratio "replication with nothing to do (least: two bare listings)" "$(seconds zam replicate tank/tree)" "$(seconds listings)"
snap() { advance '2 sec'; zam snapshot tank/one; }
bare() { advance '2 sec'; zfs snapshot "tank/one@x$(date +%s)"; }
ratio "snapshot of one dataset (least: zfs snapshot)" "$(seconds snap)" "$(seconds bare)"
count 12 "pruning the tree: one listing, one destroy for each of 11" zam prune tank/tree
count 1 "pruning with nothing to destroy" zam prune tank/tree
