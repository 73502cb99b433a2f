# The first process of a node, in mount, PID, network, UTS and IPC namespaces that were
# made for it: when it ends the kernel ends every process of the node, and with them go
# the namespaces and all mounts. Arguments: the folder that becomes the node's root, its
# name, the control plane program. It goes on once a line comes in on standard input.
set -eu
root=$1 name=$2 controlplane=$3

echo "$name" >/proc/sys/kernel/hostname
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"

# The machine's programs, and none of its files that could be harmed or read.
for dir in usr bin sbin lib lib32 lib64 libx32; do
	if [ -L "/$dir" ]; then
		cp -P "/$dir" "$dir"
	elif [ -d "/$dir" ]; then
		mkdir "$dir"
		mount -o bind,ro "/$dir" "$dir"
	fi
done
mkdir -p dev proc sys run tmp mnt opt/bailey etc/alternatives var/lib var/log old
if [ -d /etc/alternatives ]; then
	mount -o bind,ro /etc/alternatives etc/alternatives
fi
: >opt/bailey/controlplane
mount -o bind,ro "$controlplane" opt/bailey/controlplane
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys # this network namespace's
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . old
cd /
umount -l /old
rmdir /old
mount --make-rshared / # pods may ask for mount propagation

# The kubelet sets these, which belong to the whole machine, unless they read like this.
sysctl() {
	file=/run/sysctl-$(echo "$1" | tr / -)
	echo "$2" >"$file"
	[ ! -e "/proc/sys/$1" ] || mount --bind "$file" "/proc/sys/$1"
}
sysctl vm/overcommit_memory 1
sysctl vm/panic_on_oom 0
sysctl kernel/panic 10
sysctl kernel/panic_on_oops 1
sysctl kernel/keys/root_maxkeys 1000000
sysctl kernel/keys/root_maxbytes 25000000

: >/run/bailey-node # the root is the node's from now on
read -r _
trap 'exit 0' TERM INT

# A node with a daemon missing is no node: when one ends, all do.
daemon() {
	log=/var/log/$1.log
	shift
	(
		status=0
		"$@" >"$log" 2>&1 </dev/null || status=$?
		echo "$* ended with status $status; the end of $log:"
		tail -n 12 "$log"
		kill -TERM 1
	) &
}
daemon containerd containerd --config /etc/containerd/config.toml
until [ -S /run/containerd/containerd.sock ]; do sleep 0.02; done
daemon kubelet /opt/bailey/controlplane kubelet --config=/etc/kubernetes/kubelet.json \
	--kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override="$name" --node-ip="$NODE_IP"
daemon kube-proxy /opt/bailey/controlplane kube-proxy --config=/etc/kubernetes/kube-proxy.json --hostname-override="$name"
while :; do wait; done
