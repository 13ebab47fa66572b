package koodrivetest

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// maxBody limits the bytes of a request's body that are read.
const maxBody = 64 << 10

// Fixed answers of the operations other than detail and create.
const (
	listBody     = `{"taskListDtos":[],"code":0,"msg":"成功"}`
	resultBody   = `{"data":{"successCount":0,"failCount":0,"failInfoList":[]},"code":0,"msg":"成功"}`
	receiverBody = `{"id":"1507947856550550784","name":"receiver","code":0,"msg":"成功"}`
)

// answer is the answer to one request.
type answer struct {
	status  int
	body    []byte
	fault   *Fault // applied to this answer; nil: none
	refused string // why the request was refused; empty: it was not
}

// answer decides the answer to a request. Like KooDrive behind its gateway, it checks the route first, then the
// credential, then the other headers.
func (k *KooDrive) answer(r *http.Request, op operation, id string) answer {
	// The whole body is read first: only then does net/http notice that a client has left.
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
		a = k.speaks().refuse(http.StatusNotFound, "APIGW.0101",
			"The API does not exist or has not been published in the environment.", "")
	default:
		a = k.serve(r, body, op, id)
	}
	if f != nil {
		a.fault = f
	}
	return a
}

// serve answers a request for an existing route.
func (k *KooDrive) serve(r *http.Request, body []byte, op operation, id string) answer {
	if a := k.refuseCredential(r, body); a.refused != "" {
		return a
	}
	if why := cmp.Or(badHeader(r.Header), k.speaks().misses(r.Header)); why != "" {
		return k.speaks().refuse(http.StatusBadRequest, "13000102", "Verify parameters failed.", why)
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

// gateway returns an error in the form of the API gateway in front of KooDrive.
func gateway(status int, code, msg string) answer {
	var id [16]byte
	rand.Read(id[:])
	return answer{status: status, body: encode(struct {
		Code      string `json:"error_code"`
		Msg       string `json:"error_msg"`
		RequestID string `json:"request_id"`
	}{code, msg, hex.EncodeToString(id[:])})}
}

// encode marshals a value that always has a JSON form.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
