PACKAGECONFIG:append:windhover-distro = "${@bb.utils.contains('WINDHOVER_ENCODER', 'x264', ' x264', '', d)}"
