# machines: both (2.1 and 2.3 print and refuse tokens differently)
# Resume tokens: one that fits is used; one of this source that does not (its snapshot is gone, or it is of the other kind
# of stream) is discarded, once, and the run goes on; one that may be somebody else's is reported and stays.
echo 'a good passphrase' >/root/key
for dataset in tank/home tank/other backup/zam backup/zam/tank; do zfs create "$dataset"; done
zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key tank/secret
for dataset in tank/home tank/other tank/secret; do fill "$dataset" 4M; done
cat >/etc/zam/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/home: {snapshot-period: 1h, destinations: [local]}
  tank/other: {snapshot-period: 1h}
  tank/secret: {snapshot-period: 1h, destinations: [local]}
EOF
take() { advance '2 sec'; zam snapshot "$1" >/dev/null; }
newest() { echo "$1@$(snapshots "$1" | tail -n 1)"; }
token() { zfs get -Hpo value receive_resume_token "$1"; }
# leave_token REPLICA COMMAND...: what of its stream arrives before it is cut.
leave_token() {
  local place=$1
  shift
  { "$@" | head -c 2000000 | zfs receive -s -u "$place"; } 2>/dev/null || true
  [[ $(token "$place") == 1-* ]] || fail "no token at $place"
}
arrived() {
  equal "$(token "backup/zam/$1")" '-'
  equal "$(guids "backup/zam/$1" | tail -n 1)" "$(guids "$1" | tail -n 1)"
  equal "$(zfs list -H -t bookmark -o name "$1" | wc -l)" 1
}

say "another dataset's, on the first stream"
for dataset in tank/home tank/other tank/secret; do take "$dataset"; done
leave_token backup/zam/tank/home zfs send -Lc "$(newest tank/other)"
expect 0 zam replicate -n tank/home
has ': full .*a resume token of another stream is in the way'
before=$(token backup/zam/tank/home)
expect 1 zam replicate tank/home
has 'if nobody needs it: zfs receive -A backup/zam/tank/home'
equal "$(token backup/zam/tank/home)" "$before"
equal "$(zfs list -H -t bookmark -o name tank/home | wc -l)" 0
expect 0 zfs receive -A backup/zam/tank/home
expect 0 zam replicate tank/home
arrived tank/home
equal "$(content backup/zam/tank/home)" "$(content "$(newest tank/home)")"

say "one that fits"
base=$(newest tank/home)
fill tank/home 4M
take tank/home
leave_token backup/zam/tank/home zfs send -Lc -i "$base" "$(newest tank/home)"
expect 0 zam replicate -n tank/home
has ': resume '
expect 0 zam replicate tank/home
has '1 snapshot, [12]\.[0-9] MiB'
arrived tank/home

say "of a snapshot that is gone"
base=$(newest tank/home)
fill tank/home 4M
take tank/home
leave_token backup/zam/tank/home zfs send -Lc -i "$base" "$(newest tank/home)"
# Named as zam names its bookmarks: the destination's id, and the GUID.
cursor=$(printf '%016x' "$(zfs get -Hpo value guid backup/zam)")
zfs bookmark "$(newest tank/home)" "tank/home#zam_${cursor:0:8}_$(printf '%016x' "$(guids tank/home | tail -n 1)")"
zfs destroy "$(newest tank/home)"
take tank/home
expect 0 zam replicate -n tank/home
has ': incremental '
has '^  backup/zam/tank/home holds part of a stream that fits nothing any more: that is given up first'
contains "$(token backup/zam/tank/home)" '^1-'
expect 0 zam replicate tank/home
arrived tank/home
equal "$(content backup/zam/tank/home)" "$(content "$(newest tank/home)")"

say "of a plain stream, where a raw one is due"
leave_token backup/zam/tank/secret zfs send -Lc "$(newest tank/secret)"
expect 0 zam replicate tank/secret
arrived tank/secret
equal "$(zfs get -Ho value encryptionroot backup/zam/tank/secret)" backup/zam/tank/secret
