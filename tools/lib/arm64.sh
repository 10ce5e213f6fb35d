# shellcheck shell=bash
# Debian's packages for 64-bit ARM, extracted into a cache, never installed: for tools/cross and tools/image.
# Sourced after setup.sh.

# shellcheck disable=SC2034 # used by the tools that source this file
{
  # What the daemon is linked against and the test image is made of. It has GStreamer 1.26 and systemd 257.
  suite=trixie
  target=aarch64-unknown-linux-gnu
  triplet=aarch64-linux-gnu
}
cache=${WINDHOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/windhover}
packages_extract=(mmdebstrap debian-archive-keyring)

# The address of a Debian archive as this machine's own apt knows it: "Debian" or "Debian-Security".
mirror_of() {
  if [ "$1" = Debian ] && [ -n "${WINDHOVER_MIRROR-}" ]; then
    echo "$WINDHOVER_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" | head -n 1
}

need_mirror() {
  command -v apt-get >/dev/null || stop "This needs apt and mmdebstrap: Debian, or Ubuntu with WINDHOVER_MIRROR set."
  [ -n "$(mirror_of Debian)" ] || as_root apt-get update || true
  [ -n "$(mirror_of Debian)" ] || stop "apt on this machine knows no Debian archive, from which packages for arm64 are taken.
Name a mirror of Debian: WINDHOVER_MIRROR=http://... (the folder that holds dists/ and pool/)"
}

# Extracts packages with all they depend on, once: the folder of the cache is printed.
#
#   extracted NAME SUITE ARCHITECTURES PACKAGE... [-- option of mmdebstrap...]
extracted() {
  local name=$1 release=$2 architectures=$3 folder packages=() options=() sources=() path
  shift 3
  # The release of the recipe: raise it when what is done below changes.
  folder=$cache/$name-$(printf '%s\n' 1 "$release" "$architectures" "$@" | sha256sum | cut -c 1-12)
  if [ -e "$folder/.complete" ]; then
    echo "$folder"
    return
  fi
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    packages+=("$1")
    shift
  done
  [ $# -eq 0 ] || options=("${@:2}")
  need_packages "${packages_extract[@]}" >&2
  need_mirror
  sources=("deb $(signed) $(mirror_of Debian) $release main")
  [ "$name" != rust ] || sources+=("deb $(signed) $(mirror_of Debian-Security) $release-security main")
  for path in doc man locale info bash-completion lintian icons; do
    options+=("--dpkgopt=path-exclude=/usr/share/$path/*")
  done
  say "fetching and extracting packages of $release for $name (some minutes, once): ${packages[*]}"
  rm -rf "$folder" "$folder.part"
  mkdir -p "$folder.part"
  # As a tar file, so that whoever runs this owns the files, root or not. Nothing of it is ever executed.
  mmdebstrap --architectures="$architectures" --variant=extract --format=tar --skip=check/qemu,output/dev \
    --aptopt='Apt::Install-Recommends "false"' --include="$(IFS=, && echo "${packages[*]}")" "${options[@]}" \
    "$release" - "${sources[@]}" | tar --extract --no-same-owner --directory "$folder.part" >&2 || {
    rm -rf "$folder.part"
    stop "The packages could not be fetched; the reason stands above."
  }
  mv "$folder.part" "$folder"
  touch "$folder/.complete"
  echo "$folder"
}

signed() { echo "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"; }

# Puts an extracted program of another release of Debian on its feet: with its own loader and libraries.
#
#   foreign FOLDER PROGRAM    prints the path of a script that runs it
foreign() {
  local script=$1/.run/$2
  mkdir -p "$1/.run"
  cat >"$script" <<X
#!/bin/sh
exec "$1/usr/lib64/ld-linux-x86-64.so.2" --library-path "$1/usr/lib/x86_64-linux-gnu" --argv0 "\$0" "$1/usr/bin/$2" "\$@"
X
  chmod +x "$script"
  echo "$script"
}
