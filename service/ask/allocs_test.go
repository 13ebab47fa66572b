//go:build !race

package ask

import (
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/upstream"
)

// The question of a call with the usual credential is its only allocation.
func TestAllocsOfQuestion(t *testing.T) {
	client, err := upstream.NewClient(upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	who, err := caller.NewReader(caller.Forward, "").Read(metadata.Pairs("authorization", "Bearer 0123456789abcdef").Get)
	if err != nil {
		t.Fatal(err)
	}
	a := &Asker{upstream: client}
	if n := testing.AllocsPerRun(100, func() { _, err = a.Question(&who, "1534087020903704704") }); n > 1 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}
