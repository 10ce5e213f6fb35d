SUMMARY = "Signed update of windhover-image"
LICENSE = "MIT"

inherit bundle

RAUC_BUNDLE_COMPATIBLE = "windhover-${MACHINE}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_DESCRIPTION = "Windhover"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "windhover-image"
RAUC_SLOT_rootfs[fstype] = "ext4"

# The key and its certificate are never part of a layer: RAUC_KEY_FILE and RAUC_CERT_FILE come from the environment of kas or
# from local.conf.
