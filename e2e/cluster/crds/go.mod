// The custom resource definitions that products of the catalogue use and no component of the control plane carries.
// Nothing is built from these modules: files are copied out of them, in these versions. It is a module of its own, so
// that a newer schema does not rebuild the control plane, and nothing imports what it names: `go mod tidy` would empty
// it. To move a pin, change it here and run `go mod download <module>`, which writes go.sum.
module plinth.dev/cluster/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/envoyproxy/gateway v1.9.1
	// Built against source-controller v1.7.0. Of the latter v1.10.1 is newer and asks for Go 1.27.
	github.com/fluxcd/helm-controller v1.4.0
	github.com/fluxcd/source-controller v1.7.0
	sigs.k8s.io/gateway-api v1.6.1
)
