// Package message holds the messages of watches. Each is encoded once per form, however many streams send it. The
// package does not encode by itself.
//
//	m := message.New(&taskv1.WatchTasksResponse{…})
//	line, err := message.As(m, message.Line, encodeLine)
package message

import (
	"sync"

	"google.golang.org/protobuf/proto"
)

// Form is an encoding of a message.
type Form int

const (
	// Frame is protobuf's, as gRPC frames have it.
	Frame Form = iota
	// Line is a JSON line of a stream.
	Line
	// Event is a server-sent event.
	Event
	// LastEvent is the server-sent event with which the last task of a stream ends.
	LastEvent

	forms
)

// Message is a message and its encodings. It is safe for concurrent use, and must not be changed.
type Message struct {
	proto.Message

	encoded [forms]struct {
		once  sync.Once
		value any
		err   error
	}
}

// New returns a Message of m, which must not be changed afterwards.
func New(m proto.Message) *Message { return &Message{Message: m} }

// As returns the message in a form, whose encodings have the type T. The first call for a form calls encode; the others
// get the same encoding, or the same error. It must not be changed.
func As[T any](m *Message, form Form, encode func(proto.Message) (T, error)) (T, error) {
	e := &m.encoded[form]
	e.once.Do(func() { e.value, e.err = encode(m.Message) })
	value, _ := e.value.(T)
	return value, e.err
}

// Sink is the receiving end of a stream within this process. Its methods may be called from any goroutine.
type Sink interface {
	// Send writes a message. Calls follow each other. An error ends the stream.
	Send(m *Message) error
	// Cut makes a Send that is blocked return. The stream cannot be used afterwards.
	Cut()
}
