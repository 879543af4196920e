# machines: debian13 (OpenZFS 2.3; back.sh has a volume with 2.1)
# A volume among filesystems; a source mounted at /home; odd names; a tree of children; new and vanished children.
zfs create -V 20M tank/disk
udevadm settle
head -c 5M /dev/urandom | dd of=/dev/zvol/tank/disk bs=1M conv=notrunc status=none
zfs create -o mountpoint=/home tank/home
zfs create 'tank/home/with space'
zfs create "tank/home/$(printf 'n%.0s' $(seq 150))"
zfs create tank/home/a:b
zfs create backup/zam
fill tank/home 500K
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/disk: {snapshot-period: 1h, destinations: [local]}
  tank/home: {recursive: true, snapshot-period: 1h, destinations: [local]}
EOF
both() { for dataset in tank/disk tank/home; do zam snapshot $dataset >/dev/null; expect 0 zam replicate $dataset; done; advance '2 sec'; }
both

say "the volume's replica is no device, and equal"
equal "$(zfs get -Ho value volmode,readonly backup/zam/tank/disk | xargs)" 'none on'
head -c 1M /dev/urandom | dd of=/dev/zvol/tank/disk bs=1M seek=3 conv=notrunc status=none
both
zfs set volmode=full backup/zam/tank/disk
udevadm settle
wait_for test -e /dev/zvol/backup/zam/tank/disk
equal "$(sha256sum </dev/zvol/backup/zam/tank/disk)" "$(sha256sum </dev/zvol/tank/disk)"
zfs set volmode=none backup/zam/tank/disk

say "odd names arrive"
equal "$(zfs list -H -r -t filesystem -o name backup/zam/tank/home | sed 's,^backup/zam/,,')" "$(zfs list -H -r -t filesystem -o name tank/home)"

say "the replica never mounts over the source"
equal "$(zfs get -Ho value mounted -r -t filesystem backup/zam/tank/home | sort -u)" no
equal "$(findmnt -no SOURCE /home)" tank/home

say "a new child comes by itself; one that vanished stays at the destination"
zfs create tank/home/new
zfs destroy -r tank/home/a:b
both
expect 0 zfs list backup/zam/tank/home/new
expect 0 zfs list backup/zam/tank/home/a:b

say "a child moved away by hand at the destination is sent anew; a replica renamed by its snapshots is not"
for snapshot in $(snapshots tank/home/new); do zfs rename "tank/home/new@$snapshot" "tank/home/new@kept-$snapshot"; done
both
equal "$(zfs list -H -t snapshot -o name backup/zam/tank/home/new | wc -l)" 2
#--- reboot
say "nor after a reboot"
equal "$(zfs get -Ho value mounted -r -t filesystem backup/zam/tank/home | sort -u)" no
equal "$(findmnt -no SOURCE /home)" tank/home
