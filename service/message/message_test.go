package message

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// However many streams send a message, it is encoded once per form, and its encodings are of no other message or form.
func TestEncodingsAreTheMessagesOwn(t *testing.T) {
	var calls atomic.Int32
	forms := map[Form]func(proto.Message) ([]byte, error){Frame: proto.Marshal, Line: protojson.Marshal, Event: protojson.Marshal}
	messages := []*Message{New(wrapperspb.String("one")), New(wrapperspb.String("two"))}
	var all sync.WaitGroup
	for range 10 {
		for _, m := range messages {
			for form, encode := range forms {
				all.Go(func() {
					got, err := As(m, form, func(m proto.Message) ([]byte, error) {
						calls.Add(1)
						return encode(m)
					})
					want, _ := encode(m.Message)
					if err != nil || string(got) != string(want) {
						t.Errorf("form %d is %q, %v, want %q", form, got, err, want)
					}
				})
			}
		}
	}
	all.Wait()
	if n := calls.Load(); n != 6 {
		t.Errorf("encoded %d times", n)
	}
}

func TestEncodingErrorsAreKept(t *testing.T) {
	m, errFirst := New(wrapperspb.String("one")), errors.New("first")
	for _, err := range []error{errFirst, errors.New("second")} {
		if _, got := As(m, Line, func(proto.Message) ([]byte, error) { return nil, err }); !errors.Is(got, errFirst) {
			t.Errorf("got %v", got)
		}
	}
}
