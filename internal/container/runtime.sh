#!/bin/sh
# In the image: its user, the directories that volumes cover, and a proof that the engine runs with this TensorFlow.
set -eu

user=65532
if ! getent group $user >/dev/null; then
	groupadd --gid $user nasnet
fi
if ! getent passwd $user >/dev/null; then
	useradd --uid $user --gid $user --no-create-home --home-dir /nasnet/cache --shell /usr/sbin/nologin nasnet
fi
# A new named volume takes owner and mode of the directory it covers.
for dir in data runs cache; do
	mkdir -p /nasnet/$dir
done
chown -R $user:$user /nasnet

# Without TensorFlow, or with one of another series, the image must not come about. (There is no GPU while it is built.)
report=$(NASNET_CACHE=/nasnet/cache nasnet doctor --json)
case $report in
*/device:CPU:0*) ;;
*)
	echo "$report"
	echo "runtime.sh: the engine does not run on this image; BASE must be an image of TensorFlow 2.18" >&2
	exit 1
	;;
esac
