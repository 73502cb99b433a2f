package gate

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// SecretName is the Secret in the gate's namespace that the replicas share their keys in.
const SecretName = imagegate.Name + "-keys"

// The permissions of what follows: the least that works. The install manifests bind them.
var (
	clusterPermissions = []rbacv1.PolicyRule{
		{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"},
			ResourceNames: []string{imagegate.Name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"list"}},
	}
	ownPermissions = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{SecretName}, Verbs: []string{"get", "update"}},
	}
)

// SecretStore keeps the keys in a Secret, which the install manifests make, empty.
func SecretStore(client kubernetes.Interface, namespace string) KeyStore {
	secrets := client.CoreV1().Secrets(namespace)
	return KeyStore{
		Read: func(ctx context.Context) (map[string][]byte, string, error) {
			s, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil, "", fmt.Errorf("%w\nhint: kubectl create secret generic -n %s %s, or bailey gate --print", err, namespace, SecretName)
			}
			if err != nil {
				return nil, "", err
			}
			return s.Data, s.ResourceVersion, nil
		},
		Write: func(ctx context.Context, data map[string][]byte, version string) error {
			s, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			s.Data, s.ResourceVersion = data, version
			_, err = secrets.Update(ctx, s, metav1.UpdateOptions{FieldManager: imagegate.Name})
			if apierrors.IsConflict(err) {
				return fmt.Errorf("%w: %w", ErrConflict, err)
			}
			return err
		},
	}
}

const (
	maxGrants = 100 // of a namespace that are looked at
	askLimit  = 3 * time.Second
)

// ClusterGrants keeps break-glass grants in the cluster.
func ClusterGrants(client kubernetes.Interface, key func() []byte) *Grants {
	return &Grants{
		Key: key,
		List: func(ctx context.Context, namespace string) ([]coordinationv1.Lease, error) {
			ctx, cancel := context.WithTimeout(ctx, askLimit)
			defer cancel()
			list, err := client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: imagegate.GrantLabel, Limit: maxGrants})
			if err != nil {
				return nil, err
			}
			return list.Items, nil
		},
		May: func(ctx context.Context, who authenticationv1.UserInfo, namespace string) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, askLimit)
			defer cancel()
			extra := map[string]authorizationv1.ExtraValue{}
			for k, v := range who.Extra {
				extra[k] = authorizationv1.ExtraValue(v)
			}
			review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: GrantVerb, Group: GrantGroup, Resource: GrantResource},
			}}, metav1.CreateOptions{})
			if err != nil {
				return false, err
			}
			return review.Status.Allowed && !review.Status.Denied, nil
		},
	}
}
