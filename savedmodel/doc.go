// Package savedmodel writes, reads and checks TensorFlow SavedModels, from Go.
//
//	NAME/VERSION/                        one version, as TensorFlow Serving loads it
//	    saved_model.pb                   MetaGraphDef: graph, signatures, tag "serve"
//	    variables/variables.{index,data} absent where the weights are constants
//	    assets/                          class names
//	    assets.extra/                    tf_serving_warmup_requests
//	    manifest.json                    where it comes from
//
// A version is written to a hidden directory beside its place, synced, and
// renamed, so a server that polls the parent never sees half of one. An
// existing version is never overwritten.
//
// Caveat: a SavedModel is a program. [Load] refuses operations that read or
// write files, apart from restoring the model's own variables.
package savedmodel
