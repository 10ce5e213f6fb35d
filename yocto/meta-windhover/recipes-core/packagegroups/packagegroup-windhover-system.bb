SUMMARY = "What a Windhover board needs around the camera daemon"

# Before the class, which freezes it.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

RDEPENDS:${PN} = " \
    kernel-modules \
    tzdata-core \
    windhover-firmware \
    ${@bb.utils.contains('DISTRO_FEATURES', 'rauc', 'rauc rauc-mark-good rauc-service', '', d)} \
    ${@bb.utils.contains('WINDHOVER_BOOTLOADER', 'uboot', 'kernel-image libubootenv-bin u-boot-env windhover-boot', '', d)} \
"
