package access

import "github.com/baileyhq/bailey/controls/internal/minted"

const (
	tokenSeconds = minted.TokenSeconds
	rbacGroup    = minted.RBACGroup
	rbacVersion  = minted.RBACVersion
)

// The steps of identities that experiments make, by the names that they have here.
var (
	object         = minted.Object
	create         = minted.Create
	makeReal       = minted.MakeReal
	probeNamespace = minted.Namespace
	makeNamespace  = minted.MakeNamespace
	makeAccount    = minted.MakeAccount
	mint           = minted.Mint
	rule           = minted.Rule
	role           = minted.Role
	roleBinding    = minted.RoleBinding
	clusterRole    = minted.ClusterRole
	awaited        = minted.Awaited
	request        = minted.Request
)
