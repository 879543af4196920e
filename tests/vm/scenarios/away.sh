# machines: debian12 (zam alone decides here; mends.sh sends from bookmarks with OpenZFS 2.3)
# A destination that is away for weeks while the source goes on and prunes: nothing stops, and it is incremental
# afterwards, from a bookmark if it must be; a replica seeded by hand goes on too.
zfs create tank/home
zfs create tank/home/kid
zfs create backup/zam
fill tank/home 1M
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, windows: [{max-age: 1y, period: 1d}]}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, windows: [{max-age: 2d, period: 12h}], destinations: [local]}
EOF
clock '2026-11-01 00:00:10'
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
born=$(zfs get -Hpo value guid backup/zam/tank/home)

say "three weeks without it: snapshots and pruning go on, replication says later or why, every time"
zpool export backup
for day in $(seq 2 3 21); do
  for hour in 01 13; do
    clock "2026-11-$(printf %02d "$day") $hour:00:00"
    fill tank/home/kid 50K
    zam snapshot tank/home >/dev/null
    expect 0 zam prune tank/home
  done
done
expect 1 zam replicate tank/home
has 'backup/zam does not exist; if its pool backup is not imported, zpool import backup'
equal "$(snapshots tank/home | wc -l)" 2
equal "$(zfs list -H -t bookmark -o name tank/home | wc -l)" 1

say "it comes back: incremental from the bookmark"
zpool import -N backup
expect 0 zam replicate -n tank/home
has 'incremental .*#zam_'
expect 0 zam replicate tank/home
equal "$(zfs get -Hpo value guid backup/zam/tank/home)" "$born"
equal "$(guids backup/zam/tank/home/kid | tail -n 1)" "$(guids tank/home/kid | tail -n 1)"
equal "$(content backup/zam/tank/home/kid)" "$(content tank/home/kid@"$(snapshots tank/home/kid | tail -n 1)")"

say "all common snapshots destroyed on the source by hand: the bookmark serves"
zfs destroy tank/home@%
clock '2026-11-22 00:00:00'
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
equal "$(zfs get -Hpo value guid backup/zam/tank/home)" "$born"

say "a replica seeded by hand, from a snapshot of any name, goes on"
zfs create tank/seed
fill tank/seed 1M
zfs snapshot tank/seed@carried-over
zfs create -o canmount=off backup/zam/x 2>/dev/null || true
zfs send tank/seed@carried-over | zfs receive -u -o readonly=on backup/zam/tank/seed
echo '  tank/seed: {snapshot-period: 1h, destinations: [local]}' >>/etc/zam/zam.yaml
zam snapshot tank/seed >/dev/null
expect 0 zam replicate -n tank/seed
has 'incremental .@carried-over'
expect 0 zam replicate tank/seed

say "a snapshot destroyed and made anew under its name is another one"
zfs destroy tank/seed@carried-over
fill tank/seed 10K
zfs snapshot tank/seed@carried-over
clock '2026-11-22 01:00:00'
zam snapshot tank/seed >/dev/null
expect 0 zam replicate tank/seed
equal "$(guids backup/zam/tank/seed)" "$(guids tank/seed)"

say "a file that cannot be restored is no backup: a filesystem comes back from its replica"
newest=$(snapshots tank/home | tail -n 1)
wanted=$(content tank/home@"$newest")
zfs rename tank/home tank/lost
zfs send -R --skip-missing backup/zam/tank/home@"$newest" 2>/dev/null | zfs receive -u -x readonly -x canmount tank/home 2>/dev/null ||
  zfs send backup/zam/tank/home@"$newest" | zfs receive -u tank/home
zfs inherit readonly tank/home
equal "$(content tank/home@"$newest")" "$wanted"
clock '2026-11-22 02:00:00'
zam snapshot tank/home >/dev/null
expect 0 zam replicate tank/home
