package koodrivetest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// maxBody is how many bytes of a request's body are read.
const maxBody = 64 << 10

// What the operations beside detail and create answer: enough to show that a client got there.
const (
	listBody     = `{"taskListDtos":[],"code":0,"msg":"成功"}`
	resultBody   = `{"data":{"successCount":0,"failCount":0,"failInfoList":[]},"code":0,"msg":"成功"}`
	receiverBody = `{"id":"1507947856550550784","name":"receiver","code":0,"msg":"成功"}`
)

// answer is what one request gets.
type answer struct {
	status  int
	body    []byte
	fault   *Fault // done to this answer; nil for none
	refused string // why the request was refused; empty if it was not
}

// answer decides what a request gets. Like KooDrive behind its gateway it looks at the route first, then at the
// credential, then at the other headers.
func (k *KooDrive) answer(r *http.Request, op operation, id string) answer {
	// The whole body is read first: only then does net/http notice that a client has gone.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	k.mu.Lock()
	f := k.fault
	k.mu.Unlock()
	var a answer
	switch {
	case f.answersAlone():
		a = answer{status: http.StatusOK}
	case err != nil || len(body) > maxBody:
		a = gateway(http.StatusRequestEntityTooLarge, "APIGW.0201", "Request entity too large.")
	case op == opNone:
		a = gateway(http.StatusNotFound, "APIGW.0101",
			"The API does not exist or has not been published in the environment.")
	default:
		a = k.serve(r, body, op, id)
	}
	if f != nil {
		a.fault = f
	}
	return a
}

// serve answers a request for a route that exists.
func (k *KooDrive) serve(r *http.Request, body []byte, op operation, id string) answer {
	if a := k.refuseCredential(r, body); a.refused != "" {
		return a
	}
	if why := badHeader(r.Header); why != "" {
		a := failure(13000102, "Verify parameters failed.")
		a.refused = why
		return a
	}
	switch op {
	case opCreate:
		return k.create(r, body)
	case opList:
		return answer{status: http.StatusOK, body: []byte(listBody)}
	case opResult:
		return answer{status: http.StatusOK, body: []byte(resultBody)}
	case opReceiver:
		return answer{status: http.StatusOK, body: []byte(receiverBody)}
	default:
		return k.detail(id, time.Now())
	}
}

// failure is KooDrive's own kind of error: HTTP 400, whatever is wrong.
func failure(code int, msg string) answer {
	return answer{status: http.StatusBadRequest, body: encode(struct {
		Code int    `json:"code"`
		Msg  string `json:"msg"`
	}{code, msg})}
}

// gateway is the kind of error that the API gateway in front of KooDrive answers.
func gateway(status int, code, msg string) answer {
	var id [16]byte
	rand.Read(id[:])
	return answer{status: status, body: encode(struct {
		Code      string `json:"error_code"`
		Msg       string `json:"error_msg"`
		RequestID string `json:"request_id"`
	}{code, msg, hex.EncodeToString(id[:])})}
}

// encode is for values that always have a JSON form.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
