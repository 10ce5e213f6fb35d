# The USB gadget is windhover-gadget.service, not l4t-usb-device-mode: that one puts a login on ttyGS0.
RDEPENDS:${PN}:append:tegra = " \
    tegra-nvpmodel \
    windhover-jetson \
"
