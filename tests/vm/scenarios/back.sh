# machines: debian12 (the older ZFS, which knows fewer properties; encryption.sh goes back with the newer)
# Going back, by the commands that zam(8) gives: a tree of filesystems, a volume and a raw encrypted tree restored from
# their replicas with their history, contents equal, and replication going on in the old direction afterwards.
echo 'a good passphrase' >/root/key
zfs create tank/home
zfs create tank/home/kid
zfs create -V 16M tank/disk
zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key tank/secret
zfs create tank/secret/kid
zfs create backup/zam
udevadm settle
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, destinations: [local]}
  tank/disk: {snapshot-period: 1h, destinations: [local]}
  tank/secret: {recursive: true, snapshot-period: 1h, destinations: [local]}
EOF
all='tank/home tank/home/kid tank/disk tank/secret tank/secret/kid'
round() {
  local dataset
  for dataset in tank/home tank/home/kid tank/secret tank/secret/kid; do fill $dataset 300K; done
  head -c 1M /dev/urandom | dd of=/dev/zvol/tank/disk bs=1M seek=$((RANDOM % 15)) conv=notrunc status=none
  zpool sync
  advance '2 sec'
  for dataset in tank/home tank/disk tank/secret; do
    zam snapshot $dataset >/dev/null
    expect 0 zam replicate $dataset
  done
}
whole() { for dataset in $all; do equal "$(guids backup/zam/$dataset)" "$(guids $dataset)"; done; }
round
round
whole
contents() {
  for dataset in tank/home tank/home/kid tank/secret tank/secret/kid; do content "$dataset@$(snapshots "$dataset" | tail -n 1)"; done
  sha256sum </dev/zvol/tank/disk
}
before=$(contents)
born=$(for dataset in $all; do zfs get -Hpo value guid backup/zam/$dataset; done)

say "all of it is lost, and comes back"
for dataset in tank/home tank/disk tank/secret; do
  flag=
  [[ $dataset != tank/secret ]] || flag=w
  newest=$(snapshots $dataset | tail -n 1)
  zfs rename $dataset $dataset-broken
  zfs send -RLc$flag backup/zam/$dataset@"$newest" | zfs receive -u -x readonly -x canmount -x volmode $dataset
done
for dataset in tank/secret tank/secret/kid; do zfs load-key -L file:///root/key $dataset; done
expect 0 zfs change-key -i tank/secret/kid
zpool sync
zfs mount -a
udevadm settle
wait_for test -e /dev/zvol/tank/disk
equal "$(zfs get -Ho value readonly,canmount tank/home tank/home/kid tank/secret tank/secret/kid | sort -u | xargs)" 'off on'
equal "$(zfs get -Ho value mounted tank/home tank/home/kid tank/secret tank/secret/kid | sort -u)" yes
equal "$(contents)" "$before"
whole

say "and replication goes on in the old direction"
round
round
whole
equal "$(for dataset in $all; do zfs get -Hpo value guid backup/zam/$dataset; done)" "$born"
