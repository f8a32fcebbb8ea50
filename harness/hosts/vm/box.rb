# What belongs to a box made of packages: it is started without a boot loader, by the kernel beside its disk.
Vagrant.configure("2") do |config|
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.insert_key = false # the machine can be reached from its host alone
  config.ssh.private_key_path = File.expand_path("key", __dir__)

  config.vm.provider "libvirt" do |machine|
    machine.machine_type = "q35"
    machine.kernel = File.expand_path("vmlinuz", __dir__)
    machine.initrd = File.expand_path("initrd.img", __dir__)
    machine.cmd_line = "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off apparmor=0 audit=0 quiet"
    machine.disk_bus = "virtio"
    machine.volume_cache = "unsafe" # its content outlives no crash, nor is it meant to
    machine.graphics_type = "none"
    machine.video_type = "none"
  end
end
