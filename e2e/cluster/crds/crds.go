//go:build tools

// Package crds pins the custom resource definitions that products of the catalogue use and no component of the control
// plane carries. Nothing is built from these modules: their schemas are copied, in the versions that go.mod pins. It
// is a module of its own, so that a newer schema does not rebuild the control plane.
package crds

import _ "sigs.k8s.io/gateway-api/apis/v1"
