package tfgraph

// #include <stdlib.h>
// #include "tensorflow/c/c_api.h"
import "C"

import (
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"sort"
	"time"
	"unsafe"

	stepstatspb "github.com/wamuir/graft/tensorflow/core/framework/step_stats_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// KindTime is what the operations of one type took in a traced run.
type KindTime struct {
	Kind  string // TensorFlow's type, after graph optimization: _FusedMatMul, …
	Count int
	Time  time.Duration // summed over operations, which may run at the same time
}

// Trace runs targets as Run does and tells how long the operations of each type
// took, longest first. Tracing makes the run itself slower.
func (s *Session) Trace(feeds Feeds, targets ...Operation) ([]KindTime, error) {
	stats, err := s.traced(feeds, targets)
	if err != nil {
		return nil, err
	}
	kinds := map[string]*KindTime{}
	for _, device := range stats.GetDevStats() {
		for _, n := range device.GetNodeStats() {
			kind := kindOf(n.GetTimelineLabel())
			if kinds[kind] == nil {
				kinds[kind] = &KindTime{Kind: kind}
			}
			kinds[kind].Count++
			kinds[kind].Time += time.Duration(n.GetOpEndRelMicros()-n.GetOpStartRelMicros()) * time.Microsecond
		}
	}
	list := make([]KindTime, 0, len(kinds))
	for _, k := range kinds {
		list = append(list, *k)
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].Time > list[j].Time || list[i].Time == list[j].Time && list[i].Kind < list[j].Kind
	})
	return list, nil
}

// label is TensorFlow's "name = Type(inputs)".
var label = regexp.MustCompile(` = ([A-Za-z0-9_>]+)\(`)

func kindOf(text string) string {
	if m := label.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return "other"
}

// traced calls TF_SessionRun with full tracing, which graft does not offer.
func (s *Session) traced(feeds Feeds, targets []Operation) (*stepstatspb.StepStats, error) {
	if s.g.err != nil {
		return nil, s.g.err
	}
	options, err := proto.Marshal(&configpb.RunOptions{TraceLevel: configpb.RunOptions_FULL_TRACE})
	if err != nil {
		return nil, err
	}
	request, reply := C.TF_NewBufferFromString(unsafe.Pointer(&options[0]), C.size_t(len(options))), C.TF_NewBuffer()
	status := C.TF_NewStatus()
	defer func() { C.TF_DeleteBuffer(request); C.TF_DeleteBuffer(reply); C.TF_DeleteStatus(status) }()
	var inputs []C.TF_Output
	var values []*C.TF_Tensor
	for t, v := range feeds {
		inputs = append(inputs, C.TF_Output{oper: (*C.TF_Operation)(handle(t.out.Op)), index: C.int(t.out.Index)})
		values = append(values, (*C.TF_Tensor)(handle(v)))
	}
	ops := make([]*C.TF_Operation, len(targets))
	for i, op := range targets {
		ops[i] = (*C.TF_Operation)(handle(op.op))
	}
	var firstValue **C.TF_Tensor
	if len(values) > 0 {
		firstValue = &values[0]
	}
	var firstOp **C.TF_Operation
	if len(ops) > 0 {
		firstOp = &ops[0]
	}
	C.TF_SessionRun((*C.TF_Session)(handle(s.tf)), request, ptr(inputs), firstValue, C.int(len(inputs)),
		nil, nil, 0, firstOp, C.int(len(ops)), reply, status)
	runtime.KeepAlive(feeds)
	if err := statusErr(status); err != nil {
		return nil, fmt.Errorf("tfgraph: traced run: %w", err)
	}
	var meta configpb.RunMetadata
	if err := proto.Unmarshal(C.GoBytes(reply.data, C.int(reply.length)), &meta); err != nil {
		return nil, fmt.Errorf("tfgraph: trace: %w", err)
	}
	return meta.GetStepStats(), nil
}

// handle is the C pointer inside a value of graft, its field c.
func handle(of any) unsafe.Pointer {
	return reflect.ValueOf(of).Elem().FieldByName("c").UnsafePointer()
}
