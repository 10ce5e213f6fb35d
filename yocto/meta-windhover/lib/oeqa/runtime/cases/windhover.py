#
# SPDX-License-Identifier: MIT
#
"""bitbake -c testimage windhover-image-dev: what a booted board must be, seen over SSH."""

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase


class WindhoverTest(OERuntimeTestCase):
    def run_ok(self, command):
        status, output = self.target.run(command)
        self.assertEqual(status, 0, msg="%s: %s" % (command, output))
        return output

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    def test_boot_is_complete(self):
        self.run_ok("systemctl is-active boot-complete.target windhover.service windhover-health.service")
        self.assertEqual(self.run_ok("systemctl --failed --no-legend --plain").strip(), "")

    @OETestDepends(["windhover.WindhoverTest.test_boot_is_complete"])
    def test_the_root_cannot_be_written(self):
        self.run_ok("! touch /usr/written")

    @OETestDepends(["windhover.WindhoverTest.test_boot_is_complete"])
    def test_the_daemon_runs_as_its_own_user(self):
        self.assertEqual(self.run_ok("ps -o user= -p $(pidof windhover)").strip(), "windhover")

    @OETestDepends(["windhover.WindhoverTest.test_boot_is_complete"])
    def test_rtsp_answers(self):
        self.run_ok("windhover status --json --socket /run/windhover/api.sock | grep -q '\"ready\":true'")

    @OETestDepends(["windhover.WindhoverTest.test_boot_is_complete"])
    def test_the_hardware_watchdog_is_armed(self):
        wanted = "systemctl show --property RuntimeWatchdogUSec --value"
        self.assertEqual(self.run_ok(wanted).strip(), "15s")
