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

// errorJSON is the body of every error, and the data of every failure event: a flat google.rpc.Status.
func errorJSON(st *status.Status) []byte {
	body, err := jsonline.Marshal(protojson.MarshalOptions{}, named(st.Proto()))
	if err != nil { // A detail whose type is not linked in: there is none.
		return []byte(`{"code":13}`)
	}
	return body
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, st *status.Status) {
	name, retry := reason.Read(st)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if retry != nil {
		h.Set("Retry-After", strconv.FormatFloat(math.Ceil(retry.Seconds()), 'f', 0, 64))
	}
	if st.Code() == codes.Unauthenticated {
		realm := "KooDrive" // Whose credential it is that is missing or rejected.
		if name == taskv1.ErrorReason_CALLER_UNAUTHENTICATED.String() {
			realm = "kootask"
		}
		h.Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
	}
	w.WriteHeader(httpStatus(st.Code(), name))
	_, _ = w.Write(errorJSON(st))
}

// httpStatus is that of grpc-gateway for the code, but for a method: 501 would say that nobody has heard of it.
func httpStatus(code codes.Code, reasonName string) int {
	if reasonName == taskv1.ErrorReason_METHOD_NOT_ALLOWED.String() {
		return http.StatusMethodNotAllowed
	}
	return runtime.HTTPStatusFromCode(code)
}

// retryMillis is what an event source waits before it comes back, in milliseconds; negative if the failure does not say.
func retryMillis(st *status.Status) int64 {
	if _, retry := reason.Read(st); retry != nil {
		return int64(math.Ceil(float64(*retry) / float64(time.Millisecond)))
	}
	return -1
}
