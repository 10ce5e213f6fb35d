FILESEXTRAPATHS:prepend:windhover-distro := "${THISDIR}/files:"

SRC_URI:append:windhover-distro = " file://windhover-environment.cfg"
# meta-raspberrypi names this file too; the one of this layer, with two copies of the environment, is found first.
SRC_URI:append:windhover-distro:qemuarm64 = " file://fw_env.config"

# QEMU: the boot script is made here and stands on the boot partition. Raspberry Pi: see dynamic-layers/raspberrypi.
SRC_URI:append:windhover-distro:qemuarm64 = " \
    file://windhover-boot.cmd.in \
    file://windhover-environment-qemu.cfg \
"
UBOOT_ENV:windhover-distro:qemuarm64 = "boot"
UBOOT_ENV_SUFFIX:windhover-distro:qemuarm64 = "scr"
UBOOT_ENV_SRC:windhover-distro:qemuarm64 = "boot.cmd"

do_configure:prepend:windhover-distro:qemuarm64() {
    sed -e 's/@@PART_A@@/2/' -e 's/@@PART_B@@/3/' \
        -e 's/@@SLOT_A@@/${WINDHOVER_SLOT_A}/' -e 's/@@SLOT_B@@/${WINDHOVER_SLOT_B}/' \
        -e 's/@@DEVICE@@/virtio 0/g' -e 's/@@ARGUMENTS@@/console=ttyAMA0/' \
        -e 's/@@KERNEL@@/${KERNEL_IMAGETYPE}/' -e 's/@@BOOT@@/booti/' \
        ${UNPACKDIR}/windhover-boot.cmd.in > ${UNPACKDIR}/boot.cmd
}
