# machines: debian12 (the older systemd, and zam itself, are what can go wrong here)
# A machine that slept through its slots: when it wakes each job catches up once; a transfer that the sleep interrupted is
# no failure, and the next run resumes it.
zfs create tank/home
zfs create tank/big
zfs create backup/zam
clock '2026-11-23 09:51:00'
config <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 1MiB/s}
datasets:
  tank/home: {snapshot-period: 10min, windows: [{max-age: 1d, period: 10min}]}
  tank/big: {snapshot-period: 1d, destinations: [local]}
EOF
fill tank/big 25M
zam snapshot tank/big >/dev/null
systemctl start --no-block zam@replicate:local-tank-big.service
wait_for streaming backup/zam/tank/big
clock '2026-11-23 09:59:53'
#--- suspend 20s
contains "$(date -u +%T)" '^10:0[0-4]:'
wait_for has_snapshot tank/home '*T100?'
sleep 1
wait_for idle
equal "$(snapshots tank/home | wc -l)" 1
contains "$(journalctl -q -o cat -u zam@replicate:local-tank-big.service)" 'the machine slept meanwhile; the next run goes on'
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/big)" '^1-'
expect 0 zam replicate -n tank/big
has ': resume '
expect 0 zam replicate tank/big
equal "$(guids backup/zam/tank/big)" "$(guids tank/big)"
equal "$(content backup/zam/tank/big)" "$(content tank/big@"$(snapshots tank/big)")"
for job in snapshot-tank-home prune-tank-home; do
  equal "$(journalctl -q -o cat -u "zam@$job.service" | grep -c '^Finished ')" 1
done
expect 0 systemctl --failed --no-legend
equal "$output" ''
