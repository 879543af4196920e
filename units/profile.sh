# What zam has to say at an interactive login: one look at a file when all is well.
case $- in
*i*) [ -e /var/lib/zam/well/all ] || [ ! -e /run/systemd/generator/zam.target.d ] || zam login ;;
esac
