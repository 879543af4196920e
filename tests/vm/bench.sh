# timeout: 3600
# clock: instructions
# What `make bench` measures on real ZFS: processes counted, and times as ratios to bare commands.

# count BOUND WHAT COMMAND...: how many zfs processes it starts.
count() {
  local bound=$1 what=$2 calls
  shift 2
  traced "$@" >/dev/null
  calls=$(wc -l </root/calls)
  printf '%-62s%9d processes (bound %d)\n' "$what" "$calls" "$bound"
  ((calls <= bound)) || { cat /root/calls; fail "$what: $calls zfs processes, bound $bound"; }
}

# Seconds since.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.3f\n", b - a}'; }
# median FILE: the middle of its numbers.
median() { sort -n "$1" | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }

# ratio BOUND WHAT FILE LEAST: two files of which each line is a round, its halves one right after the other; the middle of
# the rounds' ratios. Three rounds are enough: the machine's clock counts instructions, and no round is the first of its kind.
over=""
ratio() {
  local verdict a b by
  a=$(median "$3") b=$(median "$4")
  by=$(median <(paste "$3" "$4" | awk '{print $1 / $2}'))
  verdict=$(awk -v bound="$1" -v by="$by" 'BEGIN {if (by > bound) print ": OVER"}')
  awk -v bound="$1" -v verdict="$verdict" -v what="$2" -v by="$by" -v a="$a" -v b="$b" \
    'BEGIN {printf "%-62s%9.2f times the least (bound %s%s) (%.2f s, %.2f s)\n", what, by, bound, verdict, a, b}'
  over+=$verdict
}

# compare BOUND WHAT OWN LEAST: by turns the first. Each round is in a second of its own, as names of snapshots need.
compare() {
  local i who begun
  : >/root/own.times >/root/least.times
  for i in {1..3}; do
    advance '2 sec'
    for who in $( ((i % 2)) && echo own least || echo least own); do
      begun=$EPOCHREALTIME
      if [[ $who == own ]]; then $3; else $4; fi >/dev/null
      since "$begun" >>"/root/$who.times"
    done
  done
  ratio "$1" "$2" /root/own.times /root/least.times
}

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
traced zam replicate tank/tree >/dev/null
printf '%-62s%9d processes\n' "first replication of the tree, 5 snapshots each" "$(wc -l </root/calls)"
count 2 "replication with nothing to do" zam replicate tank/tree
names=(tank/tree $(seq -f 'tank/tree/%g' 0 9))
last() { snapshots tank/tree | tail -n 1; }
# By hand, to a place of its own: the first of them in full, and later the same streams as zam's.
by_hand() {
  local dataset
  for dataset in "${names[@]}"; do zfs send -Lc $1 "$dataset@$2" | zfs receive -s -u "backup/hand/$dataset"; done
}
zfs create -p backup/hand/tank
first=$(last)
by_hand "" "$first"
# Five more than the newest one of either side: what a listing costs grows with the snapshots there are, and is measured
# below.
five_snapshots() {
  local dataset
  for dataset in "${names[@]}" "${names[@]/#/backup/zam/}"; do
    zfs destroy "$dataset@$(snapshots "$dataset" | head -n -1 | paste -sd ,)"
  done
  for _ in 1 2 3 4 5; do advance '2 sec'; zam snapshot tank/tree >/dev/null; done
  zpool sync
}
hand() {
  local begun=$EPOCHREALTIME
  by_hand "-I @$first" "$(last)"
  since "$begun" >>/root/hand.times
  first=$(last)
}
own() {
  local begun=$EPOCHREALTIME
  zam replicate tank/tree >/dev/null
  since "$begun" >>/root/tree.times
}
for turn in "hand own" "own hand" "hand own"; do
  five_snapshots
  for who in $turn; do
    $who
    zpool sync
  done
done
ratio 1.3 "5 new snapshots in each of 11 (least: the same streams by hand)" /root/tree.times /root/hand.times
five_snapshots
traced zam replicate tank/tree >/dev/null
equal "$(grep -c '^send' /root/calls)" 11
printf '%-62s%9d streams for 11 datasets\n' "5 new snapshots in each" "$(grep -c '^send' /root/calls)"

listings() {
  zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg tank/tree
  zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg backup/zam/tank/tree
}
compare 1.25 "replication with nothing to do (least: two bare listings)" "zam replicate tank/tree" listings
bare() { zfs snapshot "tank/one@x$EPOCHSECONDS"; }
compare 2 "snapshot of one dataset (least: zfs snapshot)" "zam snapshot tank/one" bare
count 23 "pruning the tree: one listing; another look and one destroy for each of 11" zam prune tank/tree
count 1 "pruning with nothing to destroy" zam prune tank/tree

say "behind zam serve, and over plain ssh"
install -d -m 700 /root/.ssh
for key in plain served; do
  ssh-keygen -q -t ed25519 -N '' -f /root/$key
  zfs create backup/$key
done
{
  cat /root/plain.pub
  echo "restrict,command=\"zam serve --root backup/served --append-only\" $(cat /root/served.pub)"
} >>/root/.ssh/authorized_keys
systemctl start ssh.service
wait_for bash -c 'ssh-keyscan localhost 2>/dev/null | grep -q ed25519'
ssh-keyscan -T 60 localhost 2>/dev/null >>/root/.ssh/known_hosts
cat >/etc/zam/zam.yaml <<EOF
hosts:
  plain: {ssh: root@localhost, identity: /root/plain}
  served: {ssh: root@localhost, identity: /root/served}
destinations:
  plain: {host: plain, root: backup/plain, replication-period: 1h}
  served: {host: served, root: backup/served, replication-period: 1h}
datasets:
  tank/one: {snapshot-period: 10min, destinations: [plain, served]}
EOF
for to in plain served; do zam replicate tank/one --to $to >/dev/null; done
compare 1.3 "nothing to do behind zam serve (least: over plain ssh)" \
  "zam replicate tank/one --to served" "zam replicate tank/one --to plain"

say "300 MB to another pool"
zfs destroy -r backup/hand
zfs create tank/big
head -c 300M /dev/urandom >/tank/big/file
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d}
datasets:
  tank/big: {snapshot-period: 1h, destinations: [local]}
EOF
zam snapshot tank/big >/dev/null
zpool sync
# Clock ticks of all the machine's work, and of one process.
busy() { awk '/^cpu / {print $2 + $3 + $4 + $6 + $7 + $8}' /proc/stat; }
# zam's own share, read while it runs (without starting a process): afterwards it could not be told from its children's.
measure_zam() {
  local pid stat line ticks
  ticks=$(busy)
  zam replicate tank/big >/dev/null &
  pid=$!
  while read -ra line <"/proc/$pid/stat"; do
    stat=("${line[@]}")
    while read -r name value _; do [[ $name != VmHWM: ]] || peak=$value; done <"/proc/$pid/status" || break # it has ended
    read -rt 0.1 || true
  done 2>/dev/null <>/root/never
  wait $pid
  own=$((stat[13] + stat[14])) all=$(($(busy) - ticks))
}
again() {
  zfs destroy -r "$1"
  for mark in $(zfs list -H -o name -t bookmark tank/big); do zfs destroy "$mark"; done
  zpool sync
}
mkfifo /root/never
# It waits for the host's disk too, which no count of instructions evens out.
for i in 1 2 3 4 5; do
  begun=$EPOCHREALTIME
  zfs send -Lc tank/big@"$(snapshots tank/big)" | zfs receive -s -u backup/bare
  since "$begun" >>/root/bare.times
  again backup/bare
  begun=$EPOCHREALTIME
  zam replicate tank/big >/dev/null
  since "$begun" >>/root/zam.times
  again backup/zam/tank/big
done
measure_zam
ratio 1.05 "throughput: time for 300 MB (least: zfs send | zfs receive)" /root/zam.times /root/bare.times
verdict=$( ((100 * own <= 3 * all)) || echo ': OVER')
over+=$verdict
awk -v own=$own -v all=$all -v verdict="$verdict" \
  'BEGIN {printf "%-62s%9.1f %% of all work done meanwhile (bound 3 %%%s)\n", "  of that, CPU of zam itself", 100 * own / all, verdict}'
awk -v peak="$peak" 'BEGIN {printf "%-62s%9.1f MiB\n", "  its peak memory", peak / 1024}'

say "check of 200 datasets, one of two destinations dead"
# The rig's small cache does not hold 400 datasets: ZFS would wait four fifths of the time for room in it.
echo 536870912 >/sys/module/zfs/parameters/zfs_arc_max
for i in {1..199}; do zfs create -p "tank/many/$i"; done
cat >/etc/zam/zam.yaml <<EOF
hosts:
  dead: {ssh: root@10.9.9.2}
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d}
  dead: {host: dead, root: backup/zam, replication-period: 1h}
datasets:
  tank/many: {recursive: true, snapshot-period: 10min, destinations: [local, dead]}
EOF
zam snapshot tank/many >/dev/null
name=$(snapshots tank/many)
for dataset in many many/{1..199}; do zfs send "tank/$dataset@$name" | zfs receive -u "backup/zam/tank/$dataset"; done
ip link add nowhere type dummy
ip address add 10.9.9.1/24 dev nowhere
ip link set nowhere up
begun=$EPOCHREALTIME
traced zam check --json >/root/checked || true
took=$(since "$begun")
equal "$(jq -r '.datasets[0].destinations[].state' /root/checked | xargs)" 'ok unreachable'
begun=$EPOCHREALTIME
while read -ra words; do zfs "${words[@]}" >/dev/null; done </root/calls
least=$(since "$begun")
printf '%-62s%9d processes (bound 2), %s s (bound 30), of which these alone take %s s\n' \
  "check of 200 datasets" "$(wc -l </root/calls)" "$took" "$least"
# ssh gives the dead one up after 20 s, while the other is asked.
awk -v took="$took" 'BEGIN {exit took > 30}' || fail "the check took too long"
(($(wc -l </root/calls) <= 2)) || fail "too many processes: $(cat /root/calls)"
[[ -z $over ]]
