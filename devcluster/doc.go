// Package devcluster starts and stops a real Kubernetes control plane on this
// machine: etcd, kube-apiserver, kube-controller-manager and kube-scheduler,
// with certificates that it makes itself. It needs neither root nor a container
// runtime, and it serves `bailey up` and the tests.
//
//	binary, err := devcluster.FindOrBuild(ctx, devcluster.BinaryOptions{Log: os.Stderr})
//	cluster, err := devcluster.Start(ctx, devcluster.Options{Binary: binary})
//	defer cluster.Stop(context.Background())
//	// use cluster.Kubeconfig
//
// All components are one program, built from the module in controlplane/.
//
// # What keeps it from leaving things behind
//
// An attached cluster (the default) dies with the process that started it, even
// if that is killed: the kernel kills each component when its parent goes.
// A detached cluster ([Options.Detach]) outlives its starter. Each state folder
// holds a journal of what was started: process id, start time, boot and PID
// namespace, so that a later [Start], [Open] or [Stop] finds those processes and
// never mistakes a recycled process id for one of them. Each component also bears
// the folder's random id in its environment, which covers the instant between a
// start and its journal entry. A later Start removes temporary folders whose
// processes and owner are gone.
//
// # Nodes
//
// With [Options.Network], as root and with a few Debian packages, [Cluster.StartNode] adds
// real nodes, whose pods run. [NodeSupported] says what is missing for that. The cluster
// is then in a network namespace of its own, and a node in namespaces of its own: nothing
// of them is on the machine's network or in its mount table, and they end with the process
// that started them.
//
// # What it is not
//
// The cluster is for development and tests: one etcd member, no backup, its CA
// keys beside it on disk (mode 0600, in a folder of mode 0700). It listens on
// loopback unless [Options.Address] says otherwise.
//
// The package imports the standard library and golang.org/x/sys. It works on Linux; elsewhere it
// compiles, and Start returns an error.
package devcluster
