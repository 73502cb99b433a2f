package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// RegisterNodes makes n Node objects, as kubelets would register them, for judging a
// platform's posture at scale, and returns their names: node-00000 and so on. No
// kubelet stands behind them, so pods that are scheduled there stay Pending. A name
// that is there already is kept as it is.
//
// change, unless nil, may alter each object (a map as encoding/json makes it) before
// it is sent; it is called for one node at a time.
//
// The node lifecycle controller calls such nodes Unknown after less than a minute and
// taints them. To keep them Ready start the cluster with
// ExtraControllerManagerArgs: "--controllers=*,-node-lifecycle-controller".
func (c *Cluster) RegisterNodes(ctx context.Context, n int, change func(i int, node map[string]any)) ([]string, error) {
	const workers = 8
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	names := make([]string, n)
	errs := make([]error, workers)
	work := make(chan object)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for node := range work {
				if errs[w] = c.registerNode(ctx, node); errs[w] != nil {
					cancel()
					return
				}
			}
		})
	}
	version, err := c.Version(ctx)
	for i := 0; i < n && err == nil && ctx.Err() == nil; i++ {
		node := newNode(i, version)
		if change != nil {
			change(i, node)
		}
		if names[i], err = nameOf(node); err != nil {
			break
		}
		select {
		case work <- node:
		case <-ctx.Done():
		}
	}
	stopped := ctx.Err() // before the workers' own cancel can be taken for the caller's
	close(work)
	wg.Wait()
	if err := errors.Join(append([]error{err}, errs...)...); err != nil {
		return nil, fmt.Errorf("devcluster: register nodes: %w", err)
	}
	if stopped != nil {
		return nil, fmt.Errorf("devcluster: register nodes: %w", stopped)
	}
	return names, nil
}

func nameOf(node object) (string, error) {
	if metadata, ok := node["metadata"].(object); ok {
		if name, ok := metadata["name"].(string); ok && name != "" {
			return name, nil
		}
	}
	return "", errors.New("a node has no metadata.name")
}

// registerNode creates the object, and then its status where the API server did not
// take it along.
func (c *Cluster) registerNode(ctx context.Context, node object) error {
	var made object
	err := c.Do(ctx, http.MethodPost, "/api/v1/nodes", node, &made)
	var status *StatusError
	if errors.As(err, &status) && status.Code == http.StatusConflict {
		return nil
	}
	if err != nil {
		return err
	}
	if s, ok := made["status"].(object); ok && s["conditions"] != nil {
		return nil
	}
	name, err := nameOf(made)
	if err != nil {
		return err
	}
	return c.Do(ctx, http.MethodPatch, "/api/v1/nodes/"+url.PathEscape(name)+"/status", object{"status": node["status"]}, nil)
}

// newNode is a healthy node of ordinary size.
func newNode(i int, version string) object {
	name := fmt.Sprintf("node-%05d", i)
	now := time.Now().UTC().Format(time.RFC3339)
	condition := func(kind, status, reason, message string) any {
		return object{"type": kind, "status": status, "reason": reason, "message": message,
			"lastHeartbeatTime": now, "lastTransitionTime": now}
	}
	size := func() object {
		return object{"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
	}
	return object{
		"apiVersion": "v1",
		"kind":       "Node",
		"metadata": object{
			"name": name,
			"labels": object{
				"kubernetes.io/hostname":      name,
				"kubernetes.io/os":            "linux",
				"kubernetes.io/arch":          "amd64",
				"topology.kubernetes.io/zone": fmt.Sprintf("zone-%c", 'a'+i%3),
			},
		},
		"spec": object{},
		"status": object{
			"capacity":    size(),
			"allocatable": size(),
			"addresses": []any{
				object{"type": "InternalIP", "address": fmt.Sprintf("10.%d.%d.%d", 100+i>>16&0x3f, i>>8&0xff, i&0xff)},
				object{"type": "Hostname", "address": name},
			},
			"conditions": []any{
				condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
				condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
				condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
				condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
			},
			"nodeInfo": object{
				"kubeletVersion": version, "kubeProxyVersion": "", "containerRuntimeVersion": "containerd://2.1.4",
				"kernelVersion": "6.12.0", "osImage": "Debian GNU/Linux 13 (trixie)", "operatingSystem": "linux", "architecture": "amd64",
				"machineID": fmt.Sprintf("%032x", i+1), "systemUUID": fmt.Sprintf("%032x", i+1), "bootID": fmt.Sprintf("%032x", i+1),
			},
			"daemonEndpoints": object{"kubeletEndpoint": object{"Port": 10250}},
		},
	}
}
