# What zam has to say at an interactive login: one look at a file when all is well.
if status is-login; and status is-interactive
    test -e /var/lib/zam/well/all; or not test -e /run/systemd/generator/zam.target.d; or zam login
end
