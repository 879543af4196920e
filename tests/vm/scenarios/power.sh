# machines: debian13 (OpenZFS 2.3; kill.sh looks at what a cut receive leaves with 2.1)
# The power cut four times, in the middle of first, incremental and resumed replications and of a pruning: after each
# boot the next run goes on.
zfs create tank/home
zfs create backup/zam
systemctl -q mask zam.target # at each boot a timer would catch up, and hold the lock
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 512KiB/s}
datasets:
  tank/home: {windows: [{max-age: 1d, period: 5s}], destinations: [local]}
EOF
cat >/root/grow <<'EOF'
for i in 1 2 3; do fill tank/home 2M; advance '2 sec'; zam snapshot tank/home >/dev/null; done
zpool sync
EOF
# cut_in SECONDS: so long after a stream began, as its resume token shows, which comes with a transaction group.
cat >/root/cut_in <<'EOF'
(wait_for streaming backup/zam/tank/home; sleep $1; cut_power) &
zam replicate tank/home
fail "the run was over before the power was cut"
EOF
. /root/grow
sync
. /root/cut_in 1.5
#--- power cut
equal "$(zfs list -Ho name backup/zam/tank/home 2>/dev/null | wc -l)" 1
. /root/grow
. /root/cut_in 0.5
#--- power cut
. /root/grow
. /root/cut_in 3.5
#--- power cut
. /root/grow
(sleep 1; cut_power) &
zam prune tank/home
sleep 5
#--- power cut
sed -i 's/, rate-limit: 512KiB.s//' /etc/zam/zam.yaml
expect 0 zam replicate tank/home
expect 0 zam prune tank/home
equal "$(comm -23 <(guids tank/home | sort) <(guids backup/zam/tank/home | sort))" ''
newest=$(snapshots tank/home | tail -n 1)
equal "$(content "backup/zam/tank/home@$newest")" "$(content "tank/home@$newest")"
equal "$(zfs list -H -t bookmark -o name tank/home | wc -l)" 1
equal "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home)" '-'
expect 0 zpool status -x
has 'all pools are healthy'
