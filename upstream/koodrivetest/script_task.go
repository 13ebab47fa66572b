package koodrivetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ids are the ids that were read, each prefixed with the pointer to its list.
type ids map[string]bool

func (used ids) readToken(dec *jsontext.Decoder, t *Token) error {
	type plain Token
	return used.read(dec, (*plain)(t), "token", &t.Value)
}

func (used ids) readApp(dec *jsontext.Decoder, a *App) error {
	type plain App
	err := used.read(dec, (*plain)(a), "id", &a.ID)
	if err == nil && a.Secret == "" {
		return memberError(dec, "secret", "is missing")
	}
	return err
}

func (used ids) readTask(dec *jsontext.Decoder, t *Task) error {
	type plain Task
	err := used.read(dec, (*plain)(t), "id", &t.ID)
	if err == nil && t.Steps == nil {
		return memberError(dec, "steps", "is missing")
	}
	return err
}

// read reads v, an element of a list. It then requires *id, the member named key, to be new in that list. An id may be
// set before: the URL can have it.
func (used ids) read(dec *jsontext.Decoder, v any, key string, id *string) error {
	if err := json.UnmarshalDecode(dec, v); err != nil {
		return err
	}
	if *id == "" {
		return memberError(dec, key, "is missing")
	}
	name := string(dec.StackPointer().Parent()) + " " + *id
	if used[name] {
		return memberError(dec, key, fmt.Sprintf("%.40q is used twice", *id))
	}
	used[name] = true
	return nil
}

// readSteps reads steps. A step without a status keeps that of the previous one.
func readSteps(dec *jsontext.Decoder, steps *[]Step) error {
	var read []struct {
		Status     *state        `json:"status"`
		ResultCode string        `json:"resultCode"`
		Name       string        `json:"name"`
		For        time.Duration `json:"for"`
		Fault      *Fault        `json:"fault"`
	}
	if err := json.UnmarshalDecode(dec, &read); err != nil {
		return err
	}
	if len(read) == 0 {
		return errors.New("must have at least one step")
	}
	status := new(state)
	for _, s := range read {
		if s.Status != nil {
			status = s.Status
		}
		*steps = append(*steps, Step{int64(*status), s.ResultCode, s.Name, s.For, s.Fault})
	}
	return nil
}

// state is the status of a task, by name or by KooDrive's number.
type state int64

var states = map[string]state{
	"NEW": StatusNew, "EXECUTING": StatusExecuting, "SUCCESS": StatusSuccess, "FAILED": StatusFailed,
}

// UnmarshalJSONFrom reads a name or a number.
func (s *state) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	known := token.Kind() == '0' && json.Unmarshal([]byte(token.String()), (*int64)(s)) == nil
	if token.Kind() == '"' {
		*s, known = states[token.String()]
	}
	if !known {
		return errors.New("must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer")
	}
	return nil
}
