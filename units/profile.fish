# What zam has to say at an interactive login: one look at a file when all is well.
if status is-login; and status is-interactive
    test -e /run/zam-well/all; or not command -q zam; or zam login
end
