# timeout: 900
# The power cut in the middle of a replication, and of a pruning: after each boot the next run goes on.
zfs create tank/home
zfs create backup/zam
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 2MiB/s}
datasets:
  tank/home: {windows: [{max-age: 1d, period: 5s}], destinations: [local]}
EOF
cat >/root/round <<'EOF'
. /root/vm/lib.sh
for i in 1 2 3 4; do fill tank/home 2M; advance '2 sec'; zam snapshot tank/home >/dev/null; done
zpool sync
EOF
bash /root/round
sync
(wait_for 60 pgrep -f '^zfs receive'; sleep 1.5; cut_power) &
zam replicate tank/home
#--- power cut
equal "$(zfs list -Ho name backup/zam/tank/home 2>/dev/null | wc -l)" 1
bash /root/round
(wait_for 60 pgrep -f '^zfs receive'; sleep 2.5; cut_power) &
zam replicate tank/home
#--- power cut
bash /root/round
(sleep 1; cut_power) &
zam prune tank/home
#--- power cut
expect 0 zam replicate tank/home
expect 0 zam prune tank/home
equal "$(comm -23 <(guids tank/home | sort) <(guids backup/zam/tank/home | sort))" ''
newest=$(snapshots tank/home | tail -n 1)
equal "$(content "backup/zam/tank/home@$newest")" "$(content "tank/home@$newest")"
equal "$(zfs list -H -t bookmark -o name tank/home | wc -l)" 1
equal "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home)" '-'
expect 0 zpool status -x
has 'all pools are healthy'
