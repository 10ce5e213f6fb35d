PACKAGECONFIG:append:windhover-distro = "${@bb.utils.contains('WINDHOVER_ENCODER', 'openh264', ' openh264', '', d)}"
