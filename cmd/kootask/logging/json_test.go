package logging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/internal/secret"
)

// both handles a record with slog's handler and with that of this package. with may add to each.
func both(t *testing.T, r slog.Record, with func(slog.Handler) slog.Handler) (want, got string) {
	t.Helper()
	var a, b bytes.Buffer
	for to, h := range map[*bytes.Buffer]slog.Handler{&a: slog.NewJSONHandler(&a, nil), &b: logging.JSON(&b, slog.LevelInfo)} {
		if err := with(h).Handle(context.Background(), r.Clone()); err != nil || to.Len() == 0 {
			t.Fatalf("%v, %d bytes", err, to.Len())
		}
	}
	return a.String(), b.String()
}

func alone(h slog.Handler) slog.Handler { return h }

// Lines are those of slog's handler, byte for byte.
func TestJSONIsThatOfSlog(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 123456000, time.FixedZone("", 3600))
	values := []slog.Attr{
		slog.String("a", ""), slog.String("a", "plain ~!<>&'/"), slog.String("a", `"`), slog.String("a", `\`), slog.String("a", "\n\t\x00\x7f"),
		slog.String("a", "é\u2028\xff"), slog.String(`"`, ""), slog.String("", ""), {}, slog.Any("a", nil),
		slog.Int("a", math.MinInt64), slog.Uint64("a", math.MaxUint64), slog.Bool("a", true), slog.Duration("a", time.Second),
		slog.Time("a", now), slog.Time("a", time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)), slog.Time("a", time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)),
		slog.Float64("a", 0), slog.Float64("a", math.Copysign(0, -1)), slog.Float64("a", 0.000123), slog.Float64("a", 1e-6), slog.Float64("a", 9e-7),
		slog.Float64("a", 1e20), slog.Float64("a", 1e21), slog.Float64("a", math.MaxFloat64), slog.Float64("a", math.NaN()), slog.Float64("a", math.Inf(-1)),
		slog.Any("a", errors.New("no")), slog.Any("a", []int{1}), slog.Any("a", secret.New("geheim")), slog.Any("a", slog.StringValue("b")),
		slog.Group("a", "b", 1), slog.Group("a"), slog.Group("", "b", 1),
	}
	ways := []func(slog.Handler) slog.Handler{
		alone,
		func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{slog.String("port", "grpc")}) },
		func(h slog.Handler) slog.Handler { return h.WithAttrs(values) },
		func(h slog.Handler) slog.Handler { return h.WithGroup("g") },
		func(h slog.Handler) slog.Handler {
			return h.WithAttrs([]slog.Attr{slog.Int("a", 1)}).WithGroup("g").WithAttrs([]slog.Attr{slog.Int("b", 2)})
		},
	}
	for _, with := range ways {
		for _, at := range []time.Time{now, {}, now.AddDate(20_000, 0, 0)} {
			for _, message := range []string{"call", `a "call"`} {
				for i := range values {
					r := slog.NewRecord(at, slog.LevelWarn+1, message, 0)
					r.AddAttrs(values[i:]...)
					one := slog.NewRecord(at, slog.LevelInfo, message, 0)
					one.AddAttrs(values[i])
					for _, r := range []slog.Record{r, one} {
						if want, got := both(t, r, with); got != want {
							t.Errorf("got  %swant %s", got, want)
						}
						if _, got := both(t, r, with); strings.Contains(got, "geheim") {
							t.Errorf("a secret is logged: %s", got)
						}
					}
				}
			}
		}
	}
}

// FuzzJSON compares lines with those of slog's handler.
func FuzzJSON(f *testing.F) {
	f.Add(int64(0), "call", "task_id", "1534087020903704704", 0.25, int64(-1), uint64(1), true)
	f.Add(int64(1e18), "\x00", "é", "\u2028\"", math.NaN(), int64(0), uint64(0), false)
	f.Fuzz(func(t *testing.T, at int64, message, key, text string, f float64, i int64, u uint64, b bool) {
		r := slog.NewRecord(time.Unix(at/1e9, at%1e9), slog.Level(i%20), message, 0)
		r.AddAttrs(slog.Float64("f", f), slog.Int64("i", i), slog.Uint64("u", u), slog.Bool("b", b), slog.String(key, text))
		for _, with := range []func(slog.Handler) slog.Handler{
			alone, func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{slog.String(key, text)}) },
		} {
			if want, got := both(t, r, with); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		}
	})
}

// callLine is the line of a call.
func callLine() slog.Record {
	r := slog.NewRecord(time.Date(2026, 11, 30, 12, 0, 0, 123456000, time.UTC), slog.LevelInfo, "call", 0)
	r.AddAttrs(slog.String("task_id", "1534087020903704704"), slog.String("request_id", "a9fd1fcb9bd4b09e25d4acf30eb2a8b2"),
		slog.String("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), slog.String("credential", "0123456789abcdef"), slog.String("peer", "127.0.0.1"),
		slog.String("method", "/koodrive.task.v1.TaskService/GetTask"), slog.String("code", "OK"), slog.Float64("seconds", 0.000123),
		slog.Float64("wait_seconds", 0), slog.Float64("koodrive_seconds", 0))
	return r
}

// BenchmarkJSON measures the line of a call, beside slog's handler.
func BenchmarkJSON(b *testing.B) {
	for name, h := range map[string]slog.Handler{
		"slog":    slog.NewJSONHandler(io.Discard, nil), //nolint:sloglint // The benchmark measures the formatting of a line.
		"kootask": logging.JSON(io.Discard, slog.LevelInfo),
	} {
		b.Run(name, func(b *testing.B) {
			r := callLine()
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Handle(context.Background(), r)
			}
		})
	}
}
