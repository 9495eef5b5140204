# From the programs to the image of a node. To be sourced, by ./dev: uses its functions. Needs `use_podman`.
#
#   a minimal system with the libraries  +  runtime  +  image/  =  localhost/stillpoint-columnstore:VERSION-DIGEST
#
# The digest is that of what the image is made of here: an image is never taken for one of other scripts.

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

digest() { cat "$@" | sha256sum | cut -c1-8; }

system_image() { echo "localhost/stillpoint-columnstore-system:$(digest "$here/system.sh")"; }

engine_image() { echo "localhost/stillpoint-columnstore:$(cat "$cache/version")-$(digest "$here/system.sh" "$here"/image/*)"; }

# The preload needs a compiler, which an image has no use for.
compile_nolimit() {
  install_for gcc gcc libc6-dev
  mkdir -p "$cache/nolimit"
  gcc -shared -fPIC -O2 -Wall -Werror -o "$cache/nolimit/nolimit.so" "$here/image/nolimit.c"
}

make_engine_image() {
  compile_nolimit
  say "making the image $1; log: $cache/image.log"
  logged image podman build --pull-never --isolation=chroot --tag "$1" --build-arg "SYSTEM=$2" \
    --build-context "runtime=$cache/runtime" --build-context "nolimit=$cache/nolimit" "$here/image"
}

# Of every name, only the newest is of use.
remove_older_images() {
  local kept
  for kept in "$@"; do
    podman images --format '{{.Repository}}:{{.Tag}}' --filter "reference=${kept%:*}" | grep -vxF "$kept" | xargs -r podman rmi >/dev/null 2>&1 || true
  done
  podman image prune -f >/dev/null
}

# Prints the name of an image that is there.
build_image() {
  local system image
  system=$(system_image)
  image=$(engine_image)
  if ! podman image exists "$image"; then
    podman image exists "$system" || make_system_image "$system"
    make_engine_image "$image" "$system"
    remove_older_images "$system" "$image"
  fi
  echo "$image" | put "$cache/image"
  echo "$image"
}

# An image that somebody else made: from the service of DOCKER_HOST, from this machine's own podman, or from its registry.
take_image() {
  [ -z "${DOCKER_HOST:-}" ] || { say "using the image $1 of $DOCKER_HOST"; return; }
  if ! podman image exists "$1"; then
    if (machines_podman image exists "$1"); then
      (machines_podman save "$1") | podman load -q >&2
    else
      podman pull -q "$1" >&2 || fail "there is no image $1: name one that exists in STILLPOINT_COLUMNSTORE_IMAGE, or leave it unset to build one"
    fi
  fi
  say "using the image $1"
}

machines_podman() { env -u CONTAINERS_CONF -u CONTAINERS_STORAGE_CONF podman "$@"; }
