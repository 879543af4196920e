# machines: debian12 (the older OpenSSH; strangers.sh has the newer)
# Another machine over a real sshd: pushed to it and pulled from it, one connection a run, and the ways it goes wrong.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
install -d -m 700 /etc/zam/keys /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /etc/zam/keys/there
cat /etc/zam/keys/there.pub >>/root/.ssh/authorized_keys
start_sshd
for dataset in tank/home tank/home/kid 'tank/home/with space' tank/other backup/zam backup/pulled; do zfs create "$dataset"; done
fill tank/home 3M
cat >/etc/zam/zam.yaml <<EOF
hosts:
  there: {ssh: root@localhost, identity: /etc/zam/keys/there}
destinations:
  away: {host: there, root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1w, period: 1h}]}
  here: {root: backup/pulled, replication-period: 1h, alert-after: 3d}
datasets:
  tank/home: {recursive: true, snapshot-period: 10min, destinations: [away]}
  "there:tank/other": {recursive: true, destinations: [here]}
EOF
connections() { journalctl -q -o cat -u ssh.service -u 'ssh@*' --no-pager | grep -c 'Accepted publickey' || true; }

say "push: full, incremental, nothing to do; one connection a run"
zam snapshot tank/home >/dev/null
before=$(connections)
expect 0 zam replicate tank/home
has 'tank/home/with space -> backup/zam/tank/home/with space on there: 1 snapshot'
equal "$(connections)" $((before + 1))
for dataset in tank/home tank/home/kid 'tank/home/with space'; do
  equal "$(guids "backup/zam/$dataset")" "$(guids "$dataset")"
done
fill tank/home/kid 1M
sleep 1
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
equal "$(connections)" $((before + 2))
expect 0 zam replicate tank/home
has 'up to date'
equal "$(connections)" $((before + 3))
equal "$(content backup/zam/tank/home/kid)" "$(content tank/home/kid@"$(snapshots tank/home/kid | tail -n 1)")"
equal "$(ls /run/zam | grep -c ssh || true)" 0

say "the replica is pruned there"
expect 0 zam prune --to away tank/home -n
has 'keep .*backup/zam/tank/home@'
expect 0 zam prune --to away tank/home

say "one machine under two names: neither destination prunes what the other keeps"
ssh-keyscan -T 60 -t ed25519 127.0.0.1 2>/dev/null >>/root/.ssh/known_hosts
cp /etc/zam/zam.yaml /root/zam.yaml
sed -i 's/^  there: .*/&\n  same: {ssh: root@127.0.0.1, identity: \/etc\/zam\/keys\/there}/; s/\[away\]/[away, again]/' /etc/zam/zam.yaml
sed -i 's/^  away: .*/&\n  again: {host: same, root: backup\/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1d, period: 1d}]}/' /etc/zam/zam.yaml
expect 0 zam replicate --to again tank/home
for to in away again; do
  expect 75 zam prune --to $to tank/home
  has 'keep tank/home in one and the same place'
done
sed -i 's/max-age: 1d, period: 1d/max-age: 1w, period: 1h/' /etc/zam/zam.yaml
expect 0 zam prune --to again tank/home
mv /root/zam.yaml /etc/zam/zam.yaml
expect 0 zam prune --to away tank/home

say "pull: the other machine takes its own snapshots"
zfs snapshot tank/other@zam_20261101T000000Z
zfs snapshot tank/other@zam_20261102T000000Z
expect 0 zam replicate there:tank/other
equal "$(guids backup/pulled/tank/other)" "$(guids tank/other)"
expect 1 zam snapshot there:tank/other
has 'pulled from there'
equal "$(zfs list -H -t bookmark -o name tank/other | wc -l)" 1

say "by its unit, inside the sandbox"
expect 0 zam reload
sleep 1
zam snapshot tank/home >/dev/null
expect 0 systemctl start zam@replicate:away-tank-home.service
wait_for idle replicate:away-tank-home
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "the host key changed; the key refused: a failure, since a person has to mend that; nobody there: later"
cp /root/.ssh/known_hosts /root/known_hosts
sed -i 's/AAAAC3NzaC1lZDI1NTE5AAAAI..../AAAAC3NzaC1lZDI1NTE5AAAAIAAAA/' /root/.ssh/known_hosts
sleep 1
zam snapshot tank/home >/dev/null
expect 1 zam replicate tank/home
has 'cannot reach there .root@localhost.:.*(HOST IDENTIFICATION HAS CHANGED|verification failed)'
mv /root/known_hosts /root/.ssh/known_hosts
mv /root/.ssh/authorized_keys /root/keys
expect 1 zam replicate tank/home
has 'Permission denied.*zam setup --on there what is missing there'
mv /root/keys /root/.ssh/authorized_keys
systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh.service
expect 75 zam replicate tank/home
has 'Connection refused'
expect 0 systemctl start zam@replicate:away-tank-home.service
wait_for idle replicate:away-tank-home
expect 0 systemctl --failed --no-legend
equal "$output" ''
# A laptop that has just woken up: what is rare waits a moment for the network.
sed -i '/^  away:/s/replication-period: 1h/replication-period: 1d/' /etc/zam/zam.yaml
expect 0 zam reload
rm /var/lib/zam/done/replicate:away*
expect 0 systemctl start zam@replicate:away-tank-home.service
wait_for bash -c "journalctl -q -o cat -u zam@replicate:away-tank-home.service | grep -q 'cannot reach there.*; trying again in 10 s'"
systemctl start ssh.service
wait_for idle replicate:away-tank-home
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"
sed -i '/^  away:/s/replication-period: 1d/replication-period: 1h/' /etc/zam/zam.yaml
expect 0 zam reload
expect 0 zam replicate tank/home

say "where nobody takes snapshots any more, what is pulled from there is late, however well it is replicated"
expect 0 zam replicate there:tank/other
expect 0 zam status there:tank/other
lacks "$output" late
systemctl stop zam.target # its timers would catch up
advance '4 days'
expect 0 zam status there:tank/other
has 'there:tank/other.* late'
expect 1 zam check
has 'there:tank/other: the newest snapshot zam_.* of there:tank/other is 4d old .alert-after 3d., so its machine takes none any more'
zfs destroy tank/other@% # one that gave its tool up has none of zam's, but the bookmark
expect 1 zam check
has 'there:tank/other: the newest snapshot zam_.* of there:tank/other is 4d old'
