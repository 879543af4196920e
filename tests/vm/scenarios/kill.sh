# timeout: 1500
# kill -9 of zam, of the sender, of the receiver, at random moments over a growing history, with pruning between: the
# next run goes on incrementally, and at the end everything is there, and nothing is left over.
kills=12
RANDOM=4711
zfs create tank/src
zfs create tank/src/a
zfs create tank/src/b
zfs create backup/zam
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 2MiB/s}
datasets:
  tank/src: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 3s}], destinations: [local]}
EOF
datasets='tank/src tank/src/a tank/src/b'
zam snapshot tank/src >/dev/null
expect 0 zam replicate tank/src
born=$(for dataset in $datasets; do zfs get -Hpo value guid "backup/zam/$dataset"; done)
killed=0 resumed=0
for ((round = 1; (killed < kills || resumed < kills / 4) && round < 4 * kills; round++)); do
  fill tank/src/a $((1500000 + RANDOM * 30))
  fill tank/src/b $((500000 + RANDOM * 20))
  advance '2 sec'
  zam snapshot tank/src >/dev/null
  advance '2 sec'
  zam snapshot tank/src >/dev/null
  zam replicate tank/src >/root/run.log 2>&1 &
  run=$!
  # Half of them while a stream is under way, half at any moment.
  if ((round % 2)); then
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
  else
    wait_for 60 bash -c "pgrep -f '^zfs receive' || ! kill -0 $run"
    sleep "0.$((RANDOM % 6))"
  fi
  victim=$((RANDOM % 3))
  case $victim in
    0) pkill -9 -x zam && killed=$((killed + 1)) || true ;;
    1) pkill -9 -f '^zfs send' && killed=$((killed + 1)) || true ;;
    2) pkill -9 -f '^zfs receive' && killed=$((killed + 1)) || true ;;
  esac
  wait $run || true
  zfs get -Hpo value -r -t filesystem receive_resume_token backup/zam | grep -q '^1-' && resumed=$((resumed + 1)) || true
  ((round % 4)) || expect 0 zam prune tank/src
done
say "$killed killed, $resumed of them in the middle of a stream"
((killed >= kills && resumed >= kills / 4)) || fail "too few kills hit"

say "one undisturbed run brings all"
wait_for 30 bash -c '! pgrep -f "^zfs (send|receive)"'
expect 0 zam replicate tank/src
for dataset in $datasets; do
  missing=$(comm -23 <(guids "$dataset" | sort) <(guids "backup/zam/$dataset" | sort))
  equal "$missing" ''
  for snapshot in $(snapshots "$dataset" | tail -n 3); do
    equal "$(content "backup/zam/$dataset@$snapshot")" "$(content "$dataset@$snapshot")"
  done
  equal "$(zfs list -H -d 1 -t bookmark -o name "$dataset" | wc -l)" 1
done

say "no full resend, nothing held, nothing left over"
equal "$(for dataset in $datasets; do zfs get -Hpo value guid "backup/zam/$dataset"; done)" "$born"
equal "$(zfs get -Hpo value -r -t filesystem receive_resume_token backup/zam | sort -u)" '-'
equal "$(zfs get -Hpo value -r -t snapshot userrefs tank/src backup/zam | sort -u)" 0
expect 0 zam replicate tank/src
has 'up to date'
