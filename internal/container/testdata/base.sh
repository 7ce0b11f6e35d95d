#!/bin/sh
# Makes in DIR what stands for TensorFlow's image in the test: a Debian without a compiler, Python 3.11 and
# TensorFlow 2.18.0's wheel under /usr/local, where the image has it. Usage: base.sh DIR
set -eu

dir=$1
debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip bookworm "$dir"
# As a build behind a proxy has them.
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
	if [ -f $file ]; then
		cp $file "$dir$file"
	fi
done
chroot "$dir" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
	python3 -m pip install --quiet --no-cache-dir --break-system-packages tensorflow-cpu==2.18.0
