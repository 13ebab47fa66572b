package gateway

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
	"github.com/kootask/kootask/service/reason"
)

// errorJSON returns the body of an error and the data of a failure event: a google.rpc.Status.
func errorJSON(st *status.Status) []byte {
	body, err := jsonline.Marshal(protojson.MarshalOptions{}, named(st.Proto()))
	if err != nil { // Only a detail of an unlinked type fails, and none exists.
		return []byte(`{"code":13}`)
	}
	return body
}

// writeError writes an error as the answer.
func writeError(w http.ResponseWriter, st *status.Status) {
	name, retry := reason.Read(st)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if retry != nil {
		h.Set("Retry-After", strconv.FormatFloat(math.Ceil(retry.Seconds()), 'f', 0, 64))
	}
	if st.Code() == codes.Unauthenticated {
		realm := "KooDrive" // The credential for KooDrive is missing or rejected.
		if name == taskv1.ErrorReason_CALLER_UNAUTHENTICATED.String() {
			realm = "kootask"
		}
		h.Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
	}
	w.WriteHeader(httpStatus(st.Code(), name))
	_, _ = w.Write(errorJSON(st))
}

// httpStatus returns grpc-gateway's status for the code, except for METHOD_NOT_ALLOWED: 501 would mean that no route
// supports the method.
func httpStatus(code codes.Code, reasonName string) int {
	if reasonName == taskv1.ErrorReason_METHOD_NOT_ALLOWED.String() {
		return http.StatusMethodNotAllowed
	}
	return runtime.HTTPStatusFromCode(code)
}

// retryMillis returns the delay before an event source reconnects, in milliseconds; -1 if the failure sets none.
func retryMillis(st *status.Status) int64 {
	if _, retry := reason.Read(st); retry != nil {
		return int64(math.Ceil(float64(*retry) / float64(time.Millisecond)))
	}
	return -1
}
