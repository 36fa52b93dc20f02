# usage: container.sh ROOT [MOUNT...] -- COMMAND...
#
# Runs one container of a Pod as a kubelet's runtime would: a root file system that cannot be written, /proc of its own, the
# volumes where they belong, and no privileges. Each MOUNT is SOURCE:TARGET or SOURCE:TARGET:ro. It is PID 1 in here.
set -eu
root=$1
shift
mount -t tmpfs -o mode=755 tmpfs "$root"
for folder in bin sbin lib lib32 lib64 usr; do
    if [ -L "/$folder" ]; then
        cp -P "/$folder" "$root/$folder"
    elif [ -d "/$folder" ]; then
        mkdir "$root/$folder"
        mount --rbind "/$folder" "$root/$folder"
    fi
done
mkdir "$root/etc" "$root/proc" "$root/dev" "$root/opt"
for name in passwd group hosts nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d ssl alternatives fonts; do
    [ ! -e "/etc/$name" ] || cp -a "/etc/$name" "$root/etc/$name"
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    source=${1%%:*} rest=${1#*:}
    target=$root${rest%%:*}
    if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}" && touch "$target"; fi
    mount --bind "$source" "$target"
    case $rest in *:ro) mount -o remount,bind,ro "$target" ;; esac
    shift
done
shift
mount -o remount,ro "$root"
exec chroot --userspec="$CONTAINER_USER" "$root" "$@"
