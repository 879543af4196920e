# machines: neither (it takes minutes, and main.sh and noticed.sh look at single lines of the journal)
# A thousand short runs that fail, fifty at a time, for root and for another user: the journal knows the unit of each.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
write_config() {
  local i
  {
    echo "${1-}"
    echo 'datasets:'
    for ((i = 0; i < 50; i++)); do echo "  tank/gone$i: {snapshot-period: 1d}"; done
  } >/etc/zam/zam.yaml
}
mkdir -p /etc/zam /etc/systemd/system/zam@.service.d
printf '[Unit]\nOnFailure=\nOnSuccess=\nStartLimitIntervalSec=0\n' >/etc/systemd/system/zam@.service.d/99-short.conf
units=()
for ((i = 0; i < 50; i++)); do units+=("zam@snapshot-tank-gone$i.service"); done
for user in '' 'user: zam'; do
  say "as ${user:-root}"
  write_config "$user"
  expect 0 zam reload
  for ((round = 0; round < 10; round++)); do ! systemctl start "${units[@]}" 2>/dev/null; done
done
journalctl --sync
said=$(journalctl -o json --output-fields=MESSAGE -t zam | grep -c 'tank/gone[0-9]* does not exist')
equal "$said" 1000
# runs UNIT...: how many runs of these units said why they failed.
runs() {
  journalctl "${@/#/--unit=}" -o json --output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID |
    jq -r 'select(.MESSAGE | test("tank/gone[0-9]+ does not exist")) | ._SYSTEMD_INVOCATION_ID' | sort -u | wc -l
}
equal "$(runs 'zam@*')" 1000
for unit in "${units[@]}"; do equal "$unit $(runs "$unit")" "$unit 20"; done
