#!/usr/bin/env bash
# Installs what the project needs on Debian or Ubuntu: Debian packages (as root or with sudo), uv, and the locked Python packages.
# Usage: deploy/setup.sh packages (or test-packages, for what only the tests need beside them), then deploy/setup.sh python (all
# members of the workspace). Running it again installs only what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

# Trust what this machine trusts: many labs sit behind a proxy with its own certificate authority.
export UV_SYSTEM_CERTS=1
# Slow lines exist, and mirrors that answer late.
export UV_HTTP_TIMEOUT=120 PIP_DEFAULT_TIMEOUT=60

say() { printf '%s\n' "$*" >&2; }

# A program, or a file by its path, and the Debian package that brings it.
packages=(
  arm-none-eabi-gcc:gcc-arm-none-eabi
  riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf
  qemu-system-arm:qemu-system-arm
  bwrap:bubblewrap
  setpriv:util-linux
)
test_packages=(
  chromium:chromium
  xtensa-lx106-elf-gcc:gcc-xtensa-lx106
  avr-gcc:gcc-avr
  /usr/lib/avr/include/avr/io.h:avr-libc
  simavr:simavr
)

python_of() {
  local candidate
  for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

missing() {
  local pair
  for pair in "${packages[@]}"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -f "${pair%%:*}" ] || printf '%s\n' "${pair#*:}"
  done
  [ -n "$(python_of)" ] || printf '%s\n' python3
  local python; python=$(python_of)
  [ -z "$python" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' python3-venv
}

again() { # again COMMAND…: up to three times, because a mirror may stumble
  local attempt
  for attempt in 1 2 3; do
    if "$@"; then return; fi
    [ "$attempt" -lt 3 ] || return 1
    say "trying that again in $((attempt * 5)) s"
    sleep $((attempt * 5))
  done
}

apt() { # apt COMMAND…: as root, or through sudo where that asks nothing
  local patience=(-o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o DPkg::Lock::Timeout=300)
  if [ "$(id -u)" = 0 ]; then DEBIAN_FRONTEND=noninteractive apt-get "${patience[@]}" "$@"
  else sudo -n env DEBIAN_FRONTEND=noninteractive apt-get "${patience[@]}" "$@"; fi
}

apt_install() { # apt_install PACKAGE…: what the lists of packages do not know, or know wrongly, they may know after an update
  apt install -y -qq --no-install-recommends "$@" && return
  apt update -qq || true # one source of several may be broken, and not be needed
  apt install -y -qq --no-install-recommends "$@"
}

install_packages() {
  local wanted; mapfile -t wanted < <(missing)
  [ "${#wanted[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; }; then
    say "benchwire needs these Debian packages: run \`sudo apt-get install --no-install-recommends ${wanted[*]}\` and try again"
    exit 1
  fi
  say "installing ${wanted[*]}"
  local log; log=$(mktemp)
  again apt_install "${wanted[@]}" >"$log" 2>&1 || {
    tail -n 15 "$log" >&2; rm -f "$log"
    say "apt-get could not install ${wanted[*]} (its last words are above)"
    exit 1
  }
  rm -f "$log"
  local left; left=$(missing | xargs)
  [ -z "$left" ] || { say "after installing, these are still missing: $left (Python 3.11 or newer is needed)"; exit 1; }
}

# uv comes from the same hashed lock as everything else.
install_uv() {
  local wanted; wanted=$(sed -n 's/^uv==\([^ ;]*\).*/\1/p' requirements.lock)
  [ "$(.tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$wanted" ] || return 0
  say "installing uv $wanted"
  rm -rf .tools
  "$(python_of)" -m venv .tools
  awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock >.tools/uv.txt
  again .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .tools/uv.txt
}

install_python_packages() {
  say "installing the locked Python packages"
  # Scripts in .venv name the folder that it was made in: see the stamp in the Makefile.
  if [ ! -x .venv/bin/python ] || { [ -s .venv/installed ] && [ "$(cat .venv/installed)" != "$(pwd -P)" ]; }; then
    .tools/bin/uv venv --quiet --clear --python "$(python_of)" .venv
  fi
  local editable=() member
  for member in libs/* services/* deploy; do editable+=(-e "./$member"); done
  export VIRTUAL_ENV=$PWD/.venv
  again .tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
  again .tools/bin/uv pip install --quiet --no-deps --no-build-isolation "${editable[@]}"
}

case "${1:-}" in
  packages) install_packages ;;
  test-packages)
    packages+=("${test_packages[@]}")
    install_packages
    ;;
  python)
    install_uv
    install_python_packages
    ;;
  *) say "usage: deploy/setup.sh packages, deploy/setup.sh test-packages, or deploy/setup.sh python"; exit 2 ;;
esac
