# Reduces a folder of extracted Debian packages to what the test image needs: programs, chosen GStreamer plugins, and the
# libraries that these load.
#
#   slim.py FOLDER OBJDUMP
import pathlib
import re
import shutil
import subprocess
import sys

TRIPLET = "aarch64-linux-gnu"

# GStreamer's plugins that hold the elements of src/; a test source and a clip need theirs too.
PLUGINS = """app coreelements typefindfunctions videoconvertscale videorate videotestsrc videofilter jpeg video4linux2
    playback rtp rtpmanager rtsp udp tcp isomp4 matroska x264 openh264 videoparsersbad mpegtsmux mpegtsdemux""".split()

# Opened by name while running, or linked by the daemon alone; no dynamic section here names them.
LIBRARIES = """libkmod.so.2 libblkid.so.1 libmount.so.1 libseccomp.so.2 libacl.so.1 libz.so.1 libzstd.so.1 liblz4.so.1
    liblzma.so.5 libcrypt.so.1 libgcrypt.so.20 libgcc_s.so.1 libresolv.so.2 libpam.so.0 libapparmor.so.1 libaudit.so.1
    libcrypto.so.3 libgstrtspserver-1.0.so.0""".split()

FOLDERS = """boot var/cache var/lib/apt var/lib/dpkg usr/lib/apt usr/lib/gcc usr/lib/locale usr/lib/python3 usr/lib/ladspa
    usr/lib/udev/hwdb.d usr/lib/initramfs-tools usr/lib/klibc usr/lib/linux-image-* usr/share/GConf usr/share/X11
    usr/share/alsa usr/share/ca-certificates
    usr/share/bug usr/share/doc usr/share/drirc.d usr/share/fontconfig usr/share/fonts usr/share/gdb usr/share/glvnd
    usr/share/gtk-* usr/share/i18n usr/share/initramfs-tools usr/share/iso-codes usr/share/locale
    usr/share/libmysofa usr/share/libthai usr/share/mime usr/share/perl usr/share/perl5 usr/share/poppler usr/share/sounds
    usr/share/themes usr/share/vulkan usr/share/xml usr/share/zsh""".split()
LIBRARY_FOLDERS = """dri gbm gconv gdk-pixbuf-2.0 girepository-1.0 gtk-3.0 gtk-4.0 ladspa perl perl-base samba spa-0.2
    vdpau""".split()

# Rules for hardware that the virtual machine lacks; each costs time at every device, and the machine is slow.
RULES = """50-firmware 60-autosuspend 60-cdrom_id 60-dmi-id 60-drm 60-fido-id 60-infiniband 60-libopenni2-0 60-evdev
    60-input-id 60-persistent-alsa 60-persistent-input 60-persistent-storage-mtd 60-persistent-storage-tape 60-sensor
    64-btrfs 70-camera 70-joystick 70-memory 70-mouse 70-touchpad 70-uaccess 71-seat 73-seat-late 75-probe_mtd
    78-sound-card 81-net-dhcp 90-iocost 96-e2scrub""".split()
GENERATORS = "cryptsetup getty gpt-auto hibernate-resume integritysetup rc-local ssh system-update sysv tpm2 veritysetup"


def remove_known(root):
    """Takes away what is surely not needed."""
    libraries = root / "usr/lib" / TRIPLET
    folders = [path for name in FOLDERS for path in root.glob(name)] + [libraries / name for name in LIBRARY_FOLDERS]
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    for rule in RULES:
        (root / f"usr/lib/udev/rules.d/{rule}.rules").unlink(missing_ok=True)
    for name in GENERATORS.split():
        (root / f"usr/lib/systemd/system-generators/systemd-{name}-generator").unlink(missing_ok=True)
    for program in (root / "usr/bin").glob("perl*"):
        program.unlink()
    for plugin in (libraries / "gstreamer-1.0").glob("libgst*.so"):
        if plugin.name.removeprefix("libgst").removesuffix(".so") not in PLUGINS:
            plugin.unlink()


def is_elf(path):
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(paths, objdump):
    """The names of the libraries that each of these files asks for."""
    if not paths:
        return set()
    said = subprocess.run([objdump, "-p", *paths], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"NEEDED\s+(\S+)", said))


def closure(root, objdump):
    """Every library file that a program or a plugin loads, itself or through others."""
    folder = root / "usr/lib" / TRIPLET
    by_name = {}
    for path in sorted(folder.rglob("*.so*")):
        by_name.setdefault(path.name, path)
    programs = [root / "usr" / name for name in ("bin", "sbin", "libexec", "lib/systemd", "lib/udev")]
    new = {path for top in programs for path in top.rglob("*") if is_elf(path)}
    kept = set(folder.glob("gstreamer-1.0/*")) | set(folder.glob("gstreamer1.0/*/*")) | set(folder.glob("systemd/*"))
    kept |= set(folder.glob("libnss_*")) | set(folder.glob("security/*")) | {by_name["ld-linux-aarch64.so.1"]}
    new |= {path.resolve() for path in kept if is_elf(path.resolve())}
    names = {name for name in LIBRARIES if name in by_name}
    reached = set()
    while new or names:
        reached |= new
        names |= needed(sorted(new), objdump)
        new = {by_name[name].resolve() for name in names if name in by_name} - reached
        missing = names - by_name.keys()
        if missing:
            sys.exit(f"libraries that no package brought: {' '.join(sorted(missing))}")
        names = set()
    return reached


def remove_libraries(root, reached):
    folder = root / "usr/lib" / TRIPLET
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() and not path.exists():
            path.unlink()
        elif path.is_file() and not path.is_symlink() and ".so" in path.name and path not in reached:
            path.unlink()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.exists():
            path.unlink()


def main():
    root, objdump = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    remove_known(root)
    remove_libraries(root, closure(root, objdump))


main()
