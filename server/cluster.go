package server

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// reviewTimeout bounds one question to the cluster.
const reviewTimeout = 5 * time.Second

// AskCluster gives who is told by a cluster whose tokens are, and what their owners may do.
func AskCluster(config *rest.Config, now func() time.Time) (*ClusterRights, *ClusterTokens, error) {
	config = rest.CopyConfig(config)
	// Whoever may see some namespaces is asked about for each: five questions a second, client-go's
	// default, would take minutes. What bounds them is how many are under way at once.
	config.QPS = -1
	config.Timeout = reviewTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	return NewClusterRights(client.AuthorizationV1().SubjectAccessReviews(), now), NewClusterTokens(client.AuthenticationV1().TokenReviews(), now), nil
}

// APIServerIdentity tells an API server apart from others: by its address, and by whom its certificate is to be signed.
func APIServerIdentity(config *rest.Config) (string, error) {
	config = rest.CopyConfig(config)
	if err := rest.LoadTLSFiles(config); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(config.Host + "\n" + string(config.CAData)))
	return hex.EncodeToString(sum[:]), nil
}

// ticking is the clock of what is remembered.
type ticking func() time.Time

// Now is of cache.Clock.
func (t ticking) Now() time.Time { return t() }
