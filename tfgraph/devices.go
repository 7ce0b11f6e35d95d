package tfgraph

// #include <stdlib.h>
// #include "tensorflow/c/c_api_experimental.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// LoadDevices loads TensorFlow's pluggable device libraries: files with the
// symbol SE_InitPlugin. It must come before the first session.
func LoadDevices(paths []string) error {
	for _, path := range paths {
		name, status := C.CString(path), C.TF_NewStatus()
		C.TF_LoadPluggableDeviceLibrary(name, status)
		err := statusErr(status)
		C.free(unsafe.Pointer(name))
		C.TF_DeleteStatus(status)
		if err != nil {
			return fmt.Errorf("tfgraph: device library %s: %w", path, err)
		}
	}
	return nil
}
