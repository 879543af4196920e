# machines: debian13 (OpenZFS 2.3; refusals.sh has the messages of both)
# What people do to replicas and to the configuration: rolled back, the newest taken away, renamed, another prefix,
# a destination removed, a source renamed. Nothing is lost, and it goes on, by the commands that zam(8) gives.
zfs create tank/home
zfs create backup/zam
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
EOF
# The machine has one processor.
expect 0 zam config tank/home
has 'parallel: 1  # default'
take() { fill tank/home 100K; advance '2 sec'; zam snapshot tank/home >/dev/null; }
for i in 1 2 3; do take; expect 0 zam replicate tank/home; done
born=$(zfs get -Hpo value guid backup/zam/tank/home)
whole() {
  equal "$(zfs get -Hpo value guid "$2")" "$born"
  equal "$(guids "$2" | sort | comm -23 <(guids "$1" | sort) -)" ''
  equal "$(content "$2")" "$(content "$1@$(snapshots "$1" | tail -n 1)")"
}

say "rolled back"
zfs rollback -r backup/zam/tank/home@"$(snapshots backup/zam/tank/home | head -n 1)"
expect 0 zam replicate tank/home
has 'it was rolled back, or it is another copy'
whole tank/home backup/zam/tank/home
# A bookmark is kept for another copy, which is not there; the message says how to remove it.
expect 0 bash -c "$(grep -oE "zfs destroy '[^']+'" <<<"$output")"

say "its newest taken away: what that one brought is still there, so it takes the command that the message names"
zfs destroy backup/zam/tank/home@"$(snapshots backup/zam/tank/home | tail -n 1)"
expect 1 zam replicate tank/home
has 'or a newer snapshot of it was destroyed'
kept=$(grep -oE "zfs destroy '[^']+'" <<<"$output")
expect 0 $(grep -oE 'zfs rollback -r [^ ;]+' <<<"$output")
expect 0 zam replicate tank/home
expect 0 bash -c "$kept"
whole tank/home backup/zam/tank/home

say "renamed away and back: meanwhile a new one begins beside it"
zfs rename backup/zam/tank/home backup/zam/tank/old
expect 0 zam replicate tank/home
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"
zfs destroy -r backup/zam/tank/home
zfs rename backup/zam/tank/old backup/zam/tank/home
take
expect 0 zam replicate tank/home
whole tank/home backup/zam/tank/home

say "another prefix: what has the old one is nobody's, and stays; it goes on incrementally"
before=$(guids tank/home)
sed -i '1i prefix: nas' /etc/zam/zam.yaml
fill tank/home 100K
advance '2 sec'
expect 0 zam snapshot tank/home
has '@nas_'
expect 0 zam replicate tank/home
whole tank/home backup/zam/tank/home
expect 0 zam prune tank/home
equal "$(zfs list -Hp -d 1 -t snapshot -o guid tank/home | sort)" "$(printf '%s\n' "$before" "$(guids tank/home | tail -n 1)" | sort)"
sed -i 1d /etc/zam/zam.yaml

say "a source renamed: rename its replica, and it goes on"
zfs rename tank/home tank/house
sed -i 's,tank/home,tank/house,' /etc/zam/zam.yaml
advance '2 sec'
zam snapshot tank/house >/dev/null
expect 0 zfs rename backup/zam/tank/home backup/zam/tank/house
expect 0 zam replicate tank/house
whole tank/house backup/zam/tank/house

say "children that vanished are told, and stay"
zfs create tank/house/kid
advance '2 sec'
zam snapshot tank/house >/dev/null
expect 0 zam replicate tank/house
zfs destroy -r tank/house/kid
advance '2 sec'
zam snapshot tank/house >/dev/null
expect 0 zam replicate tank/house
has 'backup/zam/tank/house/kid stays as it is'
expect 0 zfs list backup/zam/tank/house/kid

say "a destination removed: what it leaves stops nothing, and nothing of it is destroyed"
sed -i 's/, destinations: \[local\]//' /etc/zam/zam.yaml
before=$(zfs list -Hp -r -t all -o name,guid backup)
advance '2 sec'
zam snapshot tank/house >/dev/null
expect 0 zam prune tank/house
expect 1 zam replicate tank/house
has 'has no .destinations.'
equal "$(zfs list -Hp -r -t all -o name,guid backup)" "$before"
equal "$(zfs list -H -t bookmark -o name tank/house | grep -c '#zam_')" 1
