package caller_test

import (
	"log/slog"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
)

// BenchmarkRead measures the reading of a caller with a credential, a request id and a trace.
func BenchmarkRead(b *testing.B) {
	md := metadata.Pairs("authorization", "Bearer 0123456789abcdef0123456789abcdef", "x-request-id", "a-request.1",
		"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "language", "zh-CN")
	reader := caller.NewReader(caller.Forward, "")
	b.ReportAllocs()
	for b.Loop() {
		who, err := reader.Read(md.Get)
		if err != nil {
			b.Fatal(err)
		}
		var room [16]slog.Attr
		_ = who.AppendAttrs(room[:0], "1534087020903704704")
	}
}
