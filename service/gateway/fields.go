package gateway

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// jsonNames maps the names of request fields in the contract to their names in JSON.
var jsonNames = func() map[string]string {
	names := map[string]string{}
	services := taskv1.File_koodrive_task_v1_task_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			eachField(methods.Get(j).Input(), func(f protoreflect.FieldDescriptor) { names[string(f.Name())] = f.JSONName() })
		}
	}
	return names
}()

func eachField(m protoreflect.MessageDescriptor, do func(protoreflect.FieldDescriptor)) {
	for i := range m.Fields().Len() {
		do(m.Fields().Get(i))
	}
}

// jsonName returns the JSON name of a request field, which may be an element of a list, like task_ids[3]. It returns
// unknown names unchanged.
func jsonName(field string) string {
	name, element, isElement := strings.Cut(field, "[")
	if json, ok := jsonNames[name]; ok && isElement {
		return json + "[" + element
	} else if ok {
		return json
	}
	return field
}

// named replaces the field names in an error by their JSON names. It changes st and returns it.
func named(st *spb.Status) *spb.Status {
	for i, detail := range st.GetDetails() {
		bad := &errdetails.BadRequest{}
		if !detail.MessageIs(bad) || detail.UnmarshalTo(bad) != nil {
			continue
		}
		for _, violation := range bad.GetFieldViolations() {
			violation.Field = jsonName(violation.GetField())
		}
		if packed, err := anypb.New(bad); err == nil {
			st.Details[i] = packed
		}
	}
	return st
}
