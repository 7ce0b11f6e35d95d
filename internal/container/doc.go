// Package container holds the scripts of the Dockerfile's RUN lines, and tests
// of the image, of compose.yaml and of docs/kubernetes that need no Docker.
//
//	Dockerfile ─► parsed ─┬─► every RUN line is a script here; user, health check, volumes   (always)
//	                      └─► executed on a Debian with TensorFlow's wheel in a folder       (make test-container)
//	                            stages: overlays; RUN: chroot in namespaces of its own
//	                            the image: read-only, user 65532, no capabilities
//
// Caveat: the folder stands for tensorflow/tensorflow:2.18.0, whose layout it
// has; the GPU image itself, CUDA and Docker's own code are not exercised.
package container
