// Package check holds only tests: Dockerfile, compose.yaml and docs/kubernetes
// are read by the code that reads them elsewhere: BuildKit's parser, Compose's
// loader, kustomize, Kubernetes' types and its pod security standard.
//
// It is a module of its own because of what these depend on. Go caches results of
// tests without regard to files outside of their module: run it with -count=1.
package check
