package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// described is the description, which has to be a valid one.
func described(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !d.IsOpenAPI31OrLater() {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	return d
}

const watchPath = "/v1/tasks/{task_id}:watch"

// undescribed are the routes that the description leaves out: the files of pages.
var undescribed = []string{"GET /console/*", "GET /docs/*"}

// Every route is described, or left out on purpose; and everything that is described is a route.
func TestRoutesAreDescribed(t *testing.T) {
	handler, err := New(Config{Conn: &scripted{}, Auth: anybody(t), Console: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for at, item := range described(t).Paths.Map() {
		for method := range item.Operations() {
			got[method+" "+at] = true
		}
	}
	want := registered(handler.mux)
	for route := range want { // A page's HEAD is described once for all.
		if path, isHead := strings.CutPrefix(route, "HEAD "); isHead && want["GET "+path] {
			delete(want, route)
		}
	}
	for _, pattern := range undescribed {
		before := len(want)
		maps.DeleteFunc(want, func(route string, _ bool) bool { fits, _ := path.Match(pattern, route); return fits })
		if len(want) == before {
			t.Errorf("there is no %s", pattern)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("service/gateway/openapi.yaml: routes, and those that are described (+):\n%s", diff)
	}
}

// Every route of the contract has its row in the table: without one, it would have no checks or those of another route.
func TestRoutesHaveRows(t *testing.T) {
	g, err := New(Config{Conn: &scripted{}, Auth: anybody(t)})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, r := range g.routes {
		rows[r.method+" "+r.path] = true
	}
	routes := registered(g.mux)
	for _, asset := range []string{"GET /openapi.json", "HEAD /openapi.json"} {
		delete(routes, asset)
	}
	if diff := cmp.Diff(routes, rows); diff != "" {
		t.Errorf("routes of task_gateway.yaml, and the rows of table in service/gateway/routes.go (+):\n%s", diff)
	}
}

// registered are the routes of a mux, which does not tell them.
func registered(mux *runtime.ServeMux) map[string]bool {
	all := map[string]bool{}
	for methods := reflect.ValueOf(mux).Elem().FieldByName("handlers").MapRange(); methods.Next(); {
		for i := range methods.Value().Len() {
			pattern := (*runtime.Pattern)(unsafe.Pointer(methods.Value().Index(i).FieldByName("pat").UnsafeAddr()))
			all[methods.Key().String()+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")] = true
		}
	}
	return all
}

// An object of the description has the fields of the contract's message, by their names in JSON; a field that is not
// optional is always there. Its enums have the contract's values.
func TestDescriptionHasTheContractsFields(t *testing.T) {
	schemas := described(t).Components.Schemas
	for name, message := range map[string]proto.Message{
		"Task": &taskv1.Task{}, "Heartbeat": &taskv1.Heartbeat{}, "Dropped": &taskv1.DroppedTask{}, "Error": &spb.Status{}, "ErrorInfo": &errdetails.ErrorInfo{},
		"RetryInfo": &errdetails.RetryInfo{}, "BadRequest": &errdetails.BadRequest{},
		"FieldViolation": &errdetails.BadRequest_FieldViolation{}, "LocalizedMessage": &errdetails.LocalizedMessage{},
	} {
		want := map[string]bool{}
		fields := message.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			want[fields.Get(i).JSONName()] = true
		}
		if name == "FieldViolation" {
			delete(want, "localizedMessage") // It is not used.
		}
		got := map[string]bool{}
		for property := range schemas[name].Value.Properties {
			got[property] = true
		}
		delete(got, "@type")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("service/gateway/openapi.yaml, schemas, %s: the contract, and what is described (+):\n%s", name, diff)
		}
	}
	for name, enum := range map[string]protoreflect.EnumDescriptor{
		"TaskStatus": taskv1.TaskStatus(0).Descriptor(), "TaskType": taskv1.TaskType(0).Descriptor(),
		"ResultCode": taskv1.ResultCode(0).Descriptor(), "ErrorReason": taskv1.ErrorReason(0).Descriptor(),
	} {
		var want []any
		for i := range enum.Values().Len() {
			if value := enum.Values().Get(i).Name(); value != "ERROR_REASON_UNSPECIFIED" { // Not used.
				want = append(want, string(value))
			}
		}
		if diff := cmp.Diff(want, schemas[name].Value.Enum); diff != "" {
			t.Errorf("service/gateway/openapi.yaml, schemas, %s: the contract, and what is described (+):\n%s", name, diff)
		}
	}
}

// The languages of errors are described, as a header and in an error.
func TestDescriptionHasEveryLanguage(t *testing.T) {
	d := described(t)
	header := d.Components.Parameters["Language"].Value.Schema.Value.Pattern
	var want []any
	for _, language := range reason.Languages() {
		want = append(want, language)
		if allowed, err := regexp.MatchString(header, language); err != nil || !allowed {
			t.Errorf("service/gateway/openapi.yaml: the pattern of the parameter Language does not allow %s: %v", language, err)
		}
	}
	got := d.Components.Schemas["LocalizedMessage"].Value.Properties["locale"].Value.Enum
	slices.SortFunc(got, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("service/gateway/openapi.yaml, schemas, LocalizedMessage: languages, and those that are described (+):\n%s", diff)
	}
}

// Each reason is described with the HTTP status and the gRPC code that it comes with, and with Retry-After exactly if it has a
// delay.
func TestDescriptionHasEveryReason(t *testing.T) {
	got, codes := map[string]string{}, map[string][]any{}
	retried := map[string]bool{}
	d := described(t)
	for _, item := range d.Paths.Map() {
		for _, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				if status < "400" {
					continue
				}
				var schema any
				raw, _ := json.Marshal(response.Value.Content.Get("application/json").Schema.Value)
				_ = json.Unmarshal(raw, &schema)
				for _, name := range find(schema, "reason") {
					got[name.(string)] = status
				}
				codes[status] = find(schema, "code")
				_, retried[status] = response.Value.Headers["Retry-After"]
			}
		}
	}
	want := map[string]string{}
	for _, outcome := range reason.Outcomes() {
		failure := &reason.Error{Outcome: outcome}
		st := failure.Status("", "")
		name, delay := reason.Read(st)
		if name == "" || slices.Contains(inStreamsAlone, outcome.Reason) {
			continue
		}
		status := strconv.Itoa(httpStatus(st.Code(), name))
		want[name] = status
		if !slices.Contains(codes[status], any(float64(st.Code()))) {
			t.Errorf("service/gateway/openapi.yaml, responses: %s: code %d is not among %v", name, st.Code(), codes[status])
		}
		if retried[status] != (delay != nil) {
			t.Errorf("service/gateway/openapi.yaml, responses: %s: HTTP %s has Retry-After: %v", name, status, retried[status])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("service/gateway/openapi.yaml, responses: reasons with their HTTP status, and those that are described (+):\n%s", diff)
	}
}

// find returns the values that a schema allows for a property, wherever it stands.
func find(schema any, property string) (values []any) {
	switch s := schema.(type) {
	case []any:
		for _, part := range s {
			values = append(values, find(part, property)...)
		}
	case map[string]any:
		for name, part := range s {
			allowed, isSchema := part.(map[string]any)
			if name == property && isSchema {
				if constant, ok := allowed["const"]; ok {
					values = append(values, constant)
				}
				enum, _ := allowed["enum"].([]any)
				values = append(values, enum...)
			}
			values = append(values, find(part, property)...)
		}
	}
	return values
}

// Every header that is read of a request for a task is described: as a parameter, as a credential, or by the forms of an answer.
func TestDescriptionHasEveryHeader(t *testing.T) {
	d := described(t)
	got := map[string]bool{"accept": len(d.Paths.Find(watchPath).Get.Responses.Status(http.StatusOK).Value.Content) == 2}
	for _, parameter := range d.Paths.Find(watchPath).Get.Parameters {
		if parameter.Value.In == openapi3.ParameterInHeader {
			got[strings.ToLower(parameter.Value.Name)] = true
		}
	}
	for _, requirement := range *d.Paths.Find(watchPath).Get.Security {
		for name := range requirement {
			switch scheme := d.Components.SecuritySchemes[name].Value; {
			case scheme.Type == "http":
				got[caller.HeaderAuthorization] = true
			case scheme.In == openapi3.ParameterInHeader:
				got[strings.ToLower(scheme.Name)] = true
			}
		}
	}
	want := []string{
		"accept", caller.HeaderAuthorization, "grpc-timeout", caller.HeaderLanguage, "last-event-id", caller.HeaderTraceParent, "tracestate", caller.HeaderDate,
		caller.HeaderCallerToken, caller.HeaderRequestID, caller.HeaderUserID,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("service/gateway/openapi.yaml, parameters: headers, and those that are described (+):\n%s", diff)
	}
}
