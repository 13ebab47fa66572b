package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// logs are the ways in which a log can hang or fail: each returns the file that kootask writes to.
var logs = map[string]func(*testing.T) *os.File{
	"nobody reads": func(t *testing.T) *os.File {
		_, w := pipe(t)
		return w
	},
	"the reader dies": func(t *testing.T) *os.File {
		r, w := pipe(t)
		go func() {
			_, _ = bufio.NewReaderSize(r, 16).ReadString('\n')
			_ = r.Close()
		}()
		return w
	},
	"the reader was never there": func(t *testing.T) *os.File {
		r, w := pipe(t)
		_ = r.Close()
		return w
	},
	"the reader is slow": func(t *testing.T) *os.File {
		r, w := pipe(t)
		go func() {
			for b := make([]byte, 1000); ; {
				if _, err := r.Read(b); err != nil {
					return
				}
				<-time.After(20 * time.Millisecond)
			}
		}()
		return w
	},
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// freeAddress is free to listen on, unless another process takes it.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// fetch calls GetTask over REST, and returns the HTTP status.
func fetch(t *testing.T, addr, id string) int {
	t.Helper()
	resp := send(t, addr, id)
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// watchLines opens a watch over REST.
func watchLines(t *testing.T, addr, id string) *bufio.Scanner {
	t.Helper()
	resp := send(t, addr, id+":watch")
	t.Cleanup(func() { _ = resp.Body.Close() })
	return bufio.NewScanner(resp.Body)
}

func send(t *testing.T, addr, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/v1/tasks/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+demoToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// first reads lines until one contains a text.
func first(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("the stream ends without %s: %v", text, lines.Err())
}
