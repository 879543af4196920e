# machines: debian13 (OpenZFS 2.3 decrypts reliably, and allows less; users.sh has entries without children on the older)
# Jobs that are not root's, of entries without their children: a volume, encrypted sources, sent raw and in plain, and
# replicas that are encrypted by the destination. ZFS takes a dataset's own snapshots for something below it.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
echo 'a good passphrase' >/root/key
secret() { zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key "$1"; }
for dataset in tank/secret tank/open backup/vault; do secret $dataset; done
for dataset in tank/plain tank/plain/child backup/zam; do zfs create $dataset; done
zfs create -V 8M tank/disk
cat >/etc/zam/zam.yaml <<EOF
destinations:
  raw: {root: backup/zam, replication-period: 1h}
  clear: {root: backup/zam, replication-period: 1h, decrypt: true}
  sealed: {root: backup/vault, replication-period: 1h}
  opened: {root: backup/vault, replication-period: 1h, decrypt: true}
datasets:
  tank/secret: {snapshot-period: 1h, destinations: [raw, sealed]}
  tank/open: {snapshot-period: 1h, destinations: [clear, opened]}
  tank/plain: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [sealed]}
  tank/disk: {snapshot-period: 1h, destinations: [raw]}
EOF
zam setup >/root/setup
expect 0 sh /root/setup
expect 0 zam setup
equal "$output" ''
expect 0 zam reload

say "everything arrives, at first and by increments, and none of it by root"
jobs="raw-tank-secret sealed-tank-secret clear-tank-open opened-tank-open sealed-tank-plain raw-tank-disk"
for round in first next; do
  for name in secret open plain; do
    fill tank/$name 200K
  done
  wait_for test -e /dev/zvol/tank/disk
  dd if=/dev/urandom of=/dev/zvol/tank/disk bs=100K count=1 status=none
  for name in secret open plain disk; do run_job snapshot-tank-$name; done
  for job in $jobs; do run_job "replicate:$job"; done
done
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''
for job in $jobs; do equal "$(systemctl show -p User --value "zam@replicate:$job.service")" zam; done
for name in secret open plain disk; do equal "$(snapshots tank/$name | wc -l)" 2; done
for replica in zam/tank/secret vault/tank/secret zam/tank/open vault/tank/open vault/tank/plain zam/tank/disk; do
  equal "$(guids backup/$replica)" "$(guids "tank/${replica##*/}")"
done
arrived backup/zam tank/open
arrived backup/vault tank/open
arrived backup/vault tank/plain
root_of() { zfs get -Ho value encryptionroot "$1"; }
equal "$(root_of backup/zam/tank/secret)" backup/zam/tank/secret
equal "$(root_of backup/vault/tank/secret)" backup/vault/tank/secret
equal "$(root_of backup/zam/tank/open)" -
equal "$(root_of backup/vault/tank/open)" backup/vault
equal "$(root_of backup/vault/tank/plain)" backup/vault

say "pruning has what it needs, and leaves the child alone"
zfs snapshot tank/plain/child@zam_20261101T000000Z
zfs snapshot tank/plain@zam_20261101T000000Z
run_job snapshot-tank-plain
run_job replicate:sealed-tank-plain
run_job prune-tank-plain
equal "$(systemctl show -p User -p Result "zam@prune-tank-plain.service" | sort | xargs)" 'Result=success User=zam-prune'
lacks "$(snapshots tank/plain)" 20261101
equal "$(snapshots tank/plain/child)" zam_20261101T000000Z

say "who may not send is told what to do"
zfs unallow -d -u zam send tank/plain
run_job replicate:sealed-tank-plain # nothing to do
fill tank/plain 10K
run_job snapshot-tank-plain
run_job replicate:sealed-tank-plain
contains "$(journalctl -u 'zam@*' -o cat)" 'cannot send .*permission denied \(zam setup prints what is missing here'
zam setup >/root/setup
equal "$(grep -v '^#' /root/setup | tail -n 1)" 'zfs allow -d -u zam send tank/plain'
sh /root/setup
run_job replicate:sealed-tank-plain
arrived backup/vault tank/plain

say "what another machine began to send and never goes on with is given up by the user who prunes, with its dataset"
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # so that a short stream leaves something to resume
fill tank/plain/child 4M
zfs snapshot tank/plain/child@whole
zfs send tank/plain/child@whole | head -c 2000000 | zfs receive -s -u backup/began 2>/dev/null || true
contains "$(zfs get -Hpo value receive_resume_token backup/began)" '^1-'
# Between two of its runs a week counts, and not a day.
echo '  backup/began: {prune-period: 1w, windows: [{max-age: 1d, period: 1d}]}' >>/etc/zam/zam.yaml
zam setup >/root/setup
equal "$(grep -v '^#' /root/setup | tail -n 1)" 'zfs allow -u zam-prune destroy,mount backup/began'
sh /root/setup
expect 0 zam reload
run_job prune-backup-began
contains "$(zfs get -Hpo value receive_resume_token backup/began)" '^1-'
advance '8 days'
run_job prune-backup-began
contains "$(journalctl -u 'zam@prune-backup-began.service' -o cat)" 'has not grown for 1w; after 2w it is given up'
advance '8 days'
run_job prune-backup-began
contains "$(journalctl -u 'zam@prune-backup-began.service' -o cat)" 'backup/began: gave up part of a stream'
! zfs list backup/began 2>/dev/null || fail "it is still there"
