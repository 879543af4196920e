# machines: debian12 (OpenZFS 2.1; power.sh looks at what a cut receive leaves with 2.3)
# kill -9 of zam, of the sender, of the receiver, of ssh, at random moments over a growing history, to a pool of this
# machine and over ssh in turn, with pruning between: the next run goes on incrementally, and at the end everything is
# there, and nothing is left over. For more of them (several runs: the listings of a long history make one run slow):
#   for seed in 1 2 3 4 5 6; do
#     sed "1i # timeout: 3600
#       s/^kills=.*/kills=34/; s/^RANDOM=.*/RANDOM=$seed/" tests/vm/scenarios/kill.sh |
#       tests/vm/run debian13 -
#   done
kills=6
RANDOM=4711
install -d -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys
start_sshd
for dataset in tank/src tank/src/a tank/src/b backup/near backup/far; do zfs create $dataset; done
cat >/etc/zam/zam.yaml <<EOF
hosts:
  there: {ssh: root@localhost}
destinations:
  near: {root: backup/near, replication-period: 1h, rate-limit: 2MiB/s}
  far: {root: backup/far, host: there, replication-period: 1h, rate-limit: 2MiB/s}
datasets:
  tank/src: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 3s}], destinations: [near, far]}
EOF
datasets='tank/src tank/src/a tank/src/b'
# A transaction group is written each second, not every five, so that short streams leave something to resume, too.
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout
zam snapshot tank/src >/dev/null
expect 0 zam replicate tank/src
born() { for root in backup/near backup/far; do for dataset in $datasets; do zfs get -Hpo value guid $root/$dataset; done; done; }
before=$(born)
declare -A hit=([zam]=0 [send]=0 [receive]=0 [ssh]=0)
killed=0 resumed=0
strike() { # NAME PKILL-ARGUMENTS...
  pkill -9 "${@:2}" || return 0
  hit[$1]=$((hit[$1] + 1)) killed=$((killed + 1))
}
for ((round = 1; killed < kills && round < 4 * kills; round++)); do
  fill tank/src/a $((500000 + RANDOM * 30))
  fill tank/src/b $((200000 + RANDOM * 20))
  advance '2 sec'
  zam snapshot tank/src >/dev/null
  advance '2 sec'
  zam snapshot tank/src >/dev/null
  ((round % 2)) && to=near || to=far
  zam replicate tank/src --to $to >/root/run.log 2>&1 &
  run=$!
  # Half of them while a stream is under way, half at any moment.
  if ((round % 4 < 2)); then
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
  else
    wait_for bash -c "pgrep -f '^zfs receive' || ! kill -0 $run"
    sleep "0.$((RANDOM % 6))"
  fi
  case $((RANDOM % 4)) in
    0) strike zam -x zam ;;
    1) strike send -f '^zfs send' ;;
    2) strike receive -f '^zfs receive' ;;
    3) if [[ $to == far ]]; then strike ssh -f '^ssh .*root@localhost'; else strike zam -x zam; fi ;;
  esac
  wait $run || true
  zfs get -Hpo value -r -t filesystem receive_resume_token backup | grep -q '^1-' && resumed=$((resumed + 1)) || true
  ((round % 4)) || expect 0 zam prune tank/src
done
say "$killed killed in $((round - 1)) rounds (zam ${hit[zam]}, zfs send ${hit[send]}, zfs receive ${hit[receive]}, ssh ${hit[ssh]}), $resumed with a stream left to resume"
((killed >= kills)) || fail "too few kills hit"

say "one undisturbed run brings all"
wait_for bash -c '! pgrep -f "^zfs (send|receive)"'
expect 0 zam replicate tank/src
for dataset in $datasets; do
  for root in backup/near backup/far; do
    equal "$(comm -23 <(guids $dataset | sort) <(guids $root/$dataset | sort))" ''
    snapshot=$(snapshots $dataset | tail -n 1)
    equal "$(content "$root/$dataset@$snapshot")" "$(content "$dataset@$snapshot")"
  done
  equal "$(zfs list -H -d 1 -t bookmark -o name $dataset | wc -l)" 2
done

say "no full resend, nothing held, nothing left over"
equal "$(born)" "$before"
equal "$(zfs get -Hpo value -r -t filesystem receive_resume_token backup | sort -u)" '-'
equal "$(zfs get -Hpo value -r -t snapshot userrefs tank/src backup | sort -u)" 0
expect 0 zam replicate tank/src
has 'to near: up to date'
has 'to far: up to date'
