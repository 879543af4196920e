# machines: neither (it takes minutes, and main.sh and noticed.sh look at single lines of the journal)
# timeout: 4500
# A thousand short runs that fail, of fifty units side by side, for root and for another user: the journal knows the unit of
# each.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
config <<EOF
datasets:
  tank/gone: {snapshot-period: 1d}
EOF
mkdir -p /etc/systemd/system/zam@.service.d
units=()
for ((i = 0; i < 50; i++)); do units+=("zam@short$i.service"); done
for user in root zam; do
  say "as $user"
  {
    printf '[Unit]\nOnFailure=\nOnSuccess=\n[Service]\nUser=%s\nExecStart=\n' $user
    for ((i = 0; i < 10; i++)); do echo 'ExecStart=-zam snapshot -- tank/gone'; done
  } >/etc/systemd/system/zam@.service.d/99-short.conf
  systemctl daemon-reload
  systemctl start "${units[@]}"
done
journalctl --sync
# said [OPTION...]: how many lines of the journal say why a run failed.
said() { journalctl -o cat "$@" | grep -c '^tank/gone does not exist'; }
equal "$(said)" 1000
equal "$(said -u 'zam@*')" 1000
for unit in "${units[@]}"; do equal "$unit $(said -u "$unit")" "$unit 20"; done
