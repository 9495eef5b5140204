# Podman with everything of its own: images, containers, networks and settings lie in our directories, none of them in those of the
# machine. To be sourced. Sets `cache` and the variables that podman reads; defines `use_podman`.

cache=${STILLPOINT_COLUMNSTORE_CACHE:-/var/cache/stillpoint/columnstore}
podman_state=$cache/podman
podman_run=/run/stillpoint/columnstore

# A container may have no more than we have ourselves: podman's own defaults are above that where CAP_SYS_RESOURCE is missing,
# and podman lowers its own number of processes to the kernel's default pid_max first.
at_most() {
  local mine=$1 wanted=$2
  if [ "$mine" = unlimited ] || [ "$mine" -gt "$wanted" ]; then echo "$wanted"; else echo "$mine"; fi
}

write_containers_conf() {
  local files processes
  files=$(at_most "$(ulimit -Hn)" 1048576)
  processes=$(at_most "$(ulimit -Hu)" 16384)
  cat <<TEXT
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
log_driver = "k8s-file"
[engine]
# crun refuses machines that mount both generations of control groups.
runtime = "runc"
# There may be no systemd to ask.
cgroup_manager = "cgroupfs"
events_logger = "file"
# Seconds for which podman keeps the two processes of an ended exec; five minutes if not told.
exit_command_delay = 10
tmp_dir = "$podman_run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "$podman_state/networks"
TEXT
}

write_storage_conf() {
  cat <<TEXT
[storage]
driver = "overlay"
graphroot = "$podman_state/storage"
runroot = "$podman_run/storage"
TEXT
}

# Replaces a file only when its content changes, and never by half a file: several runs may do so at once.
put() {
  local file=$1 new
  new=$(mktemp "$file.XXXXXX")
  cat >"$new"
  if cmp -s "$new" "$file"; then rm "$new"; else chmod 644 "$new" && mv "$new" "$file"; fi
}

use_podman() {
  mkdir -p "$podman_state" "$podman_run"
  write_containers_conf | put "$podman_state/containers.conf"
  write_storage_conf | put "$podman_state/storage.conf"
  export CONTAINERS_CONF=$podman_state/containers.conf CONTAINERS_STORAGE_CONF=$podman_state/storage.conf
}
