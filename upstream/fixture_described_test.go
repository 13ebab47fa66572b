package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"
)

// described returns the task that a body describes, if it does, by encoding/json and the standard library's parser of
// numbers.
func described(body []byte, id string) (Task, bool) {
	if !json.Valid(body) {
		return Task{}, false
	}
	fields, ok := members(body)
	if !ok {
		return Task{}, false
	}
	// Its name alone need not be UTF-8.
	rest := body
	if name := fields["taskName"]; len(name) > 0 && name[0] == '"' {
		at := cap(body) - cap(name)
		rest = append(bytes.Clone(body[:at]), body[at+len(name):]...)
	}
	if !utf8.Valid(rest) || hasLoneSurrogate(rest) {
		return Task{}, false
	}
	all := true
	str := func(name string) string {
		s, ok := scalar(fields[name])
		all = all && ok
		return s
	}
	i32 := func(name string) *int32 {
		if v := fields[name]; v == nil || string(v) == "null" {
			return nil
		}
		n, ok := decimal(str(name))
		all = all && ok && n.IsInt64() && n.Int64() == int64(int32(n.Int64()))
		if !all {
			return nil
		}
		return new(int32(n.Int64()))
	}
	task := Task{
		ID: str("taskId"), Name: str("taskName"), Type: i32("taskType"), TenantID: str("tenantId"), UserID: str("userId"),
		ResultCode: str("resultCode"),
	}
	status := i32("status")
	if !all || status == nil || task.ID != id || str("code") != "0" {
		return Task{}, false
	}
	task.Status = *status
	if code, ok := scalar(fields["error_code"]); ok && code != "" && isCode(code) {
		return Task{}, false
	}
	return task, true
}

// members returns the members of the JSON object body, each verbatim. It returns false if body is not an object, or if any object
// in it has a name twice.
func members(body []byte) (map[string][]byte, bool) {
	type level struct {
		names map[string]bool // Nil for an array.
		name  bool            // A name comes next.
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	fields := map[string][]byte{}
	var open []level
	var name string
	var begins int64
	for {
		token, err := dec.Token()
		if err != nil {
			return fields, errors.Is(err, io.EOF)
		}
		if len(open) == 0 && token != json.Delim('{') {
			return nil, false
		}
		if n := len(open); n > 0 && open[n-1].name && token != json.Delim('}') {
			key, _ := token.(string)
			if open[n-1].names[key] {
				return nil, false
			}
			open[n-1].names[key], open[n-1].name = true, false
			if n == 1 {
				name, begins = key, dec.InputOffset()
			}
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}, name: true})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		n := len(open)
		if n > 0 {
			open[n-1].name = open[n-1].names != nil
		}
		if n == 1 {
			// Trimmed on the left by slicing, so that it can be found in body.
			value := body[begins:dec.InputOffset()]
			fields[name] = value[len(value)-len(bytes.TrimLeft(value, " \t\r\n:")):]
		}
	}
}

// scalar returns a string, or an integer as written; empty if the field is absent or null.
func scalar(value []byte) (string, bool) {
	if len(value) == 0 || string(value) == "null" {
		return "", true
	}
	if value[0] == '"' {
		var s string
		err := json.Unmarshal(value, &s)
		return s, err == nil
	}
	_, ok := decimal(string(value))
	return string(value), ok
}

// decimal returns a number in its shortest decimal form.
func decimal(s string) (*big.Int, bool) {
	n, ok := new(big.Int).SetString(s, 10)
	return n, ok && n.String() == s && len(strings.TrimPrefix(s, "-")) <= 31
}

// hasLoneSurrogate reports whether JSON contains an escaped half of a surrogate pair.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if text[i+1] != 'u' {
			i++
			continue
		}
		switch text[i+2] {
		case 'd', 'D':
			high := strings.IndexByte("89abAB", text[i+3]) >= 0
			low := i+12 <= len(text) && text[i+6] == '\\' && text[i+7] == 'u' && strings.IndexByte("dD", text[i+8]) >= 0 &&
				strings.IndexByte("cdefCDEF", text[i+9]) >= 0
			switch {
			case high && low:
				i += 6
			case high || strings.IndexByte("cdefCDEF", text[i+3]) >= 0:
				return true
			}
		}
		i += 5
	}
	return false
}
