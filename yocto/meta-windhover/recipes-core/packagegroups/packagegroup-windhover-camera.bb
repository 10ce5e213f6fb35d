SUMMARY = "The camera daemon and the encoders of the machine"

# Before the class, which freezes it.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

WINDHOVER_ENCODER ??= ""
MACHINE_HWCODECS ??= ""

RDEPENDS:${PN} = " \
    windhover \
    ${MACHINE_HWCODECS} \
    ${@bb.utils.contains('WINDHOVER_ENCODER', 'x264', 'gstreamer1.0-plugins-ugly-x264', '', d)} \
    ${@bb.utils.contains('WINDHOVER_ENCODER', 'openh264', 'gstreamer1.0-plugins-bad-openh264', '', d)} \
"
