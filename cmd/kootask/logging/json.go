package logging

import (
	"context"
	"io"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
)

// JSON returns a handler whose lines are those of [slog.NewJSONHandler] for a level, byte for byte. It formats lines of
// plain values by itself, which takes a third of the time, and leaves all others to slog. to must be safe for concurrent
// use, like the queue.
func JSON(to io.Writer, level slog.Leveler) slog.Handler {
	return plainJSON{to: to, rest: slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level})}
}

// plainJSON formats lines with times, numbers, booleans and strings that need no escape.
type plainJSON struct {
	to    io.Writer
	rest  slog.Handler // Formats the other lines.
	attrs []byte       // Those of WithAttrs, each with a comma before it.
}

// Enabled implements slog.Handler.
func (h plainJSON) Enabled(ctx context.Context, level slog.Level) bool {
	return h.rest.Enabled(ctx, level)
}

// buffers are those of lines, of type *[]byte.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, 1024)) }}

// Handle implements slog.Handler.
func (h plainJSON) Handle(ctx context.Context, r slog.Record) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	line, ok := h.format((*buffer)[:0], r)
	*buffer = line
	if !ok {
		return h.rest.Handle(ctx, r)
	}
	_, err := h.to.Write(line)
	return err
}

// format appends a line. It reports false if the record is not plain.
func (h plainJSON) format(line []byte, r slog.Record) (_ []byte, ok bool) {
	if r.Time.IsZero() {
		return line, false
	}
	line = append(line, `{"time":`...)
	line, ok = appendTime(line, r.Time)
	line = append(line, `,"level":`...)
	line, okLevel := appendString(line, r.Level.String())
	line = append(line, `,"msg":`...)
	line, okMessage := appendString(line, r.Message)
	ok = ok && okLevel && okMessage
	line = append(line, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if ok {
			line, ok = appendAttr(line, a)
		}
		return ok
	})
	return append(line, "}\n"...), ok
}

// appendAttr appends an attribute with a comma before it. It reports false if its value is not plain.
func appendAttr(line []byte, a slog.Attr) (_ []byte, ok bool) {
	line = append(line, ',')
	line, ok = appendString(line, a.Key)
	if !ok {
		return line, false
	}
	line = append(line, ':')
	switch a.Value.Kind() {
	case slog.KindString:
		return appendString(line, a.Value.String())
	case slog.KindInt64:
		return strconv.AppendInt(line, a.Value.Int64(), 10), true
	case slog.KindUint64:
		return strconv.AppendUint(line, a.Value.Uint64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(line, a.Value.Bool()), true
	case slog.KindFloat64:
		f := a.Value.Float64()
		return strconv.AppendFloat(line, f, 'f', -1, 64), hasNoExponent(f)
	case slog.KindTime:
		return appendTime(line, a.Value.Time())
	default:
		return line, false
	}
}

// hasNoExponent reports whether encoding/json writes a number without an exponent.
func hasNoExponent(f float64) bool {
	abs := math.Abs(f)
	return abs == 0 || abs >= 1e-6 && abs < 1e21
}

// appendTime appends a time. It reports false if it has another form than others.
func appendTime(line []byte, t time.Time) (_ []byte, ok bool) {
	if year := t.Year(); year < 0 || year > 9999 {
		return line, false
	}
	line = append(line, '"')
	line = t.AppendFormat(line, time.RFC3339Nano)
	return append(line, '"'), true
}

// appendString appends a text in quotes. It reports false if a character has to be escaped.
func appendString(line []byte, text string) (_ []byte, ok bool) {
	for i := range len(text) {
		if b := text[i]; b < ' ' || b > '~' || b == '"' || b == '\\' {
			return line, false
		}
	}
	line = append(line, '"')
	line = append(line, text...)
	return append(line, '"'), true
}

// WithAttrs implements slog.Handler.
func (h plainJSON) WithAttrs(attrs []slog.Attr) slog.Handler {
	rest := h.rest.WithAttrs(attrs)
	all := h.attrs[:len(h.attrs):len(h.attrs)]
	for _, a := range attrs {
		var ok bool
		if all, ok = appendAttr(all, a); !ok {
			return rest
		}
	}
	return plainJSON{to: h.to, rest: rest, attrs: all}
}

// WithGroup implements slog.Handler.
func (h plainJSON) WithGroup(name string) slog.Handler { return h.rest.WithGroup(name) }
