package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"
)

// httpCalls makes a connection's calls, one at a time.
func httpCalls(p plan) (done calls, err error) {
	c, err := net.Dial("tcp", p.addr) //nolint:noctx // The process ends when the driver is told to.
	if err != nil {
		return done, err
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for i := range p.calls {
		began := time.Now()
		const request = "GET %s%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
		if _, err := fmt.Fprintf(c, request, p.path, p.name(i), p.token); err != nil {
			return done, err
		}
		ok, length, err := answer(in)
		if err != nil {
			return done, err
		}
		done.bytes += length
		if !ok {
			done.failed++
		}
		done.latencies = append(done.latencies, time.Since(began))
	}
	return done, nil
}

// answer reads an answer, and returns its length and whether its status is 200.
func answer(in *bufio.Reader) (ok bool, length int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return false, 0, err
	}
	ok, length = bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")), -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return false, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, found := bytes.Cut(line, []byte(": ")); found && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return false, 0, err
			}
		}
	}
	if length < 0 {
		return false, 0, fmt.Errorf("an answer without Content-Length")
	}
	_, err = in.Discard(length)
	return ok, length, err
}
