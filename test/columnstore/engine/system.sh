# The minimal system of a node, without the engine. To be sourced, by ./dev: uses its functions. Needs `use_podman`.

# What the engine needs to run, and what the agent and the tests call for.
runtime_packages=(
  libaio1 libcurl4 libjemalloc2 liblz4-1 libncurses6 libpcre2-8-0 libpcre2-posix3 libreadline8 libsnappy1v5 libssl3 libstdc++6 liburing2
  libxml2 libzstd1 libboost-{atomic,chrono,date-time,filesystem,regex,system,thread}1.74.0
  bash busybox-syslogd ca-certificates gawk iproute2 iptables libxml2-utils procps python3 rsync zstd
)

# Syncing every file costs three times the rest: in memory where there is enough of it.
bootstrap_place() {
  local place=$cache/bootstrap
  mkdir -p "$place"
  if [ "$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -gt 4096 ]; then
    mountpoint -q "$place" || mount -t tmpfs -o size=3g,mode=755 stillpoint "$place" || true
  fi
  echo "$place"
}

leave_bootstrap_place() {
  ! mountpoint -q "$cache/bootstrap" || umount "$cache/bootstrap"
  rm -rf "$cache/bootstrap"
}

make_system_image() {
  local place packages sources
  need_mirror
  packages=$(IFS=,; echo "${runtime_packages[*]}")
  sources=$(mirrors '' | sed "s|.*|deb $(keyring)& $release main|"; mirrors -security | sed "s|.*|deb $(keyring)& $release-security main|")
  place=$(bootstrap_place)
  say "making a minimal $release with the engine's libraries; log: $cache/system.log"
  TMPDIR=$place mmdebstrap --variant=apt --include="$packages" --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    "$release" - <<<"$sources" 2>"$cache/system.log" | TMPDIR=$place podman import -q - "$1" >&2 ||
    { tail -20 "$cache/system.log" >&2; leave_bootstrap_place; fail "the minimal system was not made; see $cache/system.log"; }
  leave_bootstrap_place
}
