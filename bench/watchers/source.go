package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/kootask/kootask/bench/task"
)

// source makes the changes that the watchers see.
type source interface {
	// open returns the number of open watches.
	open() (int, error)
	// next returns the version after the last one.
	next() int
	// change makes a change.
	change(version, pad int) error
	// told returns when the last change began.
	told() (time.Time, error)
}

var errNotCounted = errors.New("the server does not count its watches")

// version counts changes. The task has version 0 before the first one.
type version int

func (v *version) next() int {
	*v++
	return int(*v)
}

func newSource(o options) source {
	switch {
	case o.kind == "etcd":
		s, err := newEtcdSource(o.addr)
		if err != nil {
			log.Fatal(err)
		}
		return s
	case o.control == o.addr:
		return &nchanSource{addr: o.addr}
	}
	return &controlSource{addr: o.control}
}

// controlSource makes changes at a control port.
type controlSource struct {
	version
	addr string
}

func (s *controlSource) open() (int, error) {
	open, err := s.number("/open")
	return int(open), err
}

func (s *controlSource) change(version, pad int) error {
	return post(fmt.Sprintf("http://%s/change?version=%d&pad=%d", s.addr, version, pad), nil)
}

func (s *controlSource) told() (time.Time, error) {
	told, err := s.number("/told")
	return time.Unix(0, told), err
}

// number gets a number from the control port.
func (s *controlSource) number(path string) (int64, error) {
	response, err := http.Get("http://" + s.addr + path) //nolint:noctx // The process ends when the driver is told to.
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
}

// nchanSource publishes events at nginx.
type nchanSource struct {
	version
	addr   string
	posted time.Time
}

func (s *nchanSource) open() (int, error) { return 0, errNotCounted }

func (s *nchanSource) change(version, pad int) error {
	event, err := task.JSON(task.New(task.ID, version, pad, false))
	if err != nil {
		return err
	}
	s.posted = time.Now()
	return post("http://"+s.addr+"/publish", event)
}

func (s *nchanSource) told() (time.Time, error) { return s.posted, nil }

// post sends a request that must succeed.
func post(url string, body []byte) error {
	response, err := http.Post(url, "application/json", bytes.NewReader(body)) //nolint:noctx // As above.
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
