#!/bin/sh
# Make a Vagrant box for libvirt of Debian's packages: box.sh FOLDER SUITE MIRROR ARCHITECTURE GIGABYTES
#
# Runs as root, in mount and PID namespaces of its own, so that nothing stays mounted or running behind it.
# FOLDER gets the box's parts; lines that begin with "step: " say how far it is. The machine is booted with
# the kernel and the initial file system beside its disk, so it needs no boot loader; its disk is one ext4
# file system, written without mounting it.
set -eu
folder=$1 suite=$2 mirror=$3 architecture=$4 gigabytes=$5
root=$folder/root

packages=linux-image-cloud-$architecture,initramfs-tools,zstd,systemd-sysv,dbus,udev,kmod,openssh-server,sudo
packages=$packages,iproute2,iptables,nftables,ipvsadm,procps,ca-certificates,curl,python3,rsync,docker.io

echo 'step: packages are fetched and installed'
# apparmor's parser, which docker would look for, is not wanted: the kernel is started without it.
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 || {
    tail -n 5 "$folder/debootstrap.log" >&2
    exit 1
}
mount -t proc proc "$root/proc"

echo 'step: the system is set up'
chroot "$root" useradd --create-home --shell /bin/bash --groups docker vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
chmod 440 "$root/etc/sudoers.d/vagrant"
install -d -m 700 "$root/home/vagrant/.ssh"
ssh-keygen -q -t ed25519 -N '' -C sameport -f "$folder/key"
install -m 600 "$folder/key.pub" "$root/home/vagrant/.ssh/authorized_keys"
chroot "$root" chown -R vagrant:vagrant /home/vagrant/.ssh
# eth0 is Vagrant's own; it sets up others itself, by systemd-networkd where that runs.
cat >"$root/etc/systemd/network/10-eth0.network" <<END
[Match]
Name=eth0
[Network]
DHCP=ipv4
END
echo sameport >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 sameport\n' >"$root/etc/hosts"
printf 'UseDNS no\nGSSAPIAuthentication no\n' >"$root/etc/ssh/sshd_config.d/quick.conf"
# Nobody waits for a look-up that leads nowhere.
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
printf 'ip_vs\nbr_netfilter\noverlay\n' >"$root/etc/modules-load.d/sameport.conf"
chroot "$root" systemctl --quiet enable systemd-networkd ssh docker
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service
# All machines of one box have the same keys: each is reached from its host alone.
chroot "$root" ssh-keygen -A >/dev/null

echo 'step: the initial file system is made'
echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/sameport"
printf 'virtio_pci\nvirtio_blk\next4\n' >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u >"$folder/initramfs.log" 2>&1 || {
    tail -n 5 "$folder/initramfs.log" >&2
    exit 1
}
umount "$root/proc"
cp "$root"/boot/vmlinuz-* "$folder/vmlinuz"
cp "$root"/boot/initrd.img-* "$folder/initrd.img"

echo 'step: the disk is written'
rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
chroot "$root" dpkg-query --show --showformat '${Package} ${Version}\n' >"$folder/versions"
truncate --size "$gigabytes"G "$folder/disk.raw"
# The features of a file system that can be written without knowing its identifier.
mkfs.ext4 -q -O ^metadata_csum,^64bit -d "$root" "$folder/disk.raw"
qemu-img convert -O qcow2 "$folder/disk.raw" "$folder/box.img"
rm "$folder/disk.raw"
