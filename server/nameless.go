package server

import "errors"

// errNameless tells that nothing can be kept of a cluster, and shown.
var errNameless = errors.New("the cluster was read, but not its UID, by which history is kept\nhint: let the identity get the namespace kube-system: it is asked for again within the hour, or when Bailey is started again")

// Nameless fails once the cluster was read, if that did not tell which it is.
func (l *Loop) Nameless() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.nameless()
}

// nameless is Nameless; l.mu is held.
func (l *Loop) nameless() error {
	if l.snap == nil || l.snap.Meta.ClusterUID != "" || l.o.Identity != "" {
		return nil
	}
	return errNameless
}
